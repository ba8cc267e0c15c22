package diskq

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed893f581e/nsq/internal/durable"
)

// files knows the names of one queue's files:
//
//	<name>.diskqueue.000000.dat           records, each an int32 length (big endian) and its bytes
//	<name>.diskqueue.meta.dat             depth, read and write position, as text
//	<name>.diskqueue.meta.dat.<n>.tmp     a meta file being written
//	<name>.diskqueue.000000.dat.bad       damaged data, set aside, never touched again
//
// A queue name may contain dots, so names are compared whole: the files of "a"
// and those of "a.b" or "a:c" never get mixed up.
type files struct {
	dir, name string
}

func (f files) metaPath() string {
	return filepath.Join(f.dir, f.name+".diskqueue.meta.dat")
}

func (f files) dataPath(num int64) string {
	return filepath.Join(f.dir, fmt.Sprintf("%s.diskqueue.%06d.dat", f.name, num))
}

// infix follows the queue's name in the name of each of its files.
const infix = ".diskqueue."

// A listing is what a directory holds of one queue.
type listing struct {
	meta bool
	data []int64  // numbers of the data files, ascending
	temp []string // paths of unfinished meta files
}

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

func (f files) list() (listing, error) {
	var ls listing
	dir, err := os.Open(cmp.Or(f.dir, "."))
	if err != nil {
		return ls, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
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

// dataNumber parses "000012.dat". Only the spelling that go-diskqueue itself
// would use counts: it could not open any other.
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

// remove deletes data and meta files, but not what was set aside as bad. The
// meta file goes last: data files without one would be taken for a queue that
// was never synced.
func (f files) remove(ls listing) error {
	if !ls.meta && len(ls.data)+len(ls.temp) == 0 {
		return nil
	}
	var errs []error
	for _, num := range ls.data {
		errs = append(errs, removeIfThere(f.dataPath(num)))
	}
	for _, path := range ls.temp {
		errs = append(errs, removeIfThere(path))
	}
	errs = append(errs, removeIfThere(f.metaPath()), durable.SyncDir(f.dir))
	return errors.Join(errs...)
}

// first returns a number below which no data file is, just after check.
func (f files) first(ls listing) (int64, error) {
	if len(ls.data) > 0 {
		return ls.data[0], nil // what lies before the read position may be there
	}
	if !ls.meta {
		return 0, nil
	}
	m, err := f.readMeta()
	return m.read.file, err
}

// manyFiles is how many names are tried before it is better to read the directory.
const manyFiles = 1000

// possible returns a listing with at least the data files of a closed queue
// whose meta file is up to date; false means that it cannot tell.
func (f files) possible(first int64) (listing, bool) {
	if first < 0 {
		return listing{}, false
	}
	m, err := f.readMeta()
	if err != nil || m.write.file-first >= manyFiles {
		return listing{}, false
	}
	ls := listing{meta: true}
	for num := first; num <= m.write.file; num++ {
		ls.data = append(ls.data, num)
	}
	return ls, true
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sync brings a closed queue onto stable storage: the data file it wrote last
// (older ones are synced when they are rolled) and the directory.
func (f files) sync() error {
	m, err := f.readMeta()
	if err != nil {
		return err
	}
	err = syncFile(f.dataPath(m.write.file))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // nothing was written since the queue was emptied or rolled
	}
	return errors.Join(err, durable.SyncDir(f.dir))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// A position is the offset of a record boundary in a numbered data file.
type position struct {
	file, offset int64
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.file, o.file), cmp.Compare(p.offset, o.offset))
}

// meta is the content of a meta file.
type meta struct {
	depth       int64 // records between read and write; other software may have left nonsense here
	read, write position
}

const metaFormat = "%d\n%d,%d\n%d,%d\n"

func (m meta) encode() string {
	return fmt.Sprintf(metaFormat, m.depth, m.read.file, m.read.offset, m.write.file, m.write.offset)
}

var errMeta = errors.New("unparsable meta file")

// parseMeta is strict: a number that lost its last digit would be a wrong
// position, which is worse than none.
func parseMeta(s string) (meta, error) {
	var m meta
	_, err := fmt.Sscanf(s, metaFormat, &m.depth, &m.read.file, &m.read.offset, &m.write.file, &m.write.offset)
	valid := min(m.read.file, m.read.offset, m.write.file, m.write.offset) >= 0 && m.read.compare(m.write) <= 0
	if err != nil || !valid || m.encode() != s {
		return meta{}, fmt.Errorf("%w: %.80q", errMeta, s)
	}
	return m, nil
}

// readMeta fails with errMeta when the content makes no sense.
func (f files) readMeta() (meta, error) {
	b, err := os.ReadFile(f.metaPath())
	if err != nil {
		return meta{}, err
	}
	return parseMeta(string(b))
}

// roomForMeta is more than a meta file takes, so that others may write meanwhile.
const roomForMeta = 16 << 10

// probe fails if a meta file could probably not be written.
func (f files) probe() error {
	tmp, err := os.CreateTemp(cmp.Or(f.dir, "."), filepath.Base(f.metaPath())+".*.tmp")
	if err != nil {
		return err
	}
	if _, err = tmp.Write(make([]byte, roomForMeta)); err == nil {
		err = tmp.Sync()
	}
	return errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
}

// writeMeta replaces the meta file as a whole and durably.
func (f files) writeMeta(m meta) error {
	return durable.WriteFile(f.metaPath(), []byte(m.encode()))
}
