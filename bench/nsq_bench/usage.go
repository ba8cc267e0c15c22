package main

import "time"

// unknown is a time that this system does not tell.
const unknown time.Duration = -1
