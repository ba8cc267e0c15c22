package nsq

import (
	"iter"
	"sync/atomic"
)

// consumerCounters counts what happens without a lock that could guard it.
type consumerCounters struct {
	finished, requeued, touched atomic.Uint64
	givenUp, handlerErrors      atomic.Uint64
	protocolErrors              atomic.Uint64
	dials, dialFailures, losses atomic.Uint64
}

// Metrics returns counters and gauges with the labels topic and channel, to be
// shown by MetricsHandler or WriteMetrics.
func (r *Consumer) Metrics() iter.Seq[Metric] { return metrics(r.metrics) }

func (r *Consumer) metrics() []Metric {
	labels := []MetricLabel{{"topic", r.topic}, {"channel", r.channel}}
	counter := func(name, help string, value uint64) Metric {
		return Metric{"nsq_consumer_" + name, help, MetricCounter, labels, float64(value)}
	}
	gauge := func(name, help string, value float64) Metric {
		return Metric{"nsq_consumer_" + name, help, MetricGauge, labels, value}
	}
	n, now := &r.counters, r.state()
	queue, waiting := r.queue.state()
	return []Metric{
		counter("messages_received_total", "Messages that arrived from nsqd.", queue.received),
		counter("received_bytes_total", "Bytes in the bodies of messages that arrived from nsqd.", queue.bytes),
		counter("messages_finished_total", "Messages answered with FIN.", n.finished.Load()),
		counter("messages_requeued_total", "Messages answered with REQ.", n.requeued.Load()),
		counter("messages_touched_total", "TOUCH commands, each of which gives a handler more time.", n.touched.Load()),
		counter("messages_dropped_total", "Messages that waited for a handler until nsqd had given them up; it delivers them again.", queue.dropped),
		counter("messages_given_up_total", "Messages finished without a handler as they were attempted more than max_attempts times.", n.givenUp.Load()),
		counter("handler_errors_total", "Errors returned by handlers.", n.handlerErrors.Load()),
		counter("protocol_errors_total", "Errors sent by nsqd, such as E_FIN_FAILED for an answer that came too late.", n.protocolErrors.Load()),
		counter("backoffs_total", "Pauses made because messages failed.", now.backoffs),
		counter("dials_total", "Attempts to connect to an nsqd.", n.dials.Load()),
		counter("dial_failures_total", "Attempts to connect to an nsqd that failed.", n.dialFailures.Load()),
		counter("connections_lost_total", "Connections that ended although they were wanted.", n.losses.Load()),
		gauge("messages_in_flight", "Messages that arrived on a connection that is still there, and have no answer yet.", float64(now.inFlight)),
		gauge("messages_waiting", "Messages that wait for a handler.", float64(waiting)),
		gauge("max_in_flight", "How many messages may be in flight.", float64(now.maxInFlight)),
		gauge("rdy", "How many messages nsqd was told to have in flight at most, over all connections.", float64(now.rdy)),
		gauge("connections", "Connections to nsqds.", float64(now.connections)),
		gauge("handlers", "How many calls of handlers may run at a time.", float64(now.handlers)),
		gauge("backoff_level", "The level of back-off; 0 outside of it.", float64(now.backoffLevel)),
		gauge("starved", "Consumers of which a connection has about as many messages in flight as it may.", oneIf(now.starved)),
	}
}

// consumerState is what Consumer.mu guards, at one time.
type consumerState struct {
	handlers, maxInFlight, connections int
	rdy, inFlight                      int64
	starved                            bool
	backoffLevel                       int
	backoffs                           uint64
}

func (r *Consumer) state() consumerState {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := consumerState{
		handlers:     r.handlerCount,
		maxInFlight:  r.maxInFlight,
		connections:  len(r.conns),
		starved:      r.starvedLocked(),
		backoffLevel: r.backoff.level,
		backoffs:     r.backoffs,
	}
	for _, c := range r.conns {
		s.rdy += c.rdy.Load()
		s.inFlight += c.inFlight.Load()
	}
	return s
}
