//go:build !unix

package daemon

import "os"

// drainSignals are none: only Unix has signals to spare.
var drainSignals []os.Signal
