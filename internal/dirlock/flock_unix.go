//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dirlock

import (
	"os"
	"syscall"
)

// flock belongs to the open file, not to the process: closing it is enough to
// unlock, and a second Acquire in this process fails like anyone else's.
func flock(dir *os.File) error {
	return syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
