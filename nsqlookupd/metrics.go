package nsqlookupd

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/metrics"
)

// metricsPage answers /metrics.
type metricsPage struct {
	l        *NSQLookupd
	process  prometheus.Gatherer
	requests metrics.Requests
}

func newMetricsPage(l *NSQLookupd, s *httpapi.Server) *metricsPage {
	return &metricsPage{l, metrics.NewProcess("nsqlookupd"), metrics.NewRequests("nsqlookupd", s)}
}

func (p *metricsPage) metrics(r *http.Request) (any, error) {
	if _, err := httpapi.ParseQuery(r); err != nil {
		return nil, err
	}
	return metrics.Answer(r, p.process, newMetricsCollector(p.l), p.requests)
}

// A metricsCollector makes metrics from what is registered at one time.
type metricsCollector struct {
	*snapshot
	active      int // producers
	hidden      int // registrations that a fresh tombstone hides
	connections int
	waiting     int64
	panics      uint64
}

// newMetricsCollector looks at every producer and tombstone, of which there are far
// fewer than registrations.
func newMetricsCollector(l *NSQLookupd) *metricsCollector {
	c := &metricsCollector{
		snapshot:    l.db.snapshot(),
		connections: l.tcp.Conns(),
		waiting:     l.db.watches.waiting.Load(),
		panics:      l.panics.Load(),
	}
	view := l.db.view()
	c.producers.Scan(func(p *producer) bool {
		if view.active(p) {
			c.active++
		}
		return true
	})
	c.tombstones.Scan(func(t tombstone) bool {
		if view.hides(t) {
			c.hidden++
		}
		return true
	})
	return c
}

// families are the metrics, each with its value.
var families = []struct {
	metrics.Family
	value func(c *metricsCollector) float64
}{
	{metrics.Gauge("nsqlookupd_topics", "Topics that are known: registered by an nsqd, or created over HTTP."),
		func(c *metricsCollector) float64 { return float64(c.topicKeys) }},
	{metrics.Gauge("nsqlookupd_channels", "Channels that are known, of all topics."),
		func(c *metricsCollector) float64 { return float64(c.keys.Len() - c.topicKeys) }},
	{metrics.Gauge("nsqlookupd_producers", "nsqds that are connected and have said who they are."),
		func(c *metricsCollector) float64 { return float64(c.snapshot.producers.Len()) }},
	{metrics.Gauge("nsqlookupd_active_producers", "Those of the producers that were heard of lately. The others hang, or the network does, and consumers are not led to them."),
		func(c *metricsCollector) float64 { return float64(c.active) }},
	{metrics.Gauge("nsqlookupd_registrations", "Topics and channels of each producer, added up."),
		func(c *metricsCollector) float64 { return float64(c.registrations.Len()) }},
	{metrics.Gauge("nsqlookupd_tombstones", "Topics of producers that somebody has hidden from consumers for a while."),
		func(c *metricsCollector) float64 { return float64(c.hidden) }},
	{metrics.Gauge("nsqlookupd_connections", "TCP connections of nsqds."),
		func(c *metricsCollector) float64 { return float64(c.connections) }},
	{metrics.Gauge("nsqlookupd_watchers", "Requests that wait at /watch for a change."),
		func(c *metricsCollector) float64 { return float64(c.waiting) }},
	{metrics.Counter("nsqlookupd_panics_total", "Faults of nsqlookupd that ended a connection or request each. The log has the stack."),
		func(c *metricsCollector) float64 { return float64(c.panics) }},
}

// Describe implements prometheus.Collector.
func (c *metricsCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range families {
		f.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (c *metricsCollector) Collect(out chan<- prometheus.Metric) {
	for _, f := range families {
		f.Send(out, f.value(c))
	}
}
