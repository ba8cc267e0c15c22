package histogram

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var bounds = []time.Duration{time.Millisecond, time.Second, time.Minute}

func TestCoarseBuckets(t *testing.T) {
	h := New(bounds)
	for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond, time.Millisecond + 1, time.Second, time.Second + 1, time.Minute, time.Hour} {
		h.Observe(d, 2)
	}
	var c Counts
	h.MergeInto(&c)
	for i, want := range []uint64{6, 4, 4, 2} {
		if c.Coarse[i] != want {
			t.Errorf("bucket %d has %d, want %d", i, c.Coarse[i], want)
		}
	}
	want := 2 * (2*time.Millisecond + 1 + 2*time.Second + 1 + time.Minute + time.Hour).Seconds()
	if math.Abs(c.Sum-want) > 1e-9 || c.Total() != 16 {
		t.Errorf("%d of %v s, want 16 of %v s", c.Total(), c.Sum, want)
	}
}

// The fine buckets are those that Prometheus' own library would have chosen.
func TestFineBucketsAreThoseOfPrometheus(t *testing.T) {
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "x", NativeHistogramBucketFactor: 1.2, NativeHistogramZeroThreshold: ZeroThreshold,
	})
	ours := New(bounds)
	durations := []time.Duration{0, 1, 953, 954, time.Second, time.Second + 1, 2 * time.Second}
	for range 2000 {
		durations = append(durations, time.Duration(math.Exp2(52*rand.Float64())))
	}
	for _, d := range durations {
		theirs.Observe(d.Seconds())
		ours.Observe(d, 1)
	}
	var m dto.Metric
	if err := theirs.Write(&m); err != nil {
		t.Fatal(err)
	}
	if m.Histogram.GetSchema() != Schema {
		t.Fatalf("their schema is %d", m.Histogram.GetSchema())
	}
	var c Counts
	ours.MergeInto(&c)
	if c.Zero != m.Histogram.GetZeroCount() {
		t.Errorf("%d below the threshold, want %d", c.Zero, m.Histogram.GetZeroCount())
	}
	want := map[int]uint64{}
	bucket, count, delta := int32(0), int64(0), 0
	for _, span := range m.Histogram.PositiveSpan {
		bucket += span.GetOffset()
		for range span.GetLength() {
			count += m.Histogram.PositiveDelta[delta]
			delta++
			want[int(bucket)] = uint64(count)
			bucket++
		}
	}
	for i, got := range c.Fine {
		if got != want[i+FirstFine] {
			t.Errorf("bucket %d has %d, want %d", i+FirstFine, got, want[i+FirstFine])
		}
	}
}

func TestLongestDurationHasABucket(t *testing.T) {
	h := New(bounds)
	h.Observe(math.MaxInt64, 1)
	var c Counts
	h.MergeInto(&c)
	if c.Fine[fineLength-1] != 1 {
		t.Error("it is in none, or not the last")
	}
}

func TestMerge(t *testing.T) {
	h := New(bounds)
	h.Observe(time.Second, 3)
	var c, empty Counts
	c.Merge(&empty)
	h.MergeInto(&c)
	h.MergeInto(&c)
	c.Merge(&empty)
	if c.Total() != 6 || c.Sum != 6 || c.Fine[0-FirstFine] != 6 {
		t.Errorf("%d of %v", c.Total(), c.Sum)
	}
	h.Observe(time.Second, 1)
	if c.Total() != 6 {
		t.Error("what was merged goes on counting")
	}
}

func TestStripedCountsOfManyGoroutines(t *testing.T) {
	const goroutines, rounds = 20, 1000
	s := NewStriped(bounds)
	var running sync.WaitGroup
	for i := range uint64(goroutines) {
		running.Go(func() {
			for range rounds {
				s.Stripe(i).Observe(time.Second, 1)
				s.Stripe(i).Add(func(yield func(time.Duration, uint64) bool) { yield(time.Minute, 2) })
			}
		})
	}
	running.Wait()
	c := s.Counts()
	if c.Coarse[1] != goroutines*rounds || c.Coarse[2] != 2*goroutines*rounds {
		t.Errorf("%d", c.Coarse)
	}
}

func BenchmarkObserve(b *testing.B) {
	h := New([]time.Duration{1e6, 5e6, 25e6, 1e8, 5e8, 25e8, 1e10, 6e10, 6e11, 36e11})
	d := time.Duration(0)
	for b.Loop() {
		d += 12345
		h.Observe(d, 1)
	}
}
