package diskq

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// Damage costs the records that it hits, and no others; nothing altered is read.
func TestDamageCostsItself(t *testing.T) {
	const all = 40
	starts := make([]int64, all+1)
	for i := range starts {
		starts[i] = recordOffset(i)
	}
	length := func(i int, n uint32) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint32(b[starts[i]:], n) }
	}
	own := func(i, change int) uint32 { return uint32(len(record(i)) + change) }
	for name, c := range map[string]struct {
		damage func(b []byte)
		lost   []int
	}{
		"length too large":               {length(17, 1<<30), []int{17}},
		"length beyond the end":          {length(17, 3000), []int{17}},
		"length negative":                {length(17, 1<<32-5), []int{17}},
		"length zero":                    {length(17, 0), []int{17}},
		"length below the header":        {length(17, 5), []int{17}},
		"length one too small":           {length(17, own(17, -1)), []int{17}},
		"length one too large":           {length(17, own(17, 1)), []int{17}},
		"length some too small":          {length(17, own(17, -9)), []int{17}},
		"length some too large":          {length(17, own(17, 40)), []int{17}},
		"first length":                   {length(0, 77777), []int{0}},
		"last length":                    {length(all-1, 77777), []int{all - 1}},
		"last length too small":          {length(all-1, own(all-1, -2)), []int{all - 1}},
		"header":                         {func(b []byte) { b[starts[17]+sizeLen] ^= 1 }, []int{17}},
		"two headers":                    {func(b []byte) { b[starts[17]+sizeLen] ^= 1; b[starts[18]+sizeLen] ^= 1 }, []int{17, 18}},
		"first header":                   {func(b []byte) { b[sizeLen] ^= 1 }, []int{0}},
		"last header":                    {func(b []byte) { b[starts[all-1]+sizeLen] ^= 1 }, []int{all - 1}},
		"lengths of two, one between":    {func(b []byte) { length(17, 9999)(b); length(19, 9999)(b) }, []int{17, 19}},
		"length and header":              {func(b []byte) { length(17, own(17, 2))(b); b[starts[17]+sizeLen] ^= 1 }, []int{16, 17}}, // the end of 16 cannot be told
		"zeros within records":           {func(b []byte) { clear(b[starts[10]+20 : starts[30]+20]) }, seq(10, 31)},
		"zeros from a record on":         {func(b []byte) { clear(b[starts[10]:starts[30]]) }, seq(10, 30)},
		"zeros over the first":           {func(b []byte) { clear(b[:starts[1]+10]) }, []int{0, 1}},
		"zeros to the end":               {func(b []byte) { clear(b[starts[30]+20:]) }, seq(30, all)},
		"zeros that end within a length": {func(b []byte) { clear(b[starts[10]+20 : starts[12]+4]) }, seq(10, 13)},
		"everything":                     {func(b []byte) { clear(b) }, seq(0, all)},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			for i := range all {
				if !slices.Contains(c.lost, i) {
					want = append(want, record(i))
				}
			}
			for _, meta := range []bool{true, false} {
				testDamage(t, c.damage, all, want, meta)
			}
		})
	}
}

func seq(from, to int) (s []int) {
	for i := from; i < to; i++ {
		s = append(s, i)
	}
	return s
}

// testDamage damages the second of three files with records(0, all).
func testDamage(t *testing.T, damage func([]byte), all int, want []string, withMeta bool) {
	t.Helper()
	var log loggingtest.Buffer
	o := quickOptions(t.TempDir())
	o.Logger = log.Logger(slog.LevelError)
	f := files{o.Dir, "orders"}
	before, after := records(100, 110), records(200, 210)
	writeFile(t, f.dataPath(0), encoded(before))
	good := encoded(records(0, all))
	bad := slices.Clone(good)
	damage(bad)
	writeFile(t, f.dataPath(1), bad)
	writeFile(t, f.dataPath(2), encoded(after))
	if withMeta {
		m := meta{depth: int64(20 + all), write: position{2, int64(len(encoded(after)))}}
		writeFile(t, f.metaPath(), m.encode())
	}
	q := reopen(t, "orders", o)
	want = slices.Concat(before, want, after)
	wantRecords(t, takeAll(t, q), want)
	wantDepth(t, q, 0)
	d := q.Damage()
	if lost := int64(20 + all - len(want)); withMeta && (d.Records != lost || d.Metas != 0) {
		t.Errorf("damage %+v, want %d records lost", d, lost)
	}
	if !withMeta && d.Metas != 1 {
		t.Errorf("without a meta file, damage %+v", d)
	}
	if string(bad) != string(good) && d.Ranges == 0 && len(want) != all+19 {
		t.Errorf("damage %+v", d)
	}
	lines := strings.Count(log.String(), "damaged data was skipped")
	if int64(lines) != d.Ranges || lines > 0 && !strings.Contains(log.String(), "file="+f.dataPath(1)+" offset=") {
		t.Errorf("%d ranges, logged %s", d.Ranges, log.String())
	}
	putAll(t, q, records(300, 305))
	wantRecords(t, takeAll(t, q), records(300, 305))
	mustClose(t, q)
}

// What was skipped is kept for people to look at.
func TestDamagedBytesAreCopied(t *testing.T) {
	o := quickOptions(t.TempDir())
	f := files{o.Dir, "orders"}
	data := encoded(records(0, 10))
	data[recordOffset(3)] = 0xff
	writeFile(t, f.dataPath(0), data)
	q := reopen(t, "orders", o)
	wantRecords(t, takeAll(t, q), slices.Concat(records(0, 3), records(4, 10)))
	path := f.badPath(0, recordOffset(3))
	if got := readFile(t, path); got != string(data[recordOffset(3):recordOffset(4)]) {
		t.Errorf("copied %q", got)
	}
	if err := q.Delete(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, o.Dir, fmt.Sprintf("orders.diskqueue.000000.dat.%d.bad", recordOffset(3)))
}

// Whatever is overwritten: nothing is read that was not written, all is read that
// was not touched but for neighbours, the counts end exact and reading ends.
func TestRandomDamage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		o := quickOptions(t.TempDir())
		f := files{o.Dir, "orders"}
		const all = 60
		data := encoded(records(0, all))
		from := rnd.IntN(len(data))
		to := min(len(data), from+1+rnd.IntN(300))
		for i := from; i < to; i++ {
			data[i] = byte(rnd.Uint32())
		}
		writeFile(t, f.dataPath(0), data)
		m := meta{depth: all, write: position{0, int64(len(data))}}
		writeFile(t, f.metaPath(), m.encode())
		q := reopen(t, "orders", o)
		got := takeAll(t, q)
		wantDepth(t, q, 0)
		mustClose(t, q)

		first, last := all, 0 // of the records that were touched
		for i := range all {
			if recordOffset(i) < int64(to) && recordOffset(i+1) > int64(from) {
				first, last = min(first, i), max(last, i)
			}
		}
		if !slices.Equal(got[:min(len(got), first-min(first, 1))], records(0, first-min(first, 1))) {
			t.Fatalf("bytes %d to %d changed: records before %d are gone", from, to, first-1)
		}
		tail := records(last+1, all)
		if len(got) < len(tail) || !slices.Equal(got[len(got)-len(tail):], tail) {
			t.Fatalf("bytes %d to %d changed: records after %d are gone", from, to, last)
		}
	}
}

// A queue of which files were removed while it is used goes on.
func TestFilesRemovedWhileInUse(t *testing.T) {
	o := quickOptions(t.TempDir())
	o.MaxBytesPerFile = 300
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 60))
	wantRecords(t, take(t, q, 1), records(0, 1))
	q.idle()
	for num := range q.write.file - 1 {
		osDisk{}.remove(q.files.dataPath(num))
	}
	got := takeAll(t, q)
	if len(got) == 0 || len(got) > 20 || got[len(got)-1] != record(59) {
		t.Errorf("what was left: %q", got)
	}
	if d := q.Damage(); d.Records != int64(59-len(got)) {
		t.Errorf("damage %+v, %d records read", d, len(got))
	}
	putAll(t, q, records(0, 3))
	osDisk{}.remove(q.files.dataPath(q.write.file))
	mustSync(t, q) // notices
	putAll(t, q, records(70, 80))
	q.idle()
	if got = takeAll(t, q); len(got) < 10 {
		t.Errorf("after the last file was removed came %q", got)
	}
	wantRecords(t, got[len(got)-10:], records(70, 80))
	mustClose(t, q)
}

// Whatever lies in the files, the queue opens, reading ends with an exact depth,
// what is read looks like records, and the queue goes on.
func FuzzFiles(f *testing.F) {
	data := encoded(records(0, 10))
	good := meta{depth: 20, write: position{1, int64(len(data))}}.encode()
	f.Add(data, data, good)
	f.Add(data[:len(data)-5], data, good)
	f.Add(data, data[7:], []byte("3\n0,11\n1,12\n"))
	f.Add(append([]byte{0xff}, data...), make([]byte, 100), []byte(nil))
	f.Add([]byte(nil), data, []byte("-1\n0,0\n0,0\n"))
	f.Add(data, []byte(nil), []byte("0\n0,5\n0,5\n"))
	f.Add([]byte("0"), []byte("0"), []byte("0\n0,0\n0,0\n"))
	f.Fuzz(func(t *testing.T, first, second, meta []byte) {
		o := quickOptions(t.TempDir())
		fs := files{o.Dir, "orders"}
		for num, b := range [][]byte{first, second} {
			if len(b) > 0 {
				writeFile(t, fs.dataPath(int64(num)), b)
			}
		}
		if len(meta) > 0 {
			writeFile(t, fs.metaPath(), meta)
		}
		q := reopen(t, "orders", o)
		for _, rec := range takeAll(t, q) {
			if len(rec) < headerLen || !plausible([]byte(rec[:headerLen])) {
				t.Errorf("read %q", rec)
			}
		}
		if q.read != q.write {
			t.Errorf("nothing is counted at %v, the end is %v", q.read, q.write)
		}
		putBatch(t, q, records(50, 53))
		wantRecords(t, takeAll(t, q), records(50, 53))
		putBatch(t, q, records(53, 55))
		mustClose(t, q)
		wantHealthy(t, "orders", o, records(53, 55))
	})
}

// The file that is being written may lose its end under our feet, in the middle
// of a record of any length.
func TestActiveFileCutInTheMiddleOfARecord(t *testing.T) {
	long := record(1) + strings.Repeat("y", 3*windowSize)
	o := testOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, []string{record(0), long})
	if err := os.Truncate(q.files.dataPath(0), recordOffset(1)+2*windowSize); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, takeAll(t, q), records(0, 1))
	if d := q.Damage(); d.Records != 1 || d.Ranges == 0 {
		t.Errorf("damage %+v", d)
	}
	putAll(t, q, records(2, 4))
	wantRecords(t, takeAll(t, q), records(2, 4))
}
