package diskq

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func testOptions(dir string) Options {
	return Options{
		Dir:             dir,
		MaxBytesPerFile: 1 << 20,
		MinRecord:       1,
		MaxRecord:       1 << 10,
		SyncEvery:       1 << 30, // leave the meta file stale unless a test wants otherwise
		SyncTimeout:     time.Hour,
		Logger:          slog.New(slog.DiscardHandler),
	}
}

func newQueue(t testing.TB, name string, o Options) *Queue {
	t.Helper()
	q := New(name, o)
	t.Cleanup(func() { q.Close() })
	return q
}

// A logBuffer keeps log lines for a test to look at.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
}

func record(i int) string { return fmt.Sprintf("record %04d %s", i, strings.Repeat("x", i%50)) }

func records(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, record(i))
	}
	return s
}

func putAll(t testing.TB, q *Queue, recs []string) {
	t.Helper()
	for _, r := range recs {
		if err := q.Put([]byte(r)); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
}

// take claims and reads up to limit records.
func take(q *Queue, limit int) []string {
	var s []string
	for _, r := range q.Read(q.Claim(limit), nil) {
		s = append(s, string(r))
	}
	return s
}

func wantDepth(t testing.TB, q *Queue, want int) {
	t.Helper()
	if got := q.Depth(); got != int64(want) {
		t.Errorf("Depth() = %d, want %d", got, want)
	}
}

func wantRecords(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %d records %.300q, want %d %.300q", len(got), got, len(want), want)
	}
}

func mustClose(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func reopen(t testing.TB, name string, o Options) *Queue {
	t.Helper()
	q := newQueue(t, name, o)
	if err := q.Open(); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return q
}

func dirNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFirstInFirstOut(t *testing.T) {
	q := newQueue(t, "orders", testOptions(t.TempDir()))
	putAll(t, q, records(0, 100))
	wantDepth(t, q, 100)

	n := q.Claim(30)
	if n != 30 {
		t.Fatalf("Claim(30) = %d", n)
	}
	wantDepth(t, q, 70)
	dst := [][]byte{[]byte("already there")}
	dst = q.Read(n, dst)
	if len(dst) != 31 || string(dst[0]) != "already there" || string(dst[30]) != record(29) {
		t.Fatalf("Read did not append 30 records: %.200q", dst)
	}
	wantRecords(t, take(q, 1000), records(30, 100))
	wantDepth(t, q, 0)
	for _, limit := range []int{1, 0, -1} {
		if n := q.Claim(limit); n != 0 {
			t.Errorf("Claim(%d) on an empty queue = %d", limit, n)
		}
	}
}

func TestNewOpensAndStartsNothing(t *testing.T) {
	dir := t.TempDir()
	q := New("orders", testOptions(dir))
	wantDepth(t, q, 0)
	if n := q.Claim(1); n != 0 {
		t.Errorf("Claim = %d", n)
	}
	goleak.VerifyNone(t)
	if err := q.Put(nil); err == nil {
		t.Error("a record that is too short was taken")
	}
	if err := q.Put(make([]byte, 1<<10+1)); err == nil {
		t.Error("a record that is too long was taken")
	}
	if names := dirNames(t, dir); len(names) != 0 {
		t.Errorf("files %q before the first record", names)
	}
	mustClose(t, q)
	if names := dirNames(t, dir); len(names) != 0 {
		t.Errorf("Close of an unused queue left %q", names)
	}
}

func TestOpenFailureIsReportedAndTriedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	q := newQueue(t, "orders", testOptions(dir))
	if err := q.Put([]byte("early")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Put without the directory: %v", err)
	}
	wantDepth(t, q, 0)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	putAll(t, q, []string{"late"})
	wantRecords(t, take(q, 10), []string{"late"})
}

func TestReopenAfterCloseKeepsEverything(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 500
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 100))
	wantRecords(t, take(q, 33), records(0, 33))
	mustClose(t, q)
	wantDepth(t, q, 67)
	mustClose(t, q)

	var log logBuffer
	o.Logger = log.logger(slog.LevelWarn)
	q = reopen(t, "orders", o)
	wantDepth(t, q, 67)
	if s := log.String(); s != "" {
		t.Errorf("opening a cleanly closed queue logged %s", s)
	}
	putAll(t, q, records(100, 110))
	wantRecords(t, take(q, 1000), records(33, 110))
	mustClose(t, q)
	q = reopen(t, "orders", o)
	wantDepth(t, q, 0)
}

func TestClaimedButUnreadRecordsSurviveClose(t *testing.T) {
	o := testOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	n := q.Claim(4)
	mustClose(t, q)
	if got := q.Read(n, nil); len(got) != 0 {
		t.Errorf("Read after Close returned %q", got)
	}
	if n := q.Claim(4); n != 0 {
		t.Errorf("Claim after Close = %d", n)
	}
	wantDepth(t, q, 10)
	q = reopen(t, "orders", o)
	wantDepth(t, q, 10)
	wantRecords(t, take(q, 100), records(0, 10))
}

func TestClosedQueueRefuses(t *testing.T) {
	for name, end := range map[string]func(*Queue) error{"Close": (*Queue).Close, "Delete": (*Queue).Delete} {
		q := newQueue(t, "orders", testOptions(t.TempDir()))
		putAll(t, q, records(0, 3))
		if err := end(q); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for op, err := range map[string]error{"Put": q.Put([]byte("x")), "Open": q.Open(), "Empty": q.Empty()} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after %s: %v, want ErrClosed", op, name, err)
			}
		}
	}
}

func TestDeleteRemovesItsOwnFilesOnly(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	o.MaxBytesPerFile = 100
	others := []string{"a.b", "a:c", "a.diskqueue", "aa"}
	for _, name := range others {
		q := newQueue(t, name, o)
		putAll(t, q, records(0, 10))
		mustClose(t, q)
	}
	kept := dirNames(t, dir)

	for _, names := range []*Names{nil, listNames(t, dir)} {
		o.Names = names
		testDelete(t, o, kept)
	}
	if err := New("a", testOptions(filepath.Join(dir, "missing"))).Delete(); err != nil {
		t.Errorf("Delete without the directory: %v", err)
	}
}

func testDelete(t *testing.T, o Options, kept []string) {
	t.Helper()
	for state, end := range map[string]func(*Queue) error{
		"open":         func(q *Queue) error { return q.Delete() },
		"closed":       func(q *Queue) error { return errors.Join(q.Close(), q.Delete()) },
		"emptied":      func(q *Queue) error { return errors.Join(q.Empty(), q.Delete()) },
		"used again":   func(q *Queue) error { return errors.Join(q.Empty(), q.Put([]byte("x")), q.Delete()) },
		"half read":    func(q *Queue) error { take(q, 5); return q.Delete() },
		"never opened": func(q *Queue) error { return errors.Join(q.Close(), New("a", o).Delete()) },
		"deleted":      func(q *Queue) error { return errors.Join(q.Delete(), q.Delete()) },
	} {
		q := newQueue(t, "a", o)
		putAll(t, q, records(0, 10))
		if err := end(q); err != nil {
			t.Errorf("Delete of a queue that is %s: %v", state, err)
		}
		if names := dirNames(t, o.Dir); !slices.Equal(names, kept) {
			t.Errorf("Delete of a queue that is %s left %q, want %q", state, names, kept)
		}
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
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := exists(dir, "a"); err != nil || got != want {
			t.Errorf("exists(a) with %s = %v, %v, want %v", file, got, err, want)
		}
		if got, err := listNames(t, dir).Has("a"); err != nil || got != want {
			t.Errorf("Has(a) with %s = %v, %v, want %v", file, got, err, want)
		}
	}
	if got, err := exists(filepath.Join(t.TempDir(), "missing"), "a"); err != nil || got {
		t.Errorf("exists without the directory = %v, %v", got, err)
	}
}

func TestEmptyDropsRecordsAndClaims(t *testing.T) {
	o := testOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	n := q.Claim(4)
	if err := q.Empty(); err != nil {
		t.Fatal(err)
	}
	wantDepth(t, q, 0)
	putAll(t, q, records(10, 12)) // not for the old claim
	if got := q.Read(n, nil); len(got) != 0 {
		t.Errorf("a claim from before Empty was served %q", got)
	}
	wantDepth(t, q, 2)
	wantRecords(t, take(q, 10), records(10, 12))
	mustClose(t, q)

	q = newQueue(t, "orders", o)
	if err := q.Empty(); err != nil {
		t.Fatalf("Empty of a queue not opened yet: %v", err)
	}
	if ok, err := exists(o.Dir, "orders"); ok || err != nil {
		t.Errorf("files left after Empty of a queue not opened yet: %v, %v", ok, err)
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
	want := []string{"orders:50.diskqueue.000000.dat", "orders:50.diskqueue.meta.dat"}
	if names := dirNames(t, dir); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	q = reopen(t, "orders:50", o)
	wantRecords(t, take(q, 100), records(0, 10))
}

// go-diskqueue alone takes a file that was read to its end before the writer
// rolled for a damaged one.
func TestReaderThatCatchesUpLeavesNoBadFiles(t *testing.T) {
	for _, lag := range []int{0, 1, 2, 20} { // records left unread behind the writer
		dir := t.TempDir()
		var log logBuffer
		o := testOptions(dir)
		o.MaxBytesPerFile = 300
		o.Logger = log.logger(slog.LevelWarn)
		q := newQueue(t, "orders", o)
		var got []string
		for i := range 200 {
			putAll(t, q, []string{record(i)})
			if q.Depth() > int64(lag) {
				got = append(got, take(q, 1)...)
			}
		}
		got = append(got, take(q, lag)...)
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
		o := testOptions(t.TempDir())
		o.SyncEvery = every
		q := newQueue(t, "orders", o)
		for i := 1; i <= 3; i++ {
			putAll(t, q, []string{record(i)})
			q.dq.Depth() // answered after the sync
			if m, err := q.files.readMeta(); err != nil || m.depth != int64(i) {
				t.Errorf("SyncEvery %d: after %d records the meta file says %d, %v", every, i, m.depth, err)
			}
		}
	}
}

func BenchmarkPut(b *testing.B) {
	o := testOptions(b.TempDir())
	o.MaxBytesPerFile, o.SyncEvery = 100<<20, 2500
	q := newQueue(b, "orders", o)
	rec := make([]byte, 226)
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Put(rec); err != nil {
			b.Fatal(err)
		}
	}
}

// One operation is one record; they are claimed and read 64 at a time.
func BenchmarkClaimRead(b *testing.B) {
	const batch, filled = 64, 64 * 256
	o := testOptions(b.TempDir())
	o.MaxBytesPerFile = 100 << 20
	q := newQueue(b, "orders", o)
	rec := make([]byte, 226)
	dst := make([][]byte, 0, batch)
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	for n := 0; n < b.N; n += batch {
		if q.Depth() == 0 {
			b.StopTimer()
			for range filled {
				if err := q.Put(rec); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		if dst = q.Read(q.Claim(batch), dst[:0]); len(dst) != batch {
			b.Fatalf("read %d records", len(dst))
		}
	}
}
