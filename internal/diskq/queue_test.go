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
	"testing/synctest"
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

func TestDamageIsCountedAndLogged(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // fake clock: no waiting for stallTime
		var log logBuffer
		o := testOptions(dir)
		o.Logger = log.logger(slog.LevelInfo)
		q := New("orders", o)
		defer q.Close()
		putAll(t, q, records(0, 10))
		corrupt(t, q.files.dataPath(0), recordOffset(3), []byte{0xff})

		claimed := q.Claim(5)
		start := time.Now()
		var got []string
		for _, r := range q.Read(claimed, nil) {
			got = append(got, string(r))
		}
		wantRecords(t, got, records(0, 3))
		if d := time.Since(start); d > 2*stallTime {
			t.Errorf("Read gave up after %v", d)
		}
		wantDepth(t, q, 0)
		for _, line := range []string{
			`msg="disk queue lost records to damage" queue=orders records=7`,
			`level=WARN msg="DISKQUEUE(orders) jump to next file and saving bad file as`,
			`level=INFO msg="DISKQUEUE(orders): writeOne() opened`,
		} {
			if !strings.Contains(log.String(), line) {
				t.Errorf("no %s in the log:\n%s", line, log.String())
			}
		}

		putAll(t, q, records(10, 20))
		wantDepth(t, q, 10)
		wantRecords(t, take(q, 100), records(10, 20))
		wantNoClaims(t, q)
	})
	if !slices.Contains(dirNames(t, dir), "orders.diskqueue.000000.dat.bad") {
		t.Error("the damaged file was not kept")
	}
}

// A writer that goes on must not keep a Read waiting for records that are lost.
func TestDamageDoesNotHoldUpLaterRecords(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := New("orders", testOptions(dir))
		defer q.Close()
		putAll(t, q, records(0, 10))
		corrupt(t, q.files.dataPath(0), recordOffset(1), []byte{0xff}) // record 0 is read ahead

		done := make(chan []string)
		go func() { done <- take(q, 10) }()
		tick := time.NewTicker(stallTime / 3)
		defer tick.Stop()
		var put, got []string
		for got == nil {
			select {
			case got = <-done:
			case <-tick.C:
				put = append(put, record(len(put)+10))
				putAll(t, q, put[len(put)-1:])
			}
		}
		if len(put) > 6 {
			t.Errorf("Read returned after %d records were put", len(put))
		}
		got = append(got, take(q, 100)...)
		wantRecords(t, got, append(records(0, 1), put...))
		wantNoClaims(t, q)
	})
}

func TestCloseCutsShortAReadThatWaits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := New("orders", testOptions(dir))
		putAll(t, q, records(0, 10))
		corrupt(t, q.files.dataPath(0), recordOffset(1), []byte{0xff})
		start := time.Now()
		done := make(chan []string)
		go func() { done <- take(q, 10) }()
		synctest.Wait() // for records that are lost
		mustClose(t, q)
		wantRecords(t, <-done, records(0, 1))
		if d := time.Since(start); d != 0 {
			t.Errorf("Read and Close took %v", d)
		}
	})
}

func wantNoClaims(t testing.TB, q *Queue) {
	t.Helper()
	q.claims.Lock()
	defer q.claims.Unlock()
	if q.claimed != 0 || q.void != 0 {
		t.Errorf("all claims were read, but %d are counted, %d of them void", q.claimed, q.void)
	}
}

// blockMeta makes the next write of the meta file, and its reading, fail.
func blockMeta(t *testing.T, q *Queue) (unblock func()) {
	t.Helper()
	aside := filepath.Join(t.TempDir(), "meta")
	moved := os.Rename(q.files.metaPath(), aside) == nil
	in := filepath.Join(q.files.metaPath(), "file")
	if err := os.MkdirAll(in, 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(q.files.metaPath()); err != nil {
			t.Error(err)
		}
		if moved {
			if err := os.Rename(aside, q.files.metaPath()); err != nil {
				t.Error(err)
			}
		}
	}
}

// failedQueue holds records(0, 10), two of them claimed, and cannot be opened
// again after a failed write, until unblock is called.
func failedQueue(t *testing.T, o Options) (q *Queue, unblock func()) {
	t.Helper()
	q = New("orders", o)
	t.Cleanup(func() { q.Close() })
	putAll(t, q, records(0, 10))
	if n := q.Claim(2); n != 2 {
		t.Fatalf("Claim(2) = %d", n)
	}
	q.writing.Lock()
	if err := q.writeFailedLocked(); err != nil {
		t.Error(err)
	}
	q.writing.Unlock()
	unblock = blockMeta(t, q)
	for range 2 {
		if err := q.Put([]byte("refused")); err == nil {
			t.Error("Put into a queue that cannot be opened succeeded")
		}
	}
	wantDepth(t, q, 8)
	return q, unblock
}

func TestQueueThatCannotBeReopenedRecovers(t *testing.T) {
	for name, c := range map[string]struct {
		recover func(*Queue) error
		left    []string
	}{
		"Put":   {func(q *Queue) error { return q.Put([]byte(record(10))) }, records(0, 11)},
		"Open":  {(*Queue).Open, records(0, 10)},
		"Empty": {(*Queue).Empty, nil},
	} {
		q, unblock := failedQueue(t, testOptions(t.TempDir()))
		unblock()
		if err := c.recover(q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, r := range q.Read(2, nil) {
			got = append(got, string(r))
		}
		wantRecords(t, append(got, take(q, 100)...), c.left)
		wantDepth(t, q, 0)
		wantNoClaims(t, q)
		putAll(t, q, records(20, 30))
		wantRecords(t, take(q, 100), records(20, 30))
	}
}

// Whoever reads must not wait for a disk that may never come back.
func TestReadGivesClaimsBackWhileAQueueCannotBeReopened(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, unblock := failedQueue(t, testOptions(dir))
		start := time.Now()
		if got, d := q.Read(2, nil), time.Since(start); len(got) != 0 || d != stallTime {
			t.Errorf("Read returned %q after %v", got, d)
		}
		wantDepth(t, q, 10)
		if n := q.Claim(10); n != 0 {
			t.Errorf("%d records were claimed that cannot be read", n)
		}
		unblock()
		if err := q.Open(); err != nil {
			t.Error(err)
		}
		wantRecords(t, take(q, 100), records(0, 10))
		mustClose(t, q)
	})
}

func TestReadReopensAQueue(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, unblock := failedQueue(t, testOptions(dir))
		time.AfterFunc(stallTime/2, unblock)
		if got := q.Read(2, nil); len(got) != 2 || string(got[1]) != record(1) {
			t.Errorf("Read returned %q", got)
		}
		wantRecords(t, take(q, 100), records(2, 10))
		mustClose(t, q)
	})
}

func TestQueueThatCannotBeReopenedIsClosed(t *testing.T) {
	for _, later := range []bool{false, true} { // the fault is gone before Close, or after
		o := testOptions(t.TempDir())
		q, unblock := failedQueue(t, o)
		if !later {
			unblock()
		}
		if err := q.Close(); (err != nil) != later {
			t.Errorf("Close: %v", err)
		}
		mustClose(t, q)
		wantDepth(t, q, 10)
		if later {
			unblock()
		}
		wantHealthy(t, "orders", o, records(0, 10))

		q, unblock = failedQueue(t, testOptions(t.TempDir()))
		unblock()
		if err := q.Delete(); err != nil {
			t.Errorf("Delete: %v", err)
		}
		mustClose(t, q)
		wantDepth(t, q, 0)
		if names := dirNames(t, q.opts.Dir); len(names) != 0 {
			t.Errorf("Delete left %q", names)
		}
	}
}

// A Put that must renew the queue gets through although a Read is waiting.
func TestPutAfterAFailedWriteDoesNotWaitForRead(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := New("orders", testOptions(dir))
		putAll(t, q, records(0, 10))
		corrupt(t, q.files.dataPath(0), recordOffset(1), []byte{0xff})
		done := make(chan []string)
		go func() { done <- take(q, 10) }()
		synctest.Wait() // for records that are lost
		q.writing.Lock()
		q.torn = true
		q.writing.Unlock()
		start := time.Now()
		putAll(t, q, []string{"new"})
		if d := time.Since(start); d != 0 {
			t.Errorf("Put took %v", d)
		}
		wantRecords(t, <-done, []string{record(0), "new"})
		mustClose(t, q)
	})
}

func TestConcurrentUseDeliversEachRecordOnce(t *testing.T) {
	const putters, readers, each = 4, 4, 500
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 2000
	q := newQueue(t, "orders", o)

	var writers, all sync.WaitGroup
	for p := range putters {
		writers.Go(func() {
			for i := range each {
				if err := q.Put(fmt.Appendf(nil, "%d/%d", p, i)); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	written := make(chan struct{})
	all.Go(func() { writers.Wait(); close(written) })
	got := make([][][]byte, readers)
	for r := range readers {
		all.Go(func() { got[r] = readUntil(q, written) })
	}
	all.Wait()

	seen := map[string]bool{}
	for _, recs := range got {
		next := [putters]int{}
		for _, rec := range recs {
			var p, i int
			fmt.Sscanf(string(rec), "%d/%d", &p, &i)
			if seen[string(rec)] || i < next[p] {
				t.Errorf("%s came twice or late", rec)
			}
			seen[string(rec)] = true
			next[p] = i + 1
		}
	}
	if len(seen) != putters*each {
		t.Errorf("%d records came out, want %d", len(seen), putters*each)
	}
	wantDepth(t, q, 0)
	wantNoClaims(t, q)
}

// readUntil takes records until done is closed and nothing is left to claim.
func readUntil(q *Queue, done <-chan struct{}) [][]byte {
	var got [][]byte
	for {
		finished := false
		select {
		case <-done:
			finished = true
		default:
		}
		n := q.Claim(7)
		got = q.Read(n, got)
		if n == 0 && finished {
			return got
		}
	}
}

func TestCountsStayExactWhenEmptiedUnderLoad(t *testing.T) {
	var log logBuffer
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 2000
	o.Logger = log.logger(slog.LevelWarn)
	q := newQueue(t, "orders", o)
	var writers, all sync.WaitGroup
	for range 2 {
		writers.Go(func() { putAll(t, q, records(0, 500)) })
	}
	writers.Go(func() {
		for range 50 {
			if err := q.Empty(); err != nil {
				t.Errorf("Empty: %v", err)
			}
		}
	})
	written := make(chan struct{})
	all.Go(func() { writers.Wait(); close(written) })
	for range 3 {
		all.Go(func() { readUntil(q, written) })
	}
	all.Wait()

	wantDepth(t, q, 0)
	wantNoClaims(t, q)
	if n := q.dq.Depth(); n != 0 {
		t.Errorf("%d records are left that no one can claim", n)
	}
	if s := log.String(); s != "" {
		t.Errorf("logged %s", s)
	}
}

func TestCloseUnderLoadKeepsWhatWasNotRead(t *testing.T) {
	for round := range 20 {
		o := testOptions(t.TempDir())
		o.MaxBytesPerFile = 1000
		q := newQueue(t, "orders", o)
		var wg sync.WaitGroup
		var mu sync.Mutex
		put, got := 0, 0
		started := make(chan struct{}, 2)
		for range 2 {
			wg.Go(func() {
				n := 0
				for q.Put([]byte(record(n))) == nil {
					if n++; n == 5*round+1 {
						started <- struct{}{}
					}
				}
				if err := q.Put([]byte("x")); !errors.Is(err, ErrClosed) {
					t.Errorf("Put after Close: %v", err)
				}
				mu.Lock()
				put += n
				mu.Unlock()
			})
		}
		closed := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				n := len(readUntil(q, closed))
				mu.Lock()
				got += n
				mu.Unlock()
			})
		}
		<-started
		<-started
		for range 2 {
			wg.Go(func() {
				if err := q.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		}
		mustClose(t, q)
		close(closed)
		wg.Wait()
		q = reopen(t, "orders", o)
		wantDepth(t, q, put-got)
		if left := len(take(q, 1<<20)); left != put-got {
			t.Errorf("%d put, %d read, %d left", put, got, left)
		}
	}
}

func TestDeleteUnderLoadLeavesNothing(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		o := testOptions(dir)
		o.MaxBytesPerFile = 1000
		q := newQueue(t, "orders", o)
		var wg sync.WaitGroup
		started := make(chan struct{})
		closed := make(chan struct{})
		wg.Go(func() {
			for n := 0; q.Put([]byte(record(n))) == nil; n++ {
				if n == 20 {
					close(started)
				}
			}
		})
		wg.Go(func() { readUntil(q, closed) })
		wg.Go(func() {
			for q.Empty() == nil {
			}
		})
		<-started
		if err := q.Delete(); err != nil {
			t.Errorf("Delete: %v", err)
		}
		close(closed)
		wg.Wait()
		wantDepth(t, q, 0)
		if names := dirNames(t, dir); len(names) != 0 {
			t.Errorf("Delete left %q", names)
		}
	}
}

func TestFirstUseOpensOnce(t *testing.T) {
	o := testOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 50))
	mustClose(t, q)

	q = newQueue(t, "orders", o)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := q.Put([]byte("new")); err != nil {
				t.Errorf("Put: %v", err)
			}
		})
		wg.Go(func() {
			if err := q.Open(); err != nil {
				t.Errorf("Open: %v", err)
			}
		})
	}
	wg.Wait()
	wantDepth(t, q, 54)
	got := take(q, 100)
	wantRecords(t, got[:50], records(0, 50))
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
