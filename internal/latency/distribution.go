// Package latency keeps the recent distribution of the times that messages
// took, for percentiles. Many goroutines can record at a time and read while
// others record.
package latency

import (
	"math"

	"github.com/DataDog/sketches-go/ddsketch"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/store"
)

// Accuracy is the largest relative error of a quantile: what Quantile returns
// for values that lie at most that far from the true one at its rank.
const Accuracy = 0.01

// buckets assigns values to buckets. It never changes, so all share it; and as
// all share it, merging loses nothing.
var buckets = func() mapping.IndexMapping {
	m, err := mapping.NewLogarithmicMapping(Accuracy) // least memory; the interpolated ones are quicker, but wrong where an int has 32 bits
	if err != nil {
		panic(err) // Accuracy is not in (0,1)
	}
	return m
}()

// A Distribution is a set of latencies, of which it keeps the number in each
// bucket. The zero value is empty and takes no memory beside itself; 10,000
// values over five decades take about 7 KB. It is not safe for concurrent use.
type Distribution struct {
	sketch *ddsketch.DDSketch // nil when empty
	count  uint64
	max    int64
}

// Add adds a latency of so many nanoseconds n times. Negative ones, which a
// clock that was set back makes, count as 0.
func (d *Distribution) Add(nanoseconds int64, n uint64) {
	nanoseconds = max(0, nanoseconds)
	// It cannot fail: every such value can be indexed, and no count is negative.
	if err := d.own().AddWithCount(float64(nanoseconds), float64(n)); err != nil {
		panic(err)
	}
	d.count += n
	d.max = max(d.max, nanoseconds)
}

// Merge adds what other holds.
func (d *Distribution) Merge(other *Distribution) {
	if other.count == 0 {
		return
	}
	if err := d.own().MergeWith(other.sketch); err != nil {
		panic(err) // of different accuracy, which there is not
	}
	d.count += other.count
	d.max = max(d.max, other.max)
}

func (d *Distribution) own() *ddsketch.DDSketch {
	if d.sketch == nil {
		d.sketch = ddsketch.NewDDSketchFromStoreProvider(buckets, store.BufferedPaginatedStoreConstructor)
	}
	return d.sketch
}

// Count returns the number of latencies.
func (d *Distribution) Count() uint64 { return d.count }

// Quantile returns the latency in nanoseconds that a share of q of all do not
// exceed: the one at rank ⌈q·count⌉, to within Accuracy. The quantile 1 is the
// true maximum. It is 0 when there are none.
func (d *Distribution) Quantile(q float64) float64 {
	n := float64(d.count)
	rank := math.Ceil(q * n)
	if rank >= n {
		return float64(d.max)
	}
	// The sketch takes a position in [0,n-1] as a share of n-1 and rounds it
	// down; half a position more keeps the division from crossing a rank.
	value, err := d.sketch.GetValueAtQuantile(max(0, rank-0.5) / (n - 1))
	if err != nil {
		panic(err) // not in [0,1], or empty
	}
	return min(value, float64(d.max))
}
