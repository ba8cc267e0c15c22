package nsqd

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
)

// writeFileDurably replaces a file as a whole: whoever reads it, also after a
// power cut, finds the old content or the new. It returns once the new content
// is on stable storage.
func writeFileDurably(name string, data []byte) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, filepath.Base(name)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

// removeTempFiles removes what a killed daemon left of files that it was about
// to replace.
func removeTempFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if tempFile.MatchString(e.Name()) && e.Type().IsRegular() {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// tempFile matches the temporary names of nsqd.dat, also those of classic
// software, and of files of deferred messages.
var tempFile = regexp.MustCompile(`^(nsqd\.dat|.+\.deferred\.dat)\.\d+\.tmp$`)

// syncDir makes the renames in a directory durable, where the system has that.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
