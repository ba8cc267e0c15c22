package diskq

import (
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// crash copies what is on disk while the queue is open, as if the process had
// been killed now, and returns options for the copy.
func crash(t *testing.T, o Options) Options {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "crashed")
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	return o
}

func corrupt(t *testing.T, path string, offset int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}

// recordOffset is where record(i) lies in a file that begins with record(0).
func recordOffset(i int) int64 {
	var offset int64
	for n := range i {
		offset += 4 + int64(len(record(n)))
	}
	return offset
}

func encoded(recs []string) []byte {
	var b []byte
	for _, r := range recs {
		b = binary.BigEndian.AppendUint32(b, uint32(len(r)))
		b = append(b, r...)
	}
	return b
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantHealthy opens the queue, expects these records and that it works on: more
// can be put, and nothing is set aside or complained about from then on.
func wantHealthy(t *testing.T, name string, o Options, want []string) {
	t.Helper()
	q := reopen(t, name, o)
	var log logBuffer
	wantDepth(t, q, len(want))
	mustClose(t, q)

	o.Logger = log.logger(slog.LevelWarn)
	q = reopen(t, name, o)
	wantDepth(t, q, len(want))
	more := records(2000, 2020)
	putAll(t, q, more)
	wantDepth(t, q, len(want)+len(more))
	wantRecords(t, take(q, 1<<20), slices.Concat(want, more))
	if n := q.dq.Depth(); n != 0 {
		t.Errorf("go-diskqueue still counts %d records", n)
	}
	mustClose(t, q)
	if s := log.String(); s != "" {
		t.Errorf("a mended queue logged %s", s)
	}
}

func TestCrashLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		maxBytes   int64
		syncEvery  int64
		put, taken int // before the crash
		want       int // number of the first record expected back
	}{
		"nothing synced, no meta file":      {1 << 20, 1 << 30, 40, 0, 0},
		"meta file older than the data":     {1 << 20, 25, 40, 0, 0},
		"everything synced":                 {1 << 20, 1, 40, 0, 0},
		"read position synced":              {1 << 20, 1, 40, 15, 15},
		"read position older than the data": {1 << 20, 50, 40, 15, 10},
		"several files":                     {400, 1 << 30, 100, 0, 0},
		"several files, some read":          {400, 1, 100, 50, 50},
		"all read":                          {400, 1, 100, 100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			o.MaxBytesPerFile, o.SyncEvery = c.maxBytes, c.syncEvery
			q := newQueue(t, "orders", o)
			putAll(t, q, records(0, c.put))
			take(q, c.taken)
			q.dq.Depth() // answered after the sync, if one is due
			wantHealthy(t, "orders", crash(t, o), records(c.want, c.put))
		})
	}
}

func TestCrashWithoutMetaFileAfterEmpty(t *testing.T) {
	o := testOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	if err := q.Empty(); err != nil {
		t.Fatal(err)
	}
	putAll(t, q, records(10, 15)) // in file 1
	o = crash(t, o)
	if ok, err := exists(o.Dir, "orders"); !ok || err != nil {
		t.Errorf("exists = %v, %v", ok, err)
	}
	wantHealthy(t, "orders", o, records(10, 15))
}

func TestCrashIsContinuedInTheSameFile(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SyncEvery = 7
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 40))
	o = crash(t, o)
	q = reopen(t, "orders", o)
	putAll(t, q, records(40, 50))
	mustClose(t, q)
	if got := readFile(t, q.files.dataPath(0)); got != string(encoded(records(0, 50))) {
		t.Error("the data file does not hold all records in order")
	}
}

func TestTornTail(t *testing.T) {
	const whole = 5
	last := encoded([]string{"the last record"})
	meta := meta{depth: 2, read: position{0, recordOffset(1)}, write: position{0, recordOffset(3)}}
	for cut := range last {
		for _, withMeta := range []bool{true, false} {
			o := testOptions(t.TempDir())
			var log logBuffer
			o.Logger = log.logger(slog.LevelWarn)
			f := files{o.Dir, "orders"}
			good := encoded(records(0, whole))
			writeFile(t, f.dataPath(0), append(good, last[:cut]...))
			want := records(0, whole)
			if withMeta {
				writeFile(t, f.metaPath(), []byte(meta.encode()))
				want = want[1:]
			}
			mustClose(t, reopen(t, "orders", o))
			if got := readFile(t, f.dataPath(0)); got != string(good) {
				t.Errorf("cut %d: file has %d bytes, want %d", cut, len(got), len(good))
			}
			logged := strings.Contains(log.String(), "torn last record cut off") &&
				strings.Contains(log.String(), "offset="+text(recordOffset(whole))+" bytes="+text(int64(cut)))
			if logged != (cut > 0) {
				t.Errorf("cut %d: logged %s", cut, log.String())
			}
			wantHealthy(t, "orders", o, want)
		}
	}
}

func TestDamageInTheUnrecordedPartIsSetAside(t *testing.T) {
	for name, length := range map[string][]byte{
		"negative":       {0xff, 0xff, 0xff, 0xff},
		"zero":           {0, 0, 0, 0},
		"over the limit": {0, 0, 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			var log logBuffer
			o.Logger = log.logger(slog.LevelWarn)
			f := files{o.Dir, "orders"}
			data := encoded(records(0, 10))
			copy(data[recordOffset(6):], length)
			writeFile(t, f.dataPath(0), data)
			writeFile(t, f.dataPath(1), encoded(records(10, 15)))
			writeFile(t, f.metaPath(), []byte("2\n0,0\n0,"+text(recordOffset(2))+"\n"))
			writeFile(t, f.dataPath(0)+".bad", []byte("from long ago"))

			mustClose(t, reopen(t, "orders", o))
			if got := readFile(t, f.dataPath(0)+".1.bad"); got != string(data[recordOffset(6):]) {
				t.Errorf("set aside %q", got)
			}
			if got := readFile(t, f.dataPath(0)+".bad"); got != "from long ago" {
				t.Errorf("an older file was overwritten with %q", got)
			}
			for _, s := range []string{"damaged data set aside", f.dataPath(0), "offset=" + text(recordOffset(6))} {
				if !strings.Contains(log.String(), s) {
					t.Errorf("no %q in the log: %s", s, log.String())
				}
			}
			wantHealthy(t, "orders", o, append(records(0, 6), records(10, 15)...))
		})
	}
}

func TestTornRecordBeforeTheLastFileIsSetAside(t *testing.T) {
	o := testOptions(t.TempDir())
	f := files{o.Dir, "orders"}
	data := encoded(records(0, 10))
	cut := data[:len(data)-3]
	writeFile(t, f.dataPath(3), cut)
	writeFile(t, f.dataPath(4), encoded(records(10, 15)))
	mustClose(t, reopen(t, "orders", o))
	if got := readFile(t, f.dataPath(3)+".bad"); got != string(cut[recordOffset(9):]) {
		t.Errorf("set aside %q", got)
	}
	wantHealthy(t, "orders", o, append(records(0, 9), records(10, 15)...))
}

func TestUnusableMetaFile(t *testing.T) {
	end := text(recordOffset(10))
	for name, content := range map[string]string{
		"empty":                    "",
		"noise":                    "\x00\x00\x00\x00\x00",
		"cut short":                "10\n0,0\n0,1",
		"words":                    "ten\n0,0\n0," + end + "\n",
		"trailing noise":           "10\n0,0\n0," + end + "\nmore",
		"negative position":        "10\n0,-4\n0," + end + "\n",
		"read beyond write":        "10\n1,0\n0," + end + "\n",
		"negative depth":           "-5\n0,0\n0," + end + "\n",
		"depth 0 yet unread":       "0\n0,0\n0," + end + "\n",
		"write beyond file":        "10\n0,0\n0,99999\n",
		"files that are not there": "10\n0,0\n9223372036854775807,0\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			var log logBuffer
			o.Logger = log.logger(slog.LevelWarn)
			f := files{o.Dir, "orders"}
			writeFile(t, f.dataPath(0), encoded(records(0, 10)))
			writeFile(t, f.metaPath(), []byte(content))
			mustClose(t, reopen(t, "orders", o))
			if !strings.Contains(log.String(), f.metaPath()) {
				t.Errorf("the log does not name the meta file: %s", log.String())
			}
			wantHealthy(t, "orders", o, records(0, 10))
		})
	}
}

func TestMetaFileThatDoesNotFit(t *testing.T) {
	all := encoded(records(0, 10))
	for name, c := range map[string]struct {
		meta string
		data map[int64][]byte
		want []string
	}{
		"depth without records":        {"3\n0," + text(int64(len(all))) + "\n0," + text(int64(len(all))) + "\n", map[int64][]byte{0: all}, nil},
		"read file already removed":    {"14\n0,0\n1,0\n", map[int64][]byte{1: all}, records(0, 10)},
		"all data files removed":       {"14\n2,0\n3,77\n", nil, nil},
		"data lost with the power":     {"10\n0," + text(recordOffset(2)) + "\n0," + text(int64(len(all))) + "\n", map[int64][]byte{0: all[:recordOffset(7)+2]}, records(2, 7)},
		"even the read position lost":  {"5\n0,5000\n0,6000\n", map[int64][]byte{0: all}, nil},
		"rolled, new file not created": {"0\n0," + text(int64(len(all))) + "\n1,0\n", map[int64][]byte{0: all}, nil},
		"a file between is missing":    {"30\n0,0\n2," + text(int64(len(all))) + "\n", map[int64][]byte{0: all, 2: all}, append(records(0, 10), records(0, 10)...)},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t.TempDir())
			f := files{o.Dir, "orders"}
			for num, b := range c.data {
				writeFile(t, f.dataPath(num), b)
			}
			writeFile(t, f.metaPath(), []byte(c.meta))
			q := reopen(t, "orders", o)
			wantDepth(t, q, len(c.want))
			for num, b := range c.data {
				if got, err := os.ReadFile(f.dataPath(num)); err == nil && len(got) > len(b) {
					t.Errorf("file %d grew from %d to %d bytes", num, len(b), len(got))
				}
			}
			wantRecords(t, take(q, 1000), c.want)
			putAll(t, q, records(50, 60))
			wantRecords(t, take(q, 1000), records(50, 60))
		})
	}
}

// What lies before the recorded write position is not read at start, however
// much it is: here it would not make sense.
func TestRecordedBacklogIsNotRead(t *testing.T) {
	o := testOptions(t.TempDir())
	f := files{o.Dir, "orders"}
	data := append(make([]byte, 1000), encoded(records(0, 5))...)
	writeFile(t, f.dataPath(0), data)
	writeFile(t, f.metaPath(), []byte("7\n0,0\n0,1000\n"))
	c := checker{files: f, minRecord: o.MinRecord, maxRecord: o.MaxRecord, log: o.Logger}
	if err := c.check(listing{meta: true, data: []int64{0}}); err != nil {
		t.Fatal(err)
	}
	want := "12\n0,0\n0," + text(int64(len(data))) + "\n"
	if got := readFile(t, f.metaPath()); got != want {
		t.Errorf("meta file %q, want %q", got, want)
	}
	if got := readFile(t, f.dataPath(0)); got != string(data) {
		t.Error("the data file was changed")
	}
}

func TestLeftOverTempFilesAreRemoved(t *testing.T) {
	o := testOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 3))
	mustClose(t, q)
	writeFile(t, q.files.metaPath()+".12345.tmp", []byte("1\n"))
	other := files{o.Dir, "orders:audit"}.metaPath() + ".12345.tmp"
	writeFile(t, other, []byte("1\n"))
	q = reopen(t, "orders", o)
	wantDepth(t, q, 3)
	want := []string{"orders.diskqueue.000000.dat", "orders.diskqueue.meta.dat", filepath.Base(other)}
	if names := dirNames(t, o.Dir); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

// A lower limit for new records must not make stored ones unreadable; that is
// what a generous MaxRecord is for.
func TestRecordsUpToMaxRecordAreRead(t *testing.T) {
	o := testOptions(t.TempDir())
	big := strings.Repeat("b", int(o.MaxRecord))
	q := newQueue(t, "orders", o)
	putAll(t, q, []string{"a", big, "c"})
	q = reopen(t, "orders", crash(t, o))
	wantRecords(t, take(q, 10), []string{"a", big, "c"})
}
