package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/seed893f581e/nsq/internal/durable"
)

// disk is what is done with files, so that tests can have it fail.
type disk interface {
	// MkdirAll creates a directory and those above it, so that they last.
	MkdirAll(dir string) error
	// OpenFile opens a file to read it and append to it.
	OpenFile(name string, flag int) (file, error)
	Exists(name string) (bool, error)
	// Same reports whether both names are of one file.
	Same(a, b string) bool
	Link(from, to string) error
	// Walk calls f with the names of all files below a directory but those below
	// another.
	Walk(dir, except string, f func(name string)) error
	Remove(name string) error
	// SyncDir makes the names in a directory last.
	SyncDir(dir string) error
}

// file is an open file of a disk.
type file interface {
	io.ReaderAt
	io.WriteCloser
	Size() (int64, error)
	Truncate(size int64) error
	Sync() error
	// Lock waits until nobody else who does so, in this process or in another, has
	// the file locked. Where files cannot be locked it does nothing.
	Lock() error
	Unlock() error
	// TryLock is Lock that does not wait: the error is errInUse then.
	TryLock() error
	// Is reports whether the file has this name.
	Is(name string) bool
}

var errInUse = errors.New("somebody else uses the file")

// osDisk is the disk of the operating system.
type osDisk struct{}

func (d osDisk) MkdirAll(dir string) error {
	if err := checkDir(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o770); err != nil {
		if checkDir(dir) == nil { // somebody else was faster
			return nil
		}
		return err
	}
	return d.SyncDir(parent)
}

func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return err
}

func (osDisk) OpenFile(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag|os.O_RDWR|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (osDisk) Same(a, b string) bool {
	infoA, errA := os.Lstat(a)
	infoB, errB := os.Lstat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

func (osDisk) Walk(dir, except string, f func(name string)) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was moved meanwhile
			return nil
		case err != nil:
			return err
		case e.IsDir() && name == except:
			return fs.SkipDir
		case e.Type().IsRegular():
			f(name)
		}
		return nil
	})
}

func (osDisk) Link(from, to string) error { return os.Link(from, to) }
func (osDisk) Remove(name string) error   { return os.Remove(name) }
func (osDisk) SyncDir(dir string) error   { return durable.SyncDir(dir) }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Is(name string) bool {
	open, err := f.Stat()
	named, nameErr := os.Lstat(name)
	return err == nil && nameErr == nil && os.SameFile(open, named)
}

func (f osFile) Truncate(size int64) error {
	if runtime.GOOS == "windows" { // a file that is appended to cannot be truncated there
		return os.Truncate(f.Name(), size)
	}
	return f.File.Truncate(size)
}

// isPersistent reports whether an error will hardly go away by itself, as those of a
// full or a broken disk may.
func isPersistent(err error) bool {
	for _, e := range []error{fs.ErrPermission, fs.ErrNotExist, errors.ErrUnsupported, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, syscall.EXDEV, syscall.ENAMETOOLONG} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
