package diskq

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// files knows the names of one queue's files. A queue name may contain dots, so
// names are compared whole: the files of "a" and those of "a.b" or "a:c" never
// get mixed up.
type files struct {
	dir, name string
}

// infix follows the queue's name in the name of each of its files.
const infix = ".diskqueue."

func (f files) metaPath() string {
	return filepath.Join(f.dir, f.name+infix+"meta.dat")
}

func (f files) dataPath(num int64) string {
	return filepath.Join(f.dir, fmt.Sprintf("%s%s%06d.dat", f.name, infix, num))
}

// badPath is where damaged bytes of a data file are kept that begin at offset.
func (f files) badPath(num, offset int64) string {
	return fmt.Sprintf("%s.%d.bad", f.dataPath(num), offset)
}

// A listing is what a directory holds of one queue.
type listing struct {
	meta bool
	data []int64  // numbers of the data files, ascending
	temp []string // paths of unfinished meta files
}

func (ls *listing) empty() bool { return !ls.meta && len(ls.data) == 0 }

// add enters a data or meta file by what follows the infix; false means that it
// is neither. When all are in, sort must be called.
func (ls *listing) add(rest string) bool {
	if rest == "meta.dat" {
		ls.meta = true
		return true
	}
	num, ok := dataNumber(rest)
	if ok {
		ls.data = append(ls.data, num)
	}
	return ok
}

func (ls *listing) sort() { slices.Sort(ls.data) }

// list reads the directory for the files of one queue.
func (f files) list(d disk) (listing, error) {
	var ls listing
	names, err := d.list(f.dir)
	if err != nil {
		return ls, err
	}
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, f.name+infix)
		if ok && !ls.add(rest) && isTemp(rest) {
			ls.temp = append(ls.temp, filepath.Join(f.dir, name))
		}
	}
	ls.sort()
	return ls, nil
}

// dataNumber parses "000012.dat". Only the one spelling counts: no other can be
// opened again by number.
func dataNumber(s string) (int64, bool) {
	digits, ok := strings.CutSuffix(s, ".dat")
	if !ok {
		return 0, false
	}
	num, err := strconv.ParseInt(digits, 10, 64)
	return num, err == nil && num >= 0 && digits == fmt.Sprintf("%06d", num)
}

// isTemp recognizes "meta.dat.<digits>.tmp".
func isTemp(s string) bool {
	s, ok := strings.CutPrefix(s, "meta.dat.")
	if !ok {
		return false
	}
	s, ok = strings.CutSuffix(s, ".tmp")
	return ok && s != "" && strings.Trim(s, "0123456789") == ""
}
