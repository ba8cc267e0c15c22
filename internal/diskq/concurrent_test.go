package diskq

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// busyOptions has the sync goroutine work all the time.
func busyOptions(t *testing.T) Options {
	o := quickOptions(t.TempDir())
	o.MaxBytesPerFile, o.SyncEvery, o.SyncTimeout = 2000, 20, time.Millisecond
	return o
}

func TestConcurrentUseDeliversEachRecordOnce(t *testing.T) {
	const putters, readers, each = 4, 4, 100
	o := busyOptions(t)
	var log loggingtest.Buffer
	o.Logger = log.Logger(slog.LevelWarn)
	q := useQueue(t, openStore(t, o), "orders")

	var writers, all sync.WaitGroup
	for p := range putters {
		writers.Go(func() {
			for i := range each { // in batches of five
				var b Batch
				for j := range 5 {
					b.End(fmt.Appendf(b.Begin(), "record %04d %d", i*5+j, p))
				}
				if err := q.Put(&b); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	written := make(chan struct{})
	all.Go(func() { writers.Wait(); close(written) })
	got := make([][][]byte, readers)
	for r := range readers {
		all.Go(func() { got[r] = readUntil(t, q, written) })
	}
	all.Wait()

	seen := map[string]bool{}
	for _, recs := range got {
		next := [putters]int{}
		for _, rec := range recs {
			var p, i int
			fmt.Sscanf(string(rec), "record %04d %d", &i, &p)
			if seen[string(rec)] || i < next[p] {
				t.Errorf("%s came twice or late", rec)
			}
			seen[string(rec)] = true
			next[p] = i + 1
		}
	}
	if len(seen) != putters*each*5 {
		t.Errorf("%d records came out, want %d", len(seen), putters*each*5)
	}
	wantDepth(t, q, 0)
	if s := log.String(); s != "" {
		t.Errorf("logged %s", s)
	}
}

// readUntil takes records until done is closed and nothing is left.
func readUntil(t *testing.T, q *Queue, done <-chan struct{}) [][]byte {
	var got [][]byte
	for {
		finished := false
		select {
		case <-done:
			finished = true
		default:
		}
		before := len(got)
		var err error
		got, err = q.Read(got, 7, 1<<20)
		if err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if len(got) == before && finished {
			return got
		}
	}
}

func TestCountsStayExactWhenEmptiedUnderLoad(t *testing.T) {
	var log loggingtest.Buffer
	o := busyOptions(t)
	o.Logger = log.Logger(slog.LevelWarn)
	q := useQueue(t, openStore(t, o), "orders")
	var writers, all sync.WaitGroup
	for range 2 {
		writers.Go(func() { putAll(t, q, records(0, 500)) })
	}
	writers.Go(func() {
		for range 50 {
			if err := q.Empty(); err != nil {
				t.Errorf("Empty: %v", err)
			}
			q.idle()
		}
	})
	written := make(chan struct{})
	all.Go(func() { writers.Wait(); close(written) })
	for range 3 {
		all.Go(func() { readUntil(t, q, written) })
	}
	all.Wait()
	wantDepth(t, q, 0)
	if q.read != q.write {
		t.Errorf("depth 0 at %v, the end is %v", q.read, q.write)
	}
	if s := log.String(); s != "" {
		t.Errorf("logged %s", s)
	}
}

func TestCloseUnderLoadKeepsWhatWasNotRead(t *testing.T) {
	for round := range 20 {
		o := busyOptions(t)
		q := useQueue(t, openStore(t, o), "orders")
		var wg sync.WaitGroup
		var mu sync.Mutex
		put, got := 0, 0
		started := make(chan struct{}, 2)
		for range 2 {
			wg.Go(func() {
				n := 0
				for q.Put(batch(record(n))) == nil {
					if n++; n == 5*round+1 {
						started <- struct{}{}
					}
				}
				if err := q.Put(batch(record(0))); !errors.Is(err, ErrClosed) {
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
				n := len(readUntil(t, q, closed))
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
		if left := len(takeAll(t, q)); left != put-got {
			t.Errorf("%d put, %d read, %d left", put, got, left)
		}
	}
}

func TestDeleteUnderLoadLeavesNothing(t *testing.T) {
	for range 20 {
		o := busyOptions(t)
		q := useQueue(t, openStore(t, o), "orders")
		var wg sync.WaitGroup
		started := make(chan struct{})
		closed := make(chan struct{})
		wg.Go(func() {
			for n := 0; q.Put(batch(record(n))) == nil; n++ {
				if n == 20 {
					close(started)
				}
			}
		})
		wg.Go(func() { readUntil(t, q, closed) })
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
		wantFiles(t, o.Dir)
	}
}

func TestFirstUseOpensOnce(t *testing.T) {
	o := quickOptions(t.TempDir())
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 50))
	mustClose(t, q)

	q = newQueue(t, "orders", o)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := q.Put(batch(record(99))); err != nil {
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
	wantRecords(t, take(t, q, 50), records(0, 50))
}

// A syncedDisk notes how much of each file is on stable storage, and fails a test
// if a meta file counts more.
type syncedDisk struct {
	osDisk
	t      *testing.T
	mu     sync.Mutex
	synced map[string]int64
	metas  int
}

func (d *syncedDisk) open(path string, flag int) (file, error) {
	f, err := d.osDisk.open(path, flag)
	if err != nil {
		return nil, err
	}
	return &syncedFile{f, d, path}, nil
}

type syncedFile struct {
	file
	d    *syncedDisk
	path string
}

func (f *syncedFile) Sync() error {
	size, err := f.d.size(f.path)
	if err != nil {
		return err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.synced[f.path] = size
	return nil // it need not really be waited for
}

func (d *syncedDisk) replace(path string, data []byte) error {
	m, err := parseMeta(data)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.metas++
	of := files{filepath.Dir(path), "orders"}
	for num := m.read.file; num <= m.write.file; num++ {
		want := m.write.offset
		if num < m.write.file {
			want, _ = d.size(of.dataPath(num)) // 0 if it was read and is gone
		}
		if got := d.synced[of.dataPath(num)]; got < want {
			d.t.Errorf("the meta file says %+v, of file %d only %d of %d bytes are synced", m, num, got, want)
		}
	}
	return nil
}

// After a power cut there is nothing missing that the meta file counts, whatever
// was written while it was made.
func TestMetaNeverPrecedesDataUnderLoad(t *testing.T) {
	o := busyOptions(t)
	o.MaxBytesPerFile = 200 // so that nearly every Put begins a file
	d := &syncedDisk{t: t, synced: map[string]int64{}}
	o.disk = d
	q := useQueue(t, openStore(t, o), "orders")
	var writers, all sync.WaitGroup
	for range 3 {
		writers.Go(func() { putAll(t, q, records(0, 800)) })
	}
	written := make(chan struct{})
	all.Go(func() { writers.Wait(); close(written) })
	all.Go(func() { readUntil(t, q, written) })
	all.Go(func() {
		for {
			select {
			case <-written:
				return
			default:
				q.sync()
			}
		}
	})
	all.Wait()
	mustClose(t, q)
	if d.metas < 10 {
		t.Errorf("only %d meta files were written", d.metas)
	}
}
