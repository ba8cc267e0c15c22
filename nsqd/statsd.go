package nsqd

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/statsd"
	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	statsdQuiet       = time.Second     // at the end of an interval: a round is over before the next begins
	statsdDialTimeout = 5 * time.Second // mostly for resolving the name
)

// A statsdPusher sends snapshots to a statsd daemon, whose absence disturbs
// nothing and nobody.
type statsdPusher struct {
	n       *NSQD
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	metrics *statsd.Metrics
	failing bool // the last round; only changes are logged
}

func newStatsdPusher(n *NSQD) *statsdPusher {
	return &statsdPusher{
		n:       n,
		dial:    (&net.Dialer{Timeout: statsdDialTimeout}).DialContext,
		metrics: statsd.NewMetrics(n.statsdPrefix(), n.opts.StatsdUDPPacketSize),
	}
}

// statsdPrefix returns the start of every metric's name: as configured, with
// the node's address filled in, and with a dot at its end.
func (n *NSQD) statsdPrefix() string {
	node := net.JoinHostPort(n.opts.BroadcastAddress, strconv.Itoa(n.broadcastHTTPPort()))
	node = strings.NewReplacer(".", "_", ":", "_").Replace(node)
	prefix := strings.ReplaceAll(n.opts.StatsdPrefix, "%s", node)
	if prefix != "" && !strings.HasSuffix(prefix, ".") {
		prefix += "."
	}
	return prefix
}

// statsdLoop pushes a round in every interval, until the context ends.
func (p *statsdPusher) statsdLoop(ctx context.Context) error {
	ticker := time.NewTicker(p.n.opts.StatsdInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		err := p.push(ctx)
		if ctx.Err() != nil {
			return nil
		}
		p.report(err)
	}
}

// push sends one round. The name is resolved for each, so that a daemon that
// moves is found again; where that fails, counters go on to the next round.
func (p *statsdPusher) push(ctx context.Context) error {
	opts := p.n.opts
	p.n.log.Info("STATSD: pushing stats to " + opts.StatsdAddress)
	conn, err := p.dial(ctx, "udp", opts.StatsdAddress)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := p.n.stats(statsFilter{memory: opts.StatsdMemStats})
	addStats(p.metrics, &s, opts.StatsdExcludeEphemeral)
	return statsd.Send(ctx, conn, p.metrics.Flush(), opts.StatsdInterval-statsdQuiet)
}

// report logs that pushing began to fail, or works again.
func (p *statsdPusher) report(err error) {
	failing := err != nil
	if failing == p.failing {
		return
	}
	p.failing = failing
	if failing {
		p.n.log.Error("STATSD: stats cannot be pushed, will try on", "address", p.n.opts.StatsdAddress, "error", err)
	} else {
		p.n.log.Info("STATSD: stats are pushed again", "address", p.n.opts.StatsdAddress)
	}
}

// addStats adds every metric of a snapshot, by topic and channel.
func addStats(m *statsd.Metrics, s *stats.Stats, withoutEphemeral bool) {
	for i := range s.Topics {
		if t := &s.Topics[i]; !withoutEphemeral || !wire.IsEphemeral(t.Name) {
			addTopic(m, t, withoutEphemeral)
		}
	}
	if s.Memory != nil {
		addMemory(m, s.Memory)
	}
}

func addTopic(m *statsd.Metrics, t *stats.Topic, withoutEphemeral bool) {
	prefix := "topic." + t.Name + "."
	m.Counter(prefix+"message_count", t.Messages)
	m.Counter(prefix+"message_bytes", t.Bytes)
	m.Gauge(prefix+"depth", uint64(t.Depth))
	m.Gauge(prefix+"backend_depth", uint64(t.BackendDepth))
	addLatency(m, &t.E2E, prefix)
	for i := range t.Channels {
		if ch := &t.Channels[i]; !withoutEphemeral || !wire.IsEphemeral(ch.Name) {
			addChannel(m, ch, prefix+"channel."+ch.Name+".")
		}
	}
}

func addChannel(m *statsd.Metrics, ch *stats.Channel, prefix string) {
	m.Counter(prefix+"message_count", ch.Messages)
	m.Gauge(prefix+"depth", uint64(ch.Depth))
	m.Gauge(prefix+"backend_depth", uint64(ch.BackendDepth))
	m.Gauge(prefix+"in_flight_count", uint64(ch.InFlight))
	m.Gauge(prefix+"deferred_count", uint64(ch.Deferred))
	m.Counter(prefix+"requeue_count", ch.Requeues)
	m.Counter(prefix+"timeout_count", ch.Timeouts)
	m.Gauge(prefix+"clients", uint64(ch.ClientCount))
	addLatency(m, &ch.E2E, prefix)
}

// addLatency names each percentile by its whole percents, as graphs know it.
func addLatency(m *statsd.Metrics, l *stats.Latency, prefix string) {
	for _, p := range l.Percentiles {
		m.Gauge(fmt.Sprintf("%se2e_processing_latency_%.0f", prefix, 100*p.Quantile), uint64(p.Value))
	}
}

func addMemory(m *statsd.Metrics, mem *stats.Memory) {
	m.Gauge("mem.heap_objects", mem.HeapObjects)
	m.Gauge("mem.heap_idle_bytes", mem.HeapIdleBytes)
	m.Gauge("mem.heap_in_use_bytes", mem.HeapInUseBytes)
	m.Gauge("mem.heap_released_bytes", mem.HeapReleasedBytes)
	m.Gauge("mem.gc_pause_usec_100", mem.GCPauseUsec100)
	m.Gauge("mem.gc_pause_usec_99", mem.GCPauseUsec99)
	m.Gauge("mem.gc_pause_usec_95", mem.GCPauseUsec95)
	m.Gauge("mem.next_gc_bytes", mem.NextGCBytes)
	m.Counter("mem.gc_runs", mem.GCTotalRuns)
}
