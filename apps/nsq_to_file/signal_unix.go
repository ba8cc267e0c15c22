//go:build unix

package main

import (
	"os/signal"
	"syscall"
)

// ignoreSizeLimit makes a file that may not grow any more an error of writing.
func ignoreSizeLimit() { signal.Ignore(syscall.SIGXFSZ) }
