package latency

import (
	"iter"
	"sync"
	"time"
)

// A Window is the distribution of the latencies of the last while: of two
// halves of a given length of time, so that it covers between one half and the
// whole. It has no goroutine and no timer: it turns when it is used. It is safe
// for concurrent use.
type Window struct {
	half time.Duration

	mu       sync.Mutex // what follows
	began    time.Time  // current
	current  Distribution
	previous Distribution
}

// NewWindow returns an empty window of that length.
func NewWindow(length time.Duration) *Window { return &Window{half: length / 2} }

// Record adds the messages of b as finished now, and empties b.
func (w *Window) Record(b *Batch, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turnLocked(now)
	end := now.UnixNano()
	for _, r := range b.runs {
		w.current.Add(end-r.time, r.count)
	}
	b.Clear()
}

// MergeInto adds what the window covers to d, which is the caller's.
func (w *Window) MergeInto(d *Distribution, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turnLocked(now)
	d.Merge(&w.previous)
	d.Merge(&w.current)
}

// turnLocked begins a new half if it is time. What is too old goes, with its
// memory.
func (w *Window) turnLocked(now time.Time) {
	switch age := now.Sub(w.began); {
	case age < w.half:
		return
	case age < 2*w.half:
		w.previous, w.began = w.current, w.began.Add(w.half)
	default:
		w.previous, w.began = Distribution{}, now
	}
	w.current = Distribution{}
}

// A Batch collects messages that are finished together, to be recorded in one
// step. As messages that were published together bear the same time, it keeps
// each time once with a count. It belongs to one goroutine.
type Batch struct {
	runs []run
}

type run struct {
	time  int64
	count uint64
}

// maxRuns bounds the memory of a batch, and how long Record keeps others
// waiting.
const maxRuns = 64

// Add adds a message that was published at that time, in nanoseconds since the
// Unix epoch. It reports whether b is full and must be recorded, or cleared, before
// the next Add.
func (b *Batch) Add(published int64) (full bool) { return b.AddMany(published, 1) }

// AddMany adds so many of the same time.
func (b *Batch) AddMany(published int64, n int) (full bool) {
	if last := len(b.runs) - 1; last >= 0 && b.runs[last].time == published {
		b.runs[last].count += uint64(n)
		return false
	}
	b.runs = append(b.runs, run{published, uint64(n)})
	return len(b.runs) == maxRuns
}

// Until iterates over the times that have passed until end, each with the number
// of messages.
func (b *Batch) Until(end int64) iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		for _, r := range b.runs {
			if !yield(time.Duration(end-r.time), r.count) {
				return
			}
		}
	}
}

// Clear empties b.
func (b *Batch) Clear() { b.runs = b.runs[:0] }

// IsEmpty reports whether there is nothing to record.
func (b *Batch) IsEmpty() bool { return len(b.runs) == 0 }
