//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"errors"
	"syscall"
)

// canLock says that TryLock tells whether a file is used.
const canLock = true

func (f osFile) Lock() error { return f.flock(syscall.LOCK_EX) }

func (f osFile) TryLock() error {
	err := f.flock(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errInUse
	}
	return err
}

func (f osFile) Unlock() error { return f.flock(syscall.LOCK_UN) }

func (f osFile) flock(how int) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			if failed = syscall.Flock(int(fd), how); !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if errors.Is(failed, syscall.ENOTSUP) || errors.Is(failed, syscall.ENOLCK) {
		failed = nil // a file system without locks
	}
	return errors.Join(err, failed)
}
