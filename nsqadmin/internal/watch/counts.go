package watch

import (
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/histogram"
)

// durationBounds are the upper bounds of coarse buckets: from an answer nearby to the
// end of patience.
var durationBounds = []time.Duration{
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// pollCounts are what came of questions since the start.
type pollCounts struct {
	failed   atomic.Uint64
	duration *histogram.Histogram
}

func newPollCounts() pollCounts { return pollCounts{duration: histogram.New(durationBounds)} }

func (c *pollCounts) note(r result) {
	c.duration.Observe(r.took, 1)
	if r.err != nil {
		c.failed.Add(1)
	}
}

// Failed returns how many questions had no answer, or none that makes sense, since the
// start.
func (p *Poller) Failed() uint64 { return p.counts.failed.Load() }

// Durations returns how long all questions took, to the answer or the error.
func (p *Poller) Durations() (c histogram.Counts) {
	p.counts.duration.MergeInto(&c)
	return c
}

// Latest returns the latest view. Unlike View it does not wait, and nobody is taken to
// watch.
func (p *Poller) Latest() *View { return p.view.Load() }
