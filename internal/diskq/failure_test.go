package diskq

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
