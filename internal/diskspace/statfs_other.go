//go:build !darwin && !freebsd && !linux && !windows

package diskspace

import "syscall"

var fullErrors = []error{syscall.ENOSPC}

func statfs(string) (free, total int64, err error) { return 0, 0, ErrUnknown }
