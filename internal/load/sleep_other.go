//go:build !linux

package load

import "time"

func preciseSleeps() {}

// sleep may end early.
func sleep(d time.Duration) { time.Sleep(d) }
