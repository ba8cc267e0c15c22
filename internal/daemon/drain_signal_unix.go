//go:build unix

package daemon

import (
	"os"
	"syscall"
)

// drainSignals have a Drainer begin a drain.
var drainSignals = []os.Signal{syscall.SIGUSR1}
