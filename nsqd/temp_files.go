package nsqd

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
)

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
