package nsqd

import (
	"time"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/stats"
)

// countLatency notes that a message is finished, for recordLatency, where
// percentiles are configured. IOLoop calls it.
func (c *client) countLatency(s *span) {
	if c.env.recordsLatency() && c.done.Add(s.b.time) {
		c.recordLatency()
	}
}

// recordsLatency reports whether percentiles are configured.
func (e *env) recordsLatency() bool { return len(e.opts.E2EProcessingLatencyPercentiles) > 0 }

// recordLatency records what was finished with the channel: all that came in
// one read with one look at the clock and under one lock. IOLoop calls it.
func (c *client) recordLatency() {
	if c.done.IsEmpty() {
		return
	}
	c.channel.Load().latencyWindow().Record(&c.done, time.Now())
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
