package latency

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// record records one message with that latency, now.
func record(w *Window, latency time.Duration) {
	var b Batch
	b.Add(time.Now().Add(-latency).UnixNano())
	w.Record(&b, time.Now())
}

func read(w *Window) (count uint64, longest time.Duration) {
	var d Distribution
	w.MergeInto(&d, time.Now())
	return d.Count(), time.Duration(d.Quantile(1))
}

func TestWindow(t *testing.T) {
	type want struct {
		after   time.Duration // since the first record
		count   uint64
		longest time.Duration
	}
	for name, c := range map[string]struct {
		records []time.Duration // each with its own time since the first as its latency, and a minute
		want    []want
	}{
		"one, which is forgotten after half to one length": {
			records: []time.Duration{0},
			want:    []want{{0, 1, time.Minute}, {9*time.Minute + 59*time.Second, 1, time.Minute}, {10 * time.Minute, 0, 0}},
		},
		"the second half outlives the first": {
			records: []time.Duration{0, 4 * time.Minute, 6 * time.Minute},
			want: []want{
				{6 * time.Minute, 3, 7 * time.Minute},
				{10 * time.Minute, 1, 7 * time.Minute},
				{14*time.Minute + 59*time.Second, 1, 7 * time.Minute},
				{15 * time.Minute, 0, 0},
			},
		},
		"nothing for long, then one": {
			records: []time.Duration{0, time.Hour},
			want:    []want{{time.Hour, 1, 61 * time.Minute}, {time.Hour + 9*time.Minute, 1, 61 * time.Minute}, {time.Hour + 10*time.Minute, 0, 0}},
		},
		"every minute": {
			records: []time.Duration{0, 1 * time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute,
				6 * time.Minute, 7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute, 11 * time.Minute},
			want: []want{{11 * time.Minute, 7, 12 * time.Minute}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := NewWindow(10 * time.Minute)
				start := time.Now()
				for _, at := range c.records {
					<-time.After(time.Until(start.Add(at)))
					record(w, at+time.Minute)
				}
				for _, want := range c.want {
					<-time.After(time.Until(start.Add(want.after)))
					if count, longest := read(w); count != want.count || longest != want.longest {
						t.Errorf("after %v: %d up to %v, want %d up to %v", want.after, count, longest, want.count, want.longest)
					}
				}
			})
		})
	}
}

// What is too old takes no memory once it was looked at.
func TestIdleWindowIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(10 * time.Minute)
		record(w, time.Second)
		<-time.After(10 * time.Minute)
		read(w)
		if w.current.sketch != nil || w.previous.sketch != nil {
			t.Error("there still is a sketch")
		}
	})
}

// A wall clock that is set back while messages wait makes no nonsense.
func TestMessageFromTheFuture(t *testing.T) {
	w := NewWindow(time.Minute)
	record(w, -time.Hour)
	if count, longest := read(w); count != 1 || longest != 0 {
		t.Errorf("%d up to %v", count, longest)
	}
}

func TestBatch(t *testing.T) {
	var b Batch
	if !b.IsEmpty() {
		t.Error("a new batch is not empty")
	}
	for i := range 1000 {
		if b.Add(1) {
			t.Fatalf("full after %d messages of one time", i+1)
		}
	}
	n := 1000
	for at := int64(2); ; at++ {
		n++
		if b.Add(at) {
			break
		}
	}
	if n != 1000+maxRuns-1 {
		t.Errorf("full after %d messages", n)
	}
	w := NewWindow(time.Minute)
	w.Record(&b, time.Unix(0, 100))
	var d Distribution
	w.MergeInto(&d, time.Unix(0, 100))
	if d.Count() != uint64(n) || d.Quantile(1) != 99 || !b.IsEmpty() {
		t.Errorf("%d up to %v, batch %+v", d.Count(), d.Quantile(1), b)
	}
}

func TestConcurrentRecords(t *testing.T) {
	const goroutines, rounds = 4, 2000
	w := NewWindow(time.Hour)
	var running sync.WaitGroup
	for range goroutines {
		running.Go(func() {
			var b Batch
			for i := range rounds {
				b.Add(time.Now().UnixNano() - int64(i))
				b.Add(time.Now().UnixNano() - int64(2*i))
				w.Record(&b, time.Now())
			}
		})
	}
	running.Go(func() {
		for last := uint64(0); last < 2*goroutines*rounds; {
			count, _ := read(w)
			if count < last {
				t.Errorf("the count went from %d back to %d", last, count)
				return
			}
			last = count
		}
	})
	running.Wait()
}

// BenchmarkRecord is the cost of one FIN, by how many of them come in one read
// and whether their messages were published together.
func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name  string
		fins  int
		apart int64 // nanoseconds between two messages
	}{
		{"one FIN a read", 1, 1000},
		{"60 FINs a read, single publishes", 60, 1000},
		{"60 FINs a read, one batch", 60, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := NewWindow(time.Hour)
			var batch Batch
			published := time.Now().UnixNano()
			fins := 0
			b.ReportAllocs()
			for b.Loop() {
				published += c.apart
				batch.Add(published)
				if fins++; fins%c.fins == 0 {
					w.Record(&batch, time.Now())
				}
			}
		})
	}
}
