package nsqadmin

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/metrics"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// metricsPage answers /metrics. What nsqds say of topics is not there: Prometheus asks
// them.
type metricsPage struct {
	n        *NSQAdmin
	started  time.Time
	process  prometheus.Gatherer
	requests metrics.Requests
}

func newMetricsPage(n *NSQAdmin, s *httpapi.Server) *metricsPage {
	return &metricsPage{n, time.Now(), metrics.NewProcess("nsqadmin"), metrics.NewRequests("nsqadmin", s)}
}

func (p *metricsPage) metrics(r *http.Request) (any, error) {
	if _, err := httpapi.ParseQuery(r); err != nil {
		return nil, err
	}
	return metrics.Answer(r, p.process, &metricsCollector{p, p.n.poller.Latest()}, p.requests)
}

// A metricsCollector makes metrics from the latest view.
type metricsCollector struct {
	*metricsPage
	view *watch.View
}

// families are the metrics, each with its value.
var families = []struct {
	metrics.Family
	value func(c *metricsCollector) float64
}{
	{metrics.Gauge("nsqadmin_nsqds", "nsqds that are asked: configured, or registered with an nsqlookupd within the last hour."),
		func(c *metricsCollector) float64 { return float64(len(c.view.Nodes)) }},
	{metrics.Gauge("nsqadmin_nsqds_reachable", "Those of the nsqds that answered when they were asked last."),
		func(c *metricsCollector) float64 {
			n := 0
			for i := range c.view.Nodes {
				if node := &c.view.Nodes[i]; node.Err == nil && !node.Answered.IsZero() {
					n++
				}
			}
			return float64(n)
		}},
	{metrics.Gauge("nsqadmin_lookupds", "nsqlookupds that are asked."),
		func(c *metricsCollector) float64 { return float64(len(c.view.Lookupds)) }},
	{metrics.Gauge("nsqadmin_lookupds_reachable", "Those of the nsqlookupds that answered when they were asked last."),
		func(c *metricsCollector) float64 {
			n := 0
			for i := range c.view.Lookupds {
				if l := &c.view.Lookupds[i]; l.Err == nil && !l.Answered.IsZero() {
					n++
				}
			}
			return float64(n)
		}},
	{metrics.Gauge("nsqadmin_topics", "Topics of all nsqds and nsqlookupds."),
		func(c *metricsCollector) float64 { return float64(len(c.view.Topics)) }},
	{metrics.Gauge("nsqadmin_attention", "What the console says needs attention: its first page lists it."),
		func(c *metricsCollector) float64 { return float64(len(c.view.Attention())) }},
	{metrics.Counter("nsqadmin_poll_errors_total", "Questions to nsqds and nsqlookupds that had no answer. The log has the first of each row of them."),
		func(c *metricsCollector) float64 { return float64(c.n.poller.Failed()) }},
	{metrics.Counter("nsqadmin_panics_total", "Faults of nsqadmin that ended a request each. The log has the stack."),
		func(c *metricsCollector) float64 { return float64(c.n.panics.Load()) }},
}

var pollDurationFamily = metrics.NewHistogram("nsqadmin_poll_duration_seconds",
	"Time from a question to an nsqd or nsqlookupd to its answer, or to the error. Its count is that of all questions.")

// Describe implements prometheus.Collector.
func (c *metricsCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range families {
		f.Describe(out)
	}
	pollDurationFamily.Describe(out)
}

// Collect implements prometheus.Collector.
func (c *metricsCollector) Collect(out chan<- prometheus.Metric) {
	for _, f := range families {
		f.Send(out, f.value(c))
	}
	durations := c.n.poller.Durations()
	pollDurationFamily.Send(out, &durations, c.started)
}
