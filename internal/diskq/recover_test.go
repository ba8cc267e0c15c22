package diskq

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

func TestCrashLosesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		maxBytes      int64
		synced, taken int // what was done before the only sync, if that is not 0; the rest after it
		more, read    int
		want          int // number of the first record expected back
	}{
		"nothing synced, no meta file":      {1 << 20, 0, 0, 40, 0, 0},
		"meta file older than the data":     {1 << 20, 25, 0, 15, 0, 0},
		"everything synced":                 {1 << 20, 40, 0, 0, 0, 0},
		"read position synced":              {1 << 20, 40, 15, 0, 0, 15},
		"read position older than the data": {1 << 20, 40, 10, 0, 5, 10},
		"several files":                     {400, 0, 0, 100, 0, 0},
		"several files, some synced":        {400, 30, 20, 70, 30, 20},
		"several files, some read":          {400, 100, 50, 0, 0, 50},
		"all read":                          {400, 100, 100, 0, 0, 100},
	} {
		t.Run(name, func(t *testing.T) {
			var log loggingtest.Buffer
			o := quickOptions(t.TempDir())
			o.MaxBytesPerFile = c.maxBytes
			q := newQueue(t, "orders", o)
			putAll(t, q, records(0, c.synced))
			take(t, q, c.taken)
			if c.synced > 0 {
				mustSync(t, q)
			}
			putAll(t, q, records(c.synced, c.synced+c.more))
			take(t, q, c.read)
			o = crash(t, o)
			o.Logger = log.Logger(slog.LevelError)
			wantHealthy(t, "orders", o, records(c.want, c.synced+c.more))
			if s := log.String(); s != "" {
				t.Errorf("logged %s", s)
			}
		})
	}
}

func TestCrashWithoutMetaFileAfterEmpty(t *testing.T) {
	o := quickOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	if err := q.Empty(); err != nil {
		t.Fatal(err)
	}
	putAll(t, q, records(10, 15)) // in file 1
	o = crash(t, o)
	if ok, err := openQuiet(t, o).Has("orders"); !ok || err != nil {
		t.Errorf("Has = %v, %v", ok, err)
	}
	wantHealthy(t, "orders", o, records(10, 15))
}

func TestCrashIsContinuedInTheSameFile(t *testing.T) {
	o := quickOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 35))
	mustSync(t, q)
	putAll(t, q, records(35, 40))
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
	last := encoded([]string{record(40)})
	meta := meta{depth: 2, read: position{0, recordOffset(1)}, write: position{0, recordOffset(3)}}
	for cut := range last {
		for _, withMeta := range []bool{true, false} {
			o := quickOptions(t.TempDir())
			var log loggingtest.Buffer
			o.Logger = log.Logger(slog.LevelWarn)
			f := files{o.Dir, "orders"}
			good := encoded(records(0, whole))
			writeFile(t, f.dataPath(0), append(good, last[:cut]...))
			want := records(0, whole)
			if withMeta {
				writeFile(t, f.metaPath(), meta.encode())
				want = want[1:]
			}
			q := reopen(t, "orders", o)
			if d := q.Damage(); (d.Ranges != 0) != (cut > 0) || d.Bytes != int64(cut) || d.Records != 0 {
				t.Errorf("cut %d: damage %+v", cut, d)
			}
			mustClose(t, q)
			if got := readFile(t, f.dataPath(0)); got != string(good) {
				t.Errorf("cut %d: file has %d bytes, want %d", cut, len(got), len(good))
			}
			logged := strings.Contains(log.String(), "torn end of the last data file cut off") &&
				strings.Contains(log.String(), "offset="+text(recordOffset(whole))+" bytes="+text(int64(cut)))
			if logged != (cut > 0) {
				t.Errorf("cut %d: logged %s", cut, log.String())
			}
			wantHealthy(t, "orders", o, want)
		}
	}
}

// After a power cut a file may end in zeros.
func TestZerosAtTheEndAreCutOff(t *testing.T) {
	for _, zeros := range []int{1, 3, 4, 10, 15, 20, 100, 5000} {
		o := quickOptions(t.TempDir())
		f := files{o.Dir, "orders"}
		writeFile(t, f.dataPath(0), append(encoded(records(1, 6)), make([]byte, zeros)...))
		wantHealthy(t, "orders", o, records(1, 6))
	}
}

// Without any record there is nobody to read on to the damage. It is kept and
// told all the same.
func TestFilesOfNothingButDamage(t *testing.T) {
	var log loggingtest.Buffer
	o := quickOptions(t.TempDir())
	o.Logger = log.Logger(slog.LevelWarn)
	f := files{o.Dir, "orders"}
	for num := range int64(3) {
		writeFile(t, f.dataPath(num), []byte(strings.Repeat("?", 100+int(num))))
	}
	q := reopen(t, "orders", o)
	wantDepth(t, q, 0)
	if d := q.Damage(); d != (Damage{Ranges: 3, Bytes: 303, Metas: 1}) {
		t.Errorf("damage %+v", d)
	}
	putAll(t, q, records(0, 2))
	mustClose(t, q)
	for num := range int64(3) {
		if got := readFile(t, f.badPath(num, 0)); len(got) != 100+int(num) {
			t.Errorf("of file %d %d bytes were copied", num, len(got))
		}
		if !strings.Contains(log.String(), f.dataPath(num)+" offset=0") {
			t.Errorf("the log does not name file %d: %s", num, log.String())
		}
	}
	wantHealthy(t, "orders", o, records(0, 2))
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
		"depth -1":                 "-1\n0,0\n0," + end + "\n",
		"depth 0 yet unread":       "0\n0,0\n0," + end + "\n",
		"write beyond file":        "10\n0,0\n0,99999\n",
		"read beyond file":         "10\n0,99998\n0,99999\n",
		"read amid a record":       "10\n0,7\n0," + end + "\n",
		"read amid another record": "10\n0," + text(recordOffset(3)+20) + "\n0," + end + "\n",
		"write amid a record":      "10\n0,0\n0," + text(recordOffset(3)+20) + "\n",
		"files that are not there": "10\n0,0\n9223372036854775807,0\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := quickOptions(t.TempDir())
			var log loggingtest.Buffer
			o.Logger = log.Logger(slog.LevelWarn)
			f := files{o.Dir, "orders"}
			writeFile(t, f.dataPath(0), encoded(records(0, 10)))
			writeFile(t, f.metaPath(), []byte(content))
			q := reopen(t, "orders", o)
			if d := q.Damage(); d.Metas != 1 || d.Ranges != 0 {
				t.Errorf("damage %+v", d)
			}
			mustClose(t, q)
			if !strings.Contains(log.String(), f.metaPath()) {
				t.Errorf("the log does not name the meta file: %s", log.String())
			}
			wantHealthy(t, "orders", o, records(0, 10))
		})
	}
}

// A depth that is wrong but possible is not seen at the start. It is put right
// when the reader comes to where it shows.
func TestWrongDepthEndsExact(t *testing.T) {
	for _, depth := range []int64{1, 3, 9, 11, 1000} {
		o := quickOptions(t.TempDir())
		f := files{o.Dir, "orders"}
		writeFile(t, f.dataPath(0), encoded(records(0, 10)))
		writeFile(t, f.metaPath(), meta{depth: depth, write: position{0, recordOffset(10)}}.encode())
		q := reopen(t, "orders", o)
		wantDepth(t, q, int(depth))
		wantRecords(t, takeAll(t, q), records(0, 10))
		wantDepth(t, q, 0)
	}
}

func TestMetaFileThatDoesNotFit(t *testing.T) {
	all := encoded(records(0, 10))
	end := text(int64(len(all)))
	for name, c := range map[string]struct {
		meta string
		data map[int64][]byte
		want []string
		lost int64
	}{
		"depth without records":        {"3\n0," + end + "\n0," + end + "\n", map[int64][]byte{0: all}, nil, 0},
		"read file already removed":    {"14\n0,0\n1,0\n", map[int64][]byte{1: all}, records(0, 10), 4},
		"all data files removed":       {"14\n2,0\n3,77\n", nil, nil, 14},
		"data lost with the power":     {"8\n0," + text(recordOffset(2)) + "\n0," + end + "\n", map[int64][]byte{0: all[:recordOffset(7)+2]}, records(2, 7), 3},
		"even the read position lost":  {"5\n0,5000\n0,6000\n", map[int64][]byte{0: all}, records(0, 10), 0},
		"rolled, new file not created": {"0\n0," + end + "\n1,0\n", map[int64][]byte{0: all}, nil, 0},
		"a file between is missing":    {"30\n0,0\n2," + end + "\n", map[int64][]byte{0: all, 2: all}, append(records(0, 10), records(0, 10)...), 10},
		"the write file is missing":    {"15\n0,0\n1,99\n", map[int64][]byte{0: all}, records(0, 10), 5},
	} {
		t.Run(name, func(t *testing.T) {
			o := quickOptions(t.TempDir())
			f := files{o.Dir, "orders"}
			for num, b := range c.data {
				writeFile(t, f.dataPath(num), b)
			}
			writeFile(t, f.metaPath(), []byte(c.meta))
			q := reopen(t, "orders", o)
			wantDepth(t, q, len(c.want))
			wantRecords(t, takeAll(t, q), c.want)
			putAll(t, q, records(50, 60))
			wantRecords(t, takeAll(t, q), records(50, 60))
			if d := q.Damage(); d.Records != c.lost || d.Metas != 1 {
				t.Errorf("damage %+v, want %d records lost", d, c.lost)
			}
		})
	}
}

// What lies before the recorded write position is not read at the start, however
// much it is: here it would not make sense.
func TestRecordedBacklogIsNotReadAtTheStart(t *testing.T) {
	o := quickOptions(t.TempDir())
	d := &faultyDisk{quick: true}
	o.disk = d
	f := files{o.Dir, "orders"}
	const size = 50 << 20
	writeFile(t, f.dataPath(0), append(encoded(records(0, 1)), make([]byte, size)...))
	writeFile(t, f.dataPath(1), encoded(records(0, 7)))
	writeFile(t, f.metaPath(), meta{depth: 7, write: position{1, recordOffset(5)}}.encode())
	reads := 0
	d.fail = func(op, _ string) error {
		if op == "read" {
			reads++
		}
		return nil
	}
	q := reopen(t, "orders", o)
	wantDepth(t, q, 9)
	if reads > 5 {
		t.Errorf("opening read %d times", reads)
	}
}

func TestLeftOverTempFilesAreRemoved(t *testing.T) {
	o := quickOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 3))
	mustClose(t, q)
	kept := []string{
		"a.diskqueue.000000.dat", "a.diskqueue.000000.dat.77.bad", "a.diskqueue.000000.dat.bad", "a.diskqueue.meta.dat",
		"a.diskqueue.meta.dat.tmp", "nsqd.dat", "nsqd.dat.1.tmp", "orders.diskqueue.000000.dat", "orders.diskqueue.meta.dat",
	}
	for _, name := range append(kept[:7:7], "orders.diskqueue.meta.dat.1.tmp", "gone.diskqueue.meta.dat.23.tmp") {
		writeFile(t, filepath.Join(o.Dir, name), nil)
	}
	s := openQuiet(t, o)
	wantFiles(t, o.Dir, kept...)
	for name, want := range map[string]bool{"a": true, "orders": true, "gone": false} {
		if got, err := s.Has(name); got != want || err != nil {
			t.Errorf("Has(%s) = %v, %v", name, got, err)
		}
	}
	names := s.Names()
	slices.Sort(names)
	if !slices.Equal(names, []string{"a", "orders"}) {
		t.Errorf("Names() = %q", names)
	}
	q = useQueue(t, s, "orders")
	if err := q.Open(); err != nil {
		t.Fatal(err)
	}
	wantDepth(t, q, 3)
}

// There is no limit for what is read: one that was lowered must not make stored
// records unreadable.
func TestRecordsOfAnyLengthAreRead(t *testing.T) {
	o := quickOptions(t.TempDir())
	big := record(1) + strings.Repeat("b", 900)
	huge := record(2) + strings.Repeat("b", 100_000)
	q := newQueue(t, "orders", o)
	putAll(t, q, []string{record(0), big, huge, record(3)})
	o = crash(t, o)
	q = reopen(t, "orders", o)
	wantRecords(t, takeAll(t, q), []string{record(0), big, huge, record(3)})
	if d := q.Damage(); d.Ranges != 0 {
		t.Errorf("damage %+v", d)
	}
}

func TestExistsLooksAtWholeNames(t *testing.T) {
	for file, want := range map[string]bool{
		"a.diskqueue.meta.dat":             true,
		"a.diskqueue.000000.dat":           true,
		"a.diskqueue.000123.dat":           true,
		"a.diskqueue.1234567.dat":          true,
		"a.b.diskqueue.meta.dat":           false,
		"a:c.diskqueue.000000.dat":         false,
		"a.diskqueue.diskqueue.meta.dat":   false,
		"a.diskqueue.000000.dat.bad":       false,
		"a.diskqueue.00000.dat":            false,
		"a.diskqueue.0000001.dat":          false,
		"a.diskqueue.-00001.dat":           false,
		"a.diskqueue.meta.dat.123.tmp":     false,
		"aXdiskqueue.meta.dat":             false,
		"ba.diskqueue.000000.dat":          false,
		"a.diskqueue.000000.dat.diskqueue": false,
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, file), nil)
		s := openQuiet(t, testOptions(dir))
		for _, again := range []bool{false, true} {
			if got, err := s.Has("a"); err != nil || got != want {
				t.Errorf("Has(a) with %s, listed again %v = %v, %v, want %v", file, again, got, err, want)
			}
			s.used["a"] = true
		}
	}
	if _, err := OpenStore(testOptions(filepath.Join(t.TempDir(), "missing"))); !os.IsNotExist(err) {
		t.Errorf("OpenStore without the directory: %v", err)
	}
}
