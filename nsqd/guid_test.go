package nsqd

import (
	"sync"
	"testing"
	"time"
)

// parts takes an id apart as existing programs do.
func parts(id guid) (unixNano int64, node, seq uint64) {
	return (int64(id>>22) + guidEpoch) << 20, uint64(id>>12) & 1023, uint64(id) & 4095
}

func TestIDCarriesNodeAndTime(t *testing.T) {
	f := guidFactory{node: 617}
	now := time.Now().UnixNano()
	at, node, seq := parts(f.take(now, 1))
	if node != 617 || seq != 0 || now-at < 0 || now-at >= 1<<20 {
		t.Errorf("id decodes to node %d, sequence %d, %d ns before now", node, seq, now-at)
	}
}

func TestIDsOnlyGrow(t *testing.T) {
	f := guidFactory{node: 1023}
	now := time.Now().UnixNano()
	var last guid
	for i, step := range []struct {
		what string
		now  int64
		n    int
	}{
		{"first", now, 1},
		{"same unit", now, 1},
		{"a run in the same unit", now, 100},
		{"a run that does not fit the unit", now, maxBatch},
		{"after a full unit", now, 1},
		{"clock stepped back an hour", now - int64(time.Hour), 1},
		{"clock before the epoch", 0, 1},
		{"clock ahead again", now + int64(time.Second), maxBatch},
	} {
		id := f.take(step.now, step.n)
		_, node, seq := parts(id)
		if i > 0 && id <= last {
			t.Errorf("%s: id %x does not follow %x", step.what, id, last)
		}
		if node != 1023 || seq+uint64(step.n) > maxBatch {
			t.Errorf("%s: node %d, sequence %d: a run of %d carries into the node", step.what, node, seq, step.n)
		}
		last = id + guid(step.n-1)
	}
}

func TestIDsAreUniqueAcrossGoroutines(t *testing.T) {
	var f guidFactory
	const goroutines, takes, run = 8, 200, 7
	got := make([][]guid, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range takes {
				got[g] = append(got[g], f.take(time.Now().UnixNano(), run))
			}
		})
	}
	wg.Wait()
	seen := make(map[guid]bool)
	for _, firsts := range got {
		for _, first := range firsts {
			for i := range guid(run) {
				if seen[first+i] {
					t.Fatalf("id %x given out twice", first+i)
				}
				seen[first+i] = true
			}
		}
	}
}

func BenchmarkTakeID(b *testing.B) {
	var f guidFactory
	now := time.Now().UnixNano()
	b.ReportAllocs()
	for b.Loop() {
		f.take(now, 1)
	}
}
