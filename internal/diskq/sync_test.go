package diskq

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func metaDepth(t testing.TB, q *Queue) int64 {
	t.Helper()
	b, err := os.ReadFile(q.files.metaPath())
	if err != nil {
		return -1
	}
	m, err := parseMeta(b)
	if err != nil {
		t.Error(err)
	}
	return m.depth
}

func TestSyncTimeoutAndSyncEveryBoundWhatIsNotDurable(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(dir)
		o.SyncTimeout, o.SyncEvery = 2*time.Second, 100
		s := openStore(t, o)
		a, b := useQueue(t, s, "a"), useQueue(t, s, "b")
		putAll(t, a, records(0, 99))
		<-time.After(time.Second)
		putAll(t, b, records(0, 10))
		synctest.Wait()
		if d := metaDepth(t, a); d != -1 {
			t.Errorf("after a second the meta file says %d", d)
		}
		<-time.After(time.Second + time.Millisecond)
		if a, b := metaDepth(t, a), metaDepth(t, b); a != 99 || b != -1 {
			t.Errorf("after two seconds the meta files say %d and %d", a, b)
		}
		<-time.After(time.Second)
		if b := metaDepth(t, b); b != 10 {
			t.Errorf("two seconds after its records, the meta file says %d", b)
		}
		take(t, a, 5)
		<-time.After(2*time.Second + time.Millisecond)
		if a := metaDepth(t, a); a != 94 {
			t.Errorf("after reading, the meta file says %d", a)
		}
		putBatch(t, a, records(0, 100))
		synctest.Wait() // without time passing
		<-time.After(time.Millisecond)
		if a := metaDepth(t, a); a != 194 {
			t.Errorf("after sync-every records, the meta file says %d", a)
		}
	})
}

// A queue that is not used has no file open, and costs nothing but its memory.
func TestIdleQueuesCostNothing(t *testing.T) {
	const n = 10_000
	dir := t.TempDir()
	var before, after runtime.MemStats
	o := testOptions(dir)
	o.OpenFiles = 40
	s := openStore(t, o)
	fds := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("only Linux lists open files")
		}
		return len(entries)
	}
	goroutines, files := runtime.NumGoroutine(), fds()
	runtime.GC()
	runtime.ReadMemStats(&before)
	queues := make([]*Queue, n)
	for i := range queues {
		queues[i] = s.Queue(fmt.Sprint("topic", i))
		putAll(t, queues[i], records(1, 3))
		if got := take(t, queues[i], 1); len(got) != 1 {
			t.Fatal("nothing read")
		}
	}
	if now := fds(); now-files > o.OpenFiles+2 {
		t.Errorf("%d queues in use hold %d files", n, now-files)
	}
	for _, q := range queues {
		q.idle() // as the sync loop does after a while
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines for %d queues", now-goroutines, n)
	}
	if now := fds(); now > files {
		t.Errorf("%d files open for %d idle queues", now-files, n)
	}
	t.Logf("%d queues: %d goroutines, %d open files, %d bytes each", n, runtime.NumGoroutine()-goroutines, fds()-files,
		(int64(after.HeapAlloc)-int64(before.HeapAlloc))/n)
	for _, q := range queues { // quicker than to close all durably
		os.Remove(q.files.dataPath(0))
		q.closed.Store(true)
	}
}

// The sync loop closes what nobody uses any more.
func TestHandlesAreGivenBackAfterAWhile(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(dir)
		o.SyncTimeout = time.Second
		s := openStore(t, o)
		q := useQueue(t, s, "orders")
		for range 5 {
			putAll(t, q, records(0, 10))
			take(t, q, 3)
			if n := s.handles.Load(); n != 2 {
				t.Errorf("%d files open while in use", n)
			}
			<-time.After(2500 * time.Millisecond)
			if n := s.handles.Load(); n != 0 {
				t.Errorf("%d files open after a while", n)
			}
		}
		mustClose(t, q)
	})
}

// A stop must not depend on the system's good will either: after Close the data
// is durable, and then the meta file that counts it.
func TestCloseSyncs(t *testing.T) {
	o := testOptions(t.TempDir())
	d := &faultyDisk{quick: true}
	o.disk = d
	o.MaxBytesPerFile = 100 // a few records a file
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	var done []string
	d.set(func(op, path string) error {
		if op == "sync" || op == "replace" {
			done = append(done, op+" "+filepath.Base(path))
		}
		return nil
	})
	last := q.write.file
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	d.set(nil)
	var want []string
	for num := range last + 1 {
		want = append(want, "sync "+filepath.Base(q.files.dataPath(num)))
	}
	if want = append(want, "replace orders.diskqueue.meta.dat"); len(want) < 3 || !slices.Equal(done, want) {
		t.Errorf("Close did %q, want %q", done, want)
	}
}

// A queue that never stops asking keeps neither the others nor those that fail
// waiting.
func TestBusyQueueStarvesNobody(t *testing.T) {
	s := openQuiet(t, testOptions(t.TempDir()))
	busy, other, failing := s.Queue("busy"), s.Queue("other"), s.Queue("failing")
	s.syncs.add(other, 0)
	s.syncs.fails(failing)
	later := time.Now().Add(time.Minute)
	seen, retried := false, false
	for range 3 {
		s.syncs.hurry(busy)
		q, retry, _ := s.syncs.next(later)
		if retry {
			retried = true
			s.syncs.retry = later.Add(time.Minute) // as retryFailing does
		}
		seen = seen || q == other
	}
	if !seen || !retried {
		t.Errorf("beside a busy queue, another was seen to: %v; those that fail were tried again: %v", seen, retried)
	}
}

// The largest number there is means that Put never syncs itself.
func TestLargestSyncEvery(t *testing.T) {
	o := testOptions(t.TempDir())
	o.SyncEvery = math.MaxInt64
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 3))
	if d := metaDepth(t, q); d != -1 {
		t.Errorf("the meta file says %d before anything was to be durable", d)
	}
}
