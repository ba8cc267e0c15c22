//go:build darwin || freebsd || linux

package diskspace

import (
	"cmp"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var fullErrors = []error{syscall.ENOSPC, syscall.EDQUOT}

func statfs(dir string) (free, total int64, err error) {
	dir = cmp.Or(dir, ".")
	var st unix.Statfs_t
	for {
		if err = unix.Statfs(dir, &st); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	size := uint64(st.Bsize)
	return bytes(uint64(max(0, st.Bavail)), size), bytes(st.Blocks, size), nil
}
