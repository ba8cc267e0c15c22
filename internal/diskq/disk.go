package diskq

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/durable"
)

// disk is what a store needs of the file system, so that tests can make it fail.
type disk interface {
	open(path string, flag int) (file, error)
	size(path string) (int64, error)
	readFile(path string) ([]byte, error)
	replace(path string, data []byte) error // as a whole and durably, the directory too
	remove(path string) (removed bool, err error)
	list(dir string) ([]string, error)
	syncDir(dir string) error
	free(dir string) (int64, error)
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

type osDisk struct{}

func (osDisk) open(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err // not a file that is a nil *os.File
	}
	return f, nil
}

func (osDisk) size(path string) (int64, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func (osDisk) readFile(path string) ([]byte, error)   { return os.ReadFile(path) }
func (osDisk) replace(path string, data []byte) error { return durable.WriteFile(path, data) }
func (osDisk) syncDir(dir string) error               { return durable.SyncDir(dir) }

func (osDisk) free(dir string) (int64, error) {
	free, _, err := diskspace.Free(dir)
	return free, err
}

// remove is content with a file that is not there.
func (osDisk) remove(path string) (removed bool, err error) {
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (osDisk) list(dir string) ([]string, error) {
	d, err := os.Open(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
