// Package durable writes files that a power cut leaves whole.
package durable

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile replaces a file as a whole, with mode 0600: whoever reads it, also
// after a power cut, finds the old content or the new. It returns once the new
// content is on stable storage. While it writes, and after a kill, there is a
// file <name>.<digits>.tmp beside it.
func WriteFile(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name()) // the reason is what counts; starts remove what is left
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// SyncDir makes created, renamed and removed names of a directory durable; ""
// is the current one. Windows has no such operation and needs none.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(cmp.Or(dir, "."))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
