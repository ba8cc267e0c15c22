package nsqd

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/metrics"
	"github.com/seed893f581e/nsq/internal/stats"
)

// maxLabelled is how many topics, or channels, have metrics of their own unless the
// request asks for all: what scrapes must not be surprised by a program that makes
// topics without end.
const maxLabelled = 2000

// metricsPage answers /metrics.
type metricsPage struct {
	n        *NSQD
	process  prometheus.Gatherer
	requests metrics.Requests
	limit    int // maxLabelled but for tests

	mu   sync.Mutex   // last
	last stats.Totals // of the latest scrape
}

func newMetricsPage(n *NSQD, s *httpapi.Server) *metricsPage {
	return &metricsPage{n: n, process: metrics.NewProcess("nsqd"), requests: metrics.NewRequests("nsqd", s), limit: maxLabelled}
}

// metrics answers /metrics. The query may pick a topic or a channel, or want all of
// them, however many they are; sums are those of all in any case.
func (p *metricsPage) metrics(r *http.Request) (any, error) {
	q, err := httpapi.ParseQuery(r)
	if err != nil {
		return nil, err
	}
	c := &metricsCollector{limit: p.limit, full: q.Is("full", "true", "1")}
	c.topic, _ = q.Lookup("topic")
	c.channel, _ = q.Lookup("channel")
	c.stats = p.n.metricsSnapshot()
	p.raise(&c.stats.Metrics.Totals)
	return metrics.Answer(r, p.process, c, p.requests)
}

// raise keeps counters from going down, which would be taken for a restart: what is
// counted just while its channel is deleted may be missing from the sum.
func (p *metricsPage) raise(t *stats.Totals) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Raise(&p.last)
	p.last = stats.Totals{}
	p.last.Merge(t)
}

// A metricsCollector makes metrics from a snapshot, for one scrape.
type metricsCollector struct {
	stats   stats.Stats
	topic   string // only this one has metrics of its own; "" for all
	channel string // likewise
	limit   int    // of topics, and of channels, that have metrics of their own
	full    bool   // however many they are
}

// Describe implements prometheus.Collector.
func (c *metricsCollector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range brokerFamilies {
		f.Describe(out)
	}
	for _, f := range topicFamilies {
		f.one.Describe(out)
		f.all.Describe(out)
	}
	for _, f := range channelFamilies {
		f.one.Describe(out)
		f.all.Describe(out)
	}
	for _, f := range totalFamilies {
		f.Describe(out)
	}
	for _, h := range []metrics.Histogram{publishLatencyFamily, channelLatencyFamily, channelsLatencyFamily} {
		h.Describe(out)
	}
	truncatedFamily.Describe(out)
}

// Collect implements prometheus.Collector.
func (c *metricsCollector) Collect(out chan<- prometheus.Metric) {
	m := c.stats.Metrics
	for _, f := range brokerFamilies {
		f.send(out, &c.stats)
	}
	for _, f := range totalFamilies {
		f.Send(out, f.value(&m.Totals))
	}
	publishLatencyFamily.Send(out, &m.PublishLatency, c.started())
	channelsLatencyFamily.Send(out, &m.Totals.E2E, c.started())

	var channels []*stats.Channel
	var topics []*stats.Topic
	for i := range c.stats.Topics {
		t := &c.stats.Topics[i]
		topics = append(topics, t)
		for j := range t.Channels {
			channels = append(channels, &t.Channels[j])
		}
	}
	for _, f := range topicFamilies {
		f.sendAll(out, topics)
	}
	for _, f := range channelFamilies {
		f.sendAll(out, channels)
	}
	c.collectLabelled(out)
}

// collectLabelled sends the metrics of each topic and channel that is wanted, unless
// they are too many.
func (c *metricsCollector) collectLabelled(out chan<- prometheus.Metric) {
	wanted := c.wanted()
	channels := 0
	for _, t := range wanted {
		channels += len(t.channels)
	}
	if !c.full && (len(wanted) > c.limit || channels > c.limit) {
		truncatedFamily.Send(out, 1)
		return
	}
	truncatedFamily.Send(out, 0)
	for _, t := range wanted {
		for _, f := range topicFamilies {
			f.sendOne(out, t.topic, t.topic.Name)
		}
		for _, ch := range t.channels {
			for _, f := range channelFamilies {
				f.sendOne(out, ch, t.topic.Name, ch.Name)
			}
			channelLatencyFamily.Send(out, &ch.Latencies, c.started(), t.topic.Name, ch.Name)
		}
	}
}

// A wantedTopic is a topic with those of its channels that are wanted.
type wantedTopic struct {
	topic    *stats.Topic
	channels []*stats.Channel
}

// wanted returns what the query picks, as at /stats: with a channel only topics that
// have it.
func (c *metricsCollector) wanted() (list []wantedTopic) {
	for i := range c.stats.Topics {
		t := &c.stats.Topics[i]
		if c.topic != "" && c.topic != t.Name {
			continue
		}
		w := wantedTopic{topic: t}
		for j := range t.Channels {
			if ch := &t.Channels[j]; c.channel == "" || c.channel == ch.Name {
				w.channels = append(w.channels, ch)
			}
		}
		if c.channel == "" || len(w.channels) > 0 {
			list = append(list, w)
		}
	}
	return list
}
