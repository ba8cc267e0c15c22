package nsqd

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
)

// errNameTaken refuses a name that differs from another only in the case of
// letters where the file system makes no difference: both would share files.
var errNameTaken = errors.New("differs only in letter case, and the data path's file system does not tell them apart")

// foldsCase reports whether nsqd.dat, which must be there, is also found by its
// name in capitals.
func foldsCase(dataPath string) bool {
	file, err := os.Stat(filepath.Join(dataPath, "nsqd.dat"))
	if err != nil {
		return false
	}
	capitals, err := os.Stat(filepath.Join(dataPath, "NSQD.DAT"))
	return err == nil && os.SameFile(file, capitals)
}

// checkCase returns an error if a name must not be used beside those that are
// there, of which it may be one. It looks at all of them, which only such file systems cost.
func (e *env) checkCase(name string, there iter.Seq[string]) error {
	if !e.foldsCase.Load() {
		return nil
	}
	for other := range there {
		if name != other && strings.EqualFold(name, other) {
			return fmt.Errorf("%q cannot be created beside %q: it %w", name, other, errNameTaken)
		}
	}
	return nil
}
