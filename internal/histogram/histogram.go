// Package histogram counts durations in buckets, since the start and for ever, as
// Prometheus wants them: coarse ones with round bounds, which every version of it
// reads, and at the same time fine ones of its native histograms.
package histogram

import (
	"iter"
	"math"
	"sync"
	"time"
)

// The fine buckets are four for each power of two, so that a quantile is right to
// a tenth: bucket i has the durations up to 2^(i/4) seconds that the one before has
// not. What is shorter than ZeroThreshold is in none of them, what is longer than
// the longest is in the last.
const (
	Schema        = 2 // 2^Schema buckets for each power of two
	ZeroThreshold = 1.0 / (1 << 20)

	FirstFine  = -20<<Schema + 1
	lastFine   = 23 << Schema // 97 days
	fineLength = lastFine - FirstFine + 1
)

// mantissas are those of the bounds of the fine buckets between two powers of two.
var mantissas = [1<<Schema - 1]uint64{mantissa(0.5946035575013605), mantissa(0.7071067811865475), mantissa(0.8408964152537144)}

const mantissaBits = 52

func mantissa(f float64) uint64 { return math.Float64bits(f) & (1<<mantissaBits - 1) }

// Counts is what a histogram has counted. The zero value has counted nothing and
// has no bounds.
type Counts struct {
	Bounds []time.Duration // upper ones of the coarse buckets, ascending; shared, never changed
	Coarse []uint64        // one more than bounds
	Fine   [fineLength]uint64
	Zero   uint64  // below ZeroThreshold
	Sum    float64 // in seconds: of many that wait for long the nanoseconds do not fit an integer
}

func newCounts(bounds []time.Duration) Counts {
	return Counts{Bounds: bounds, Coarse: make([]uint64, len(bounds)+1)}
}

// Total returns the number of durations.
func (c *Counts) Total() (n uint64) {
	for _, count := range c.Coarse {
		n += count
	}
	return n
}

// Merge adds what other has counted, whose bounds are the same; either may be
// empty.
func (c *Counts) Merge(other *Counts) {
	if other.Bounds == nil {
		return
	}
	if c.Bounds == nil {
		*c = newCounts(other.Bounds)
	}
	for i, n := range other.Coarse {
		c.Coarse[i] += n
	}
	for i, n := range other.Fine {
		c.Fine[i] += n
	}
	c.Zero += other.Zero
	c.Sum += other.Sum
}

// Raise makes no count of c lower than that of before, whose bounds are the same;
// either may be empty.
func (c *Counts) Raise(before *Counts) {
	if before.Bounds == nil {
		return
	}
	if c.Bounds == nil {
		*c = newCounts(before.Bounds)
	}
	for i, n := range before.Coarse {
		c.Coarse[i] = max(c.Coarse[i], n)
	}
	for i, n := range before.Fine {
		c.Fine[i] = max(c.Fine[i], n)
	}
	c.Zero = max(c.Zero, before.Zero)
	c.Sum = max(c.Sum, before.Sum)
}

// add counts a duration n times. A negative one, which a clock that was set back
// makes, is 0.
func (c *Counts) add(d time.Duration, n uint64) {
	d = max(0, d)
	i := 0
	for i < len(c.Bounds) && d > c.Bounds[i] {
		i++
	}
	c.Coarse[i] += n
	seconds := float64(d) / 1e9
	c.Sum += seconds * float64(n)
	if seconds > ZeroThreshold {
		c.Fine[min(fineBucket(seconds), lastFine)-FirstFine] += n
	} else {
		c.Zero += n
	}
}

// fineBucket returns the number of the bucket of a value, which is not below
// ZeroThreshold. It is called for each message, so it takes the value apart itself.
func fineBucket(seconds float64) int {
	exponent := int(math.Float64bits(seconds)>>mantissaBits) - 1023 // of the power of two that is not above
	m := mantissa(seconds)
	if m == 0 {
		return exponent << Schema
	}
	i := 1
	for _, bound := range mantissas {
		if m > bound {
			i++
		}
	}
	return exponent<<Schema + i
}

// A Histogram counts durations. It is safe for concurrent use.
type Histogram struct {
	mu     sync.Mutex // counts
	counts Counts
}

// New returns a histogram with these upper bounds of its coarse buckets, ascending,
// which must not be changed any more. It takes about 1.5 KB.
func New(bounds []time.Duration) *Histogram { return &Histogram{counts: newCounts(bounds)} }

// Add counts durations, each as often as the number beside it says, under one lock.
func (h *Histogram) Add(durations iter.Seq2[time.Duration, uint64]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for d, n := range durations {
		h.counts.add(d, n)
	}
}

// Observe counts one duration n times.
func (h *Histogram) Observe(d time.Duration, n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.add(d, n)
}

// MergeInto adds what was counted to c, which is the caller's.
func (h *Histogram) MergeInto(c *Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.Merge(&h.counts)
}

// stripes is how many parts a Striped has: enough for the processors of most
// machines.
const stripes = 16

// A Striped is a histogram in which many goroutines count without standing in each
// other's way, if they use different stripes. It is safe for concurrent use.
type Striped [stripes]*Histogram

// NewStriped returns an empty one; see New.
func NewStriped(bounds []time.Duration) *Striped {
	s := new(Striped)
	for i := range s {
		s[i] = New(bounds)
	}
	return s
}

// Stripe returns one of the parts, the same for the same number.
func (s *Striped) Stripe(number uint64) *Histogram { return s[number%stripes] }

// Counts returns what was counted in all of them.
func (s *Striped) Counts() (c Counts) {
	for _, h := range s {
		h.MergeInto(&c)
	}
	return c
}
