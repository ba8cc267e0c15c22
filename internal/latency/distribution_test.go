package latency

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// exact returns the value that Quantile is an estimate of.
func exact(sorted []int64, q float64) float64 {
	return float64(sorted[int(math.Ceil(q*float64(len(sorted))))-1])
}

func wantQuantiles(t *testing.T, d *Distribution, values []int64) {
	t.Helper()
	if d.Count() != uint64(len(values)) {
		t.Errorf("count %d of %d values", d.Count(), len(values))
	}
	sorted := slices.Sorted(slices.Values(values))
	for _, q := range []float64{0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1} {
		got, want := d.Quantile(q), exact(sorted, q)
		if math.Abs(got-want) > Accuracy*want*(1+1e-9) {
			t.Errorf("quantile %v of %d values: %v, want %v to within %v", q, len(sorted), got, want, Accuracy)
		}
	}
	if got, want := d.Quantile(1), float64(sorted[len(sorted)-1]); got != want {
		t.Errorf("quantile 1: %v, want the maximum %v", got, want)
	}
}

func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() int64{
		"the same value":       func() int64 { return 252218031 },
		"nanoseconds":          func() int64 { return r.Int64N(20) },
		"uniform":              func() int64 { return r.Int64N(1e9) },
		"log-normal":           func() int64 { return int64(1e6 * math.Exp(2*r.NormFloat64())) },
		"two humps":            func() int64 { return []int64{50e3, 60e9}[r.IntN(2)] + r.Int64N(1000) },
		"all there is":         func() int64 { return r.Int64() },
		"microseconds to days": func() int64 { return int64(math.Pow(10, 3+11*r.Float64())) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 10, 100, 20_000} {
				var d Distribution
				values := make([]int64, n)
				for i := range values {
					values[i] = draw()
					d.Add(values[i], 1)
				}
				wantQuantiles(t, &d, values)
			}
		})
	}
}

func TestEmptyDistribution(t *testing.T) {
	var d, other Distribution
	d.Merge(&other)
	for _, q := range []float64{0, 0.5, 1} {
		if got := d.Quantile(q); got != 0 {
			t.Errorf("quantile %v: %v", q, got)
		}
	}
	if d.Count() != 0 || d.sketch != nil {
		t.Errorf("got %+v", d)
	}
}

// A clock that was set back makes messages from the future.
func TestNegativeLatencyIsZero(t *testing.T) {
	var d Distribution
	d.Add(-5, 3)
	if d.Count() != 3 || d.Quantile(0.5) != 0 || d.Quantile(1) != 0 {
		t.Errorf("count %d, median %v, maximum %v", d.Count(), d.Quantile(0.5), d.Quantile(1))
	}
}

// Merging is the same as adding everything to one, and leaves the parts alone.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var sum Distribution
	var all []int64
	for part := range 5 {
		var d Distribution
		var values []int64
		for range 2000 {
			v := int64(math.Exp(float64(part)) * 1e6 * r.ExpFloat64())
			d.Add(v, 2)
			values = append(values, v, v)
		}
		sum.Merge(&d)
		wantQuantiles(t, &d, values)
		all = append(all, values...)
	}
	wantQuantiles(t, &sum, all)
}

func BenchmarkAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	values := make([]int64, 1<<16)
	for i := range values {
		values[i] = int64(2e6 * math.Exp(1.5*r.NormFloat64()))
	}
	var d Distribution
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		d.Add(values[i&(len(values)-1)], 1)
		i++
	}
}
