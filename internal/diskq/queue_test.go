package diskq

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

func TestFirstInFirstOut(t *testing.T) {
	q := newQueue(t, "orders", testOptions(t.TempDir()))
	putAll(t, q, records(0, 50))
	putBatch(t, q, records(50, 100))
	wantDepth(t, q, 100)
	recs, err := q.Read([][]byte{[]byte("already there")}, 30, 1<<20)
	if err != nil || len(recs) != 31 || string(recs[0]) != "already there" || string(recs[30]) != record(29) {
		t.Fatalf("Read did not append 30 records: %.200q, %v", recs, err)
	}
	wantDepth(t, q, 70)
	wantRecords(t, take(t, q, 1000), records(30, 100))
	wantDepth(t, q, 0)
	for _, limit := range []int{1, 0, -1} {
		if got := take(t, q, limit); len(got) != 0 {
			t.Errorf("Read of %d from an empty queue = %q", limit, got)
		}
	}
}

func TestReadKeepsToItsBytes(t *testing.T) {
	q := newQueue(t, "orders", testOptions(t.TempDir()))
	putBatch(t, q, records(0, 20))
	for want, bytes := range map[int]int{1: 1, 2: len(record(0)) + 1, 0: 0} {
		if recs, err := q.Read(nil, 100, bytes); len(recs) != want || err != nil {
			t.Errorf("Read of %d bytes gave %d records, want %d; %v", bytes, len(recs), want, err)
		}
		q.Empty()
		putBatch(t, q, records(0, 20))
	}
}

func TestUnusedQueueOpensAndCreatesNothing(t *testing.T) {
	dir := t.TempDir()
	q := newQueue(t, "orders", testOptions(dir))
	wantDepth(t, q, 0)
	if got := take(t, q, 1); len(got) != 0 {
		t.Errorf("Read = %q", got)
	}
	for _, b := range []*Batch{batch(""), batch("record 000"), batch(record(1), "record")} {
		if err := q.Put(b); err == nil {
			t.Error("a record of an impossible length was taken")
		}
	}
	if err := q.Put(&Batch{}); err != nil {
		t.Errorf("Put of no record: %v", err)
	}
	wantFiles(t, dir)
	mustClose(t, q)
	wantFiles(t, dir)
}

func TestOpenFailureIsReportedAndTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	q := newQueue(t, "orders", testOptions(dir))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := q.Put(batch(record(0))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Put without the directory: %v", err)
	}
	wantDepth(t, q, 0)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	putAll(t, q, records(1, 2))
	wantRecords(t, take(t, q, 10), records(1, 2))
}

func TestReopenAfterCloseKeepsEverything(t *testing.T) {
	o := quickOptions(t.TempDir())
	o.MaxBytesPerFile = 500
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 50))
	putBatch(t, q, records(50, 100))
	wantRecords(t, take(t, q, 33), records(0, 33))
	mustClose(t, q)
	wantDepth(t, q, 67)
	mustClose(t, q)

	var log loggingtest.Buffer
	o.Logger = log.Logger(slog.LevelDebug)
	q = reopen(t, "orders", o)
	wantDepth(t, q, 67)
	putAll(t, q, records(100, 110))
	wantRecords(t, take(t, q, 1000), records(33, 110))
	mustClose(t, q)
	q = reopen(t, "orders", o)
	wantDepth(t, q, 0)
	if s := log.String(); s != "" {
		t.Errorf("a cleanly closed queue logged %s", s)
	}
	if d := q.Damage(); d != (Damage{}) {
		t.Errorf("damage %+v", d)
	}
}

func TestClosedQueueRefuses(t *testing.T) {
	for name, end := range map[string]func(*Queue) error{"Close": (*Queue).Close, "Delete": (*Queue).Delete} {
		q := newQueue(t, "orders", testOptions(t.TempDir()))
		putAll(t, q, records(0, 3))
		if err := end(q); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for op, err := range map[string]error{"Put": q.Put(batch(record(9))), "Open": q.Open(), "Empty": q.Empty()} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after %s: %v, want ErrClosed", op, name, err)
			}
		}
		if recs, err := q.Read(nil, 1, 1<<20); len(recs) != 0 || name == "Close" && !errors.Is(err, ErrClosed) {
			t.Errorf("Read after %s: %q, %v", name, recs, err)
		}
	}
}

func TestDeleteRemovesItsOwnFilesOnly(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	o.MaxBytesPerFile = 100
	for _, name := range []string{"a.b", "a:c", "a.diskqueue", "aa"} {
		q := newQueue(t, name, o)
		putAll(t, q, records(0, 10))
		mustClose(t, q)
	}
	writeFile(t, filepath.Join(dir, "a.diskqueue.000000.dat.bad"), []byte("from long ago"))
	kept := dirNames(t, dir)
	for state, end := range map[string]func(*Queue) error{
		"open":         func(q *Queue) error { return q.Delete() },
		"synced":       func(q *Queue) error { return errors.Join(q.sync(), q.Delete()) },
		"closed":       func(q *Queue) error { return errors.Join(q.Close(), q.Delete()) },
		"emptied":      func(q *Queue) error { return errors.Join(q.Empty(), q.Delete()) },
		"used again":   func(q *Queue) error { return errors.Join(q.Empty(), q.Put(batch(record(0))), q.Delete()) },
		"half read":    func(q *Queue) error { take(t, q, 5); return q.Delete() },
		"never opened": func(q *Queue) error { return errors.Join(q.Close(), openQuiet(t, o).Queue("a").Delete()) },
		"deleted":      func(q *Queue) error { return errors.Join(q.Delete(), q.Delete()) },
	} {
		q := newQueue(t, "a", o)
		putAll(t, q, records(0, 10))
		if err := end(q); err != nil {
			t.Errorf("Delete of a queue that is %s: %v", state, err)
		}
		if names := dirNames(t, dir); !slices.Equal(names, kept) {
			t.Errorf("Delete of a queue that is %s left %q, want %q", state, names, kept)
		}
	}
}

func TestEmptyDropsRecords(t *testing.T) {
	o := quickOptions(t.TempDir())
	o.MaxBytesPerFile = 300
	q := newQueue(t, "orders", o)
	for round := range 3 {
		putAll(t, q, records(0, 10))
		take(t, q, 2*round)
		if err := q.Empty(); err != nil {
			t.Fatal(err)
		}
		wantDepth(t, q, 0)
		wantFiles(t, o.Dir)
		putAll(t, q, records(10, 12))
		wantDepth(t, q, 2)
		wantRecords(t, take(t, q, 10), records(10, 12))
	}
	putAll(t, q, records(20, 30))
	mustClose(t, q)

	q = newQueue(t, "orders", o)
	if err := q.Empty(); err != nil {
		t.Fatalf("Empty of a queue not opened yet: %v", err)
	}
	wantFiles(t, o.Dir)
	putAll(t, q, records(0, 3))
	wantRecords(t, take(t, q, 10), records(0, 3))
}

// A kill in the middle must not bring some of the records back, nor all of them
// once the first file is gone.
func TestKillWhileEmptyingLeavesNoGhosts(t *testing.T) {
	for _, end := range []func(*Queue) error{(*Queue).Empty, (*Queue).Delete} {
		for removals := 1; ; removals++ {
			o := quickOptions(t.TempDir())
			o.MaxBytesPerFile = 100
			d := &faultyDisk{quick: true}
			o.disk = d
			q := newQueue(t, "orders", o)
			putAll(t, q, records(0, 12))
			mustSync(t, q)
			files := len(dirNames(t, o.Dir))
			left := removals
			d.fail = func(op, _ string) error { // the kill: from some removal on nothing happens any more
				if op == "remove" {
					left--
				}
				if left < 0 {
					return errors.New("killed")
				}
				return nil
			}
			end(q)
			o = crash(t, o)
			o.disk = &faultyDisk{quick: true}
			q = reopen(t, "orders", o)
			wantDepth(t, q, 0)
			if removals > files {
				break
			}
		}
	}
}

func TestDirectoryNameIsTakenLiterally(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "100% full of %s and %d spaces")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := testOptions(dir)
	q := newQueue(t, "orders:50", o)
	putAll(t, q, records(0, 10))
	mustClose(t, q)
	wantFiles(t, dir, "orders:50.diskqueue.000000.dat", "orders:50.diskqueue.meta.dat")
	q = reopen(t, "orders:50", o)
	wantRecords(t, take(t, q, 100), records(0, 10))
}

// Whatever the distance between writer and reader, files that were read are
// removed, and nothing is taken for damaged.
func TestReaderThatCatchesUp(t *testing.T) {
	for _, lag := range []int{0, 1, 2, 20} { // records left unread behind the writer
		dir := t.TempDir()
		var log loggingtest.Buffer
		o := testOptions(dir)
		o.MaxBytesPerFile = 300
		o.Logger = log.Logger(slog.LevelWarn)
		q := newQueue(t, "orders", o)
		var got []string
		for i := range 200 {
			putAll(t, q, []string{record(i)})
			if q.Depth() > int64(lag) {
				got = append(got, take(t, q, 1)...)
			}
			if i%7 == 0 {
				mustSync(t, q)
			}
		}
		got = append(got, take(t, q, lag)...)
		wantRecords(t, got, records(0, 200))
		mustClose(t, q)
		if s := log.String(); s != "" {
			t.Errorf("lag %d: logged %s", lag, s)
		}
		if names := dirNames(t, dir); len(names) != 2 {
			t.Errorf("lag %d: files %q, want the last data file and the meta file", lag, names)
		}
	}
}

func TestSyncEvery(t *testing.T) {
	for _, every := range []int64{0, 1} {
		o := quickOptions(t.TempDir())
		o.SyncEvery = every
		q := newQueue(t, "orders", o)
		for i := 1; i <= 3; i++ {
			putAll(t, q, []string{record(i)})
			if m, err := parseMeta([]byte(readFile(t, q.files.metaPath()))); err != nil || m.depth != int64(i) {
				t.Errorf("SyncEvery %d: after %d records the meta file says %d, %v", every, i, m.depth, err)
			}
		}
	}
}

// A batch that does not fit goes on in the next file, as single records would.
func TestBatchesRollLikeSingleRecords(t *testing.T) {
	for size := int64(1); size < 400; size += 57 {
		contents := map[bool]string{}
		for _, single := range []bool{true, false} {
			o := quickOptions(t.TempDir())
			o.MaxBytesPerFile = size
			q := newQueue(t, "orders", o)
			for from := 0; from < 30; from += 6 {
				if single {
					putAll(t, q, records(from, from+6))
				} else {
					putBatch(t, q, records(from, from+6))
				}
			}
			for _, name := range dirNames(t, o.Dir) {
				contents[single] += name + "\n" + readFile(t, filepath.Join(o.Dir, name)) + "\n"
			}
			wantRecords(t, takeAll(t, q), records(0, 30))
		}
		if contents[true] != contents[false] {
			t.Errorf("files of %d bytes: single records and batches differ", size)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := testOptions(b.TempDir())
			o.MaxBytesPerFile, o.SyncEvery = 100<<20, 2500
			q := useQueue(b, openStore(b, o), "orders")
			recs := &Batch{}
			for i := range n {
				recs.End(append(recs.Begin(), record200(i)...))
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := q.Put(recs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}

func record200(i int) string { return fmt.Sprintf("record %04d %s", i, strings.Repeat("x", 200)) }

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := testOptions(b.TempDir())
			o.MaxBytesPerFile, o.SyncEvery = 100<<20, 2500
			q := useQueue(b, openStore(b, o), "orders")
			recs := &Batch{}
			for i := range 1000 {
				recs.End(append(recs.Begin(), record200(i)...))
			}
			dst := make([][]byte, 0, n)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if q.Depth() < int64(n) {
					b.StopTimer()
					for range 100 {
						if err := q.Put(recs); err != nil {
							b.Fatal(err)
						}
					}
					b.StartTimer()
				}
				var err error
				if dst, err = q.Read(dst[:0], n, 1<<20); len(dst) != n || err != nil {
					b.Fatalf("read %d records, %v", len(dst), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
}
