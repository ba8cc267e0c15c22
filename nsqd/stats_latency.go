package nsqd

import (
	"time"

	"github.com/seed893f581e/nsq/internal/histogram"
	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/stats"
)

// Upper bounds of the coarse buckets: of the time from publish to FIN, which may be
// days where messages wait, and from a publish to its OK, which seldom waits for
// more than memory.
var (
	e2eBounds = []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
		2500 * time.Millisecond, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
	}
	publishBounds = []time.Duration{
		10 * time.Microsecond, 25 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
		10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2500 * time.Millisecond, 10 * time.Second,
	}
)

// noE2E has the buckets alone.
var noE2E = histogram.New(e2eBounds)

func newPublishLatency() *histogram.Striped { return histogram.NewStriped(publishBounds) }

// countFinished notes that a message is finished, for recordLatencies. IOLoop calls
// it.
func (c *client) countFinished(s *span) {
	if c.done.Add(s.b.time) {
		c.recordLatencies(time.Now())
	}
}

// countStored notes publishes, each of which will have an OK, that began at a time of
// the daemon's clock. IOLoop calls it.
func (c *client) countStored(began int64, n int) {
	if c.stored.AddMany(began, n) {
		c.recordLatencies(time.Now())
	}
}

// hasLatencies reports whether there is something to record.
func (c *client) hasLatencies() bool { return !c.done.IsEmpty() || !c.stored.IsEmpty() }

// recordLatencies records what was finished with the channel, and publishes that have
// their OK now: all that came in one read with one look at the clock and under one
// lock. IOLoop calls it.
func (c *client) recordLatencies(now time.Time) {
	if !c.stored.IsEmpty() {
		c.publishLatency.Add(c.stored.Until(int64(now.Sub(c.env.start)) + 1)) // as env.now
		c.stored.Clear()
	}
	if !c.done.IsEmpty() {
		ch := c.channel.Load()
		ch.e2eHistogram().Add(c.done.Until(now.UnixNano()))
		if c.env.recordsPercentiles() {
			ch.latencyWindow().Record(&c.done, now)
		}
		c.done.Clear()
	}
}

// recordsPercentiles reports whether percentiles are configured.
func (e *env) recordsPercentiles() bool { return len(e.opts.E2EProcessingLatencyPercentiles) > 0 }

// e2eHistogram returns what counts the latencies of the channel since the start.
func (ch *channel) e2eHistogram() *histogram.Histogram {
	if h := ch.e2e.Load(); h != nil {
		return h
	}
	ch.e2e.CompareAndSwap(nil, histogram.New(e2eBounds)) // or somebody was faster
	return ch.e2e.Load()
}

// latencyWindow returns the window that latencies are recorded in.
func (ch *channel) latencyWindow() *latency.Window {
	if w := ch.latency.Load(); w != nil {
		return w
	}
	ch.latency.CompareAndSwap(nil, latency.NewWindow(ch.env.opts.E2EProcessingLatencyWindowTime)) // or somebody was faster
	return ch.latency.Load()
}

// latencies returns what the window covers now.
func (ch *channel) latencies() (d latency.Distribution) {
	if w := ch.latency.Load(); w != nil {
		w.MergeInto(&d, time.Now())
	}
	return d
}

// latencyStats returns the percentiles that are configured, in their order.
func latencyStats(opts *Options, d *latency.Distribution) stats.Latency {
	s := stats.Latency{
		Count:       int(d.Count()),
		Percentiles: make([]stats.Percentile, len(opts.E2EProcessingLatencyPercentiles)),
	}
	for i, q := range opts.E2EProcessingLatencyPercentiles {
		s.Percentiles[i] = stats.Percentile{Quantile: q, Value: d.Quantile(q)}
	}
	return s
}
