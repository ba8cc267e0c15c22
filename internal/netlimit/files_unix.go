//go:build unix

package netlimit

import (
	"math"
	"syscall"
)

// openFiles returns the limit of open files of this process; ok is false where
// there is none. The Go runtime has raised it as far as the system lets it.
func openFiles() (limit int, ok bool, err error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, false, err
	}
	if uint64(r.Cur) > math.MaxInt32 { // no limit; signed on some systems, where it is negative
		return 0, false, nil
	}
	return int(r.Cur), true, nil
}
