package nsqtest

import (
	"os"
	"path/filepath"
)

// root is looked for before a test can change the directory.
var root = findRoot()

// Root returns the root directory of the repository, "" outside of it. Tests run in it or below.
func Root() string { return root }

// findRoot looks for a directory that has this package, from the working directory upwards: what
// is compiled with -trimpath does not know where it was.
func findRoot() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "internal", "nsqtest")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}
