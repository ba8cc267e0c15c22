package diskq

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
)

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
