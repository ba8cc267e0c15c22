// Package dirlock keeps two daemons from using one data directory.
package dirlock

import (
	"fmt"
	"os"
	"syscall"
)

// Lock is the exclusive use of a directory.
type Lock struct {
	dir *os.File
}

// Acquire takes the directory or fails at once; "" is the current directory.
// The lock lies on the directory itself, leaves no file behind and ends with
// the process at the latest, so a killed daemon can be started again at once.
// Where the operating system has no flock, only the directory is checked.
func Acquire(path string) (*Lock, error) {
	if path == "" {
		path = "."
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := check(dir); err != nil {
		dir.Close()
		return nil, err
	}
	if err := flock(dir); err != nil {
		dir.Close()
		return nil, fmt.Errorf("cannot flock directory %s - %w (possibly in use by another instance of nsqd)", path, err)
	}
	return &Lock{dir}, nil
}

func check(dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &os.PathError{Op: "open", Path: dir.Name(), Err: syscall.ENOTDIR}
	}
	return nil
}

// Unlock gives the directory back. It is called once.
func (l *Lock) Unlock() error { return l.dir.Close() }
