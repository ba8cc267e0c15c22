package nsq

import (
	"iter"
	"slices"
	"sync/atomic"
)

// producerCounters counts what is rare.
type producerCounters struct {
	dials, dialFailures, losses atomic.Uint64
}

// publishResult is how a publication ended.
type publishResult uint8

const (
	published publishResult = iota
	refused                 // by nsqd
	lost                    // with its connection, before there was an answer
	publishResults
)

func (r publishResult) String() string { return [...]string{"ok", "refused", "lost"}[r] }

// pendingPublication is a publication that was sent, and what is counted of it when
// its result is known.
type pendingPublication struct {
	t        *ProducerTransaction
	verb     verb
	messages int32
	bytes    int64
}

// pending returns what is kept of p until there is an answer to it.
func (p *publication) pending(t *ProducerTransaction) pendingPublication {
	pp := pendingPublication{t: t, verb: p.verb, messages: 1, bytes: p.bytes()}
	if p.verb == mpub {
		pp.messages = int32(len(p.bodies))
	}
	return pp
}

// publishCounts is how publications ended. It is not safe for concurrent use.
type publishCounts struct {
	calls           [verbs][publishResults]uint64
	messages, bytes uint64 // of those that nsqd took
}

func (c *publishCounts) add(pp *pendingPublication, r publishResult) {
	c.calls[pp.verb][r]++
	if r == published {
		c.messages += uint64(pp.messages)
		c.bytes += uint64(pp.bytes)
	}
}

func (c *publishCounts) addAll(other *publishCounts) {
	for v := range c.calls {
		for r := range c.calls[v] {
			c.calls[v][r] += other.calls[v][r]
		}
	}
	c.messages += other.messages
	c.bytes += other.bytes
}

// producerState is what the locks of a producer guard, at one time.
type producerState struct {
	publishCounts
	pending, queued int
}

func (p *Producer) state() producerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := producerState{publishCounts: p.past}
	for _, c := range p.serving {
		c.mu.Lock()
		s.addAll(&c.counts)
		s.pending += c.pending.n
		s.queued += len(c.queued)
		c.mu.Unlock()
	}
	return s
}

// served keeps what was counted for a connection whose router ends.
func (p *Producer) served(c *producerConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.addAll(&c.counts) // nobody changes them any more
	p.serving = slices.DeleteFunc(p.serving, func(other *producerConn) bool { return other == c })
}

// Metrics returns counters and gauges with the label nsqd, to be shown by
// MetricsHandler or WriteMetrics.
func (p *Producer) Metrics() iter.Seq[Metric] { return metrics(p.metrics) }

func (p *Producer) metrics() []Metric {
	labels := []MetricLabel{{"nsqd", p.addr}}
	counter := func(name, help string, value uint64) Metric {
		return Metric{"nsq_producer_" + name, help, MetricCounter, labels, float64(value)}
	}
	gauge := func(name, help string, value float64) Metric {
		return Metric{"nsq_producer_" + name, help, MetricGauge, labels, value}
	}
	n, now := &p.counters, p.state()
	all := []Metric{
		counter("messages_published_total", "Messages that nsqd took.", now.messages),
		counter("published_bytes_total", "Bytes in the bodies of messages that nsqd took.", now.bytes),
		counter("dials_total", "Attempts to connect to nsqd.", n.dials.Load()),
		counter("dial_failures_total", "Attempts to connect to nsqd that failed.", n.dialFailures.Load()),
		counter("connections_lost_total", "Connections that ended before Stop.", n.losses.Load()),
		gauge("connected", "Producers that have a connection to nsqd.", oneIf(p.conn.Load() != nil)),
		gauge("publishes_pending", "Publish calls that nsqd has not answered.", float64(now.pending)),
		gauge("queued_bytes", "Bytes of commands that wait to be written to nsqd.", float64(now.queued)),
		gauge("results_undelivered", "Results of asynchronous calls that wait to be received from their doneChan.", float64(p.results.kept.Load())),
	}
	for v, results := range now.calls {
		for result, calls := range results {
			m := counter("publishes_total", "Publish calls that were sent, by kind and by result: ok, refused by nsqd, or lost with the connection before there was an answer.", calls)
			m.Labels = append(slices.Clone(labels), MetricLabel{"kind", verb(v).String()}, MetricLabel{"result", publishResult(result).String()})
			all = append(all, m)
		}
	}
	return all
}
