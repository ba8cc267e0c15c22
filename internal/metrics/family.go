package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/seed893f581e/nsq/internal/histogram"
)

// A Family is a metric by its name, with what people are told of it. It has no value
// of its own: Send says one. The zero Family is none.
type Family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Counter returns the family of a number that goes up until the program ends.
func Counter(name, help string, labels ...string) Family {
	return Family{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// Gauge returns the family of a number that goes up and down.
func Gauge(name, help string, labels ...string) Family {
	return Family{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

// Describe sends what Prometheus' library wants to know of a family.
func (f Family) Describe(out chan<- *prometheus.Desc) {
	if f.desc != nil {
		out <- f.desc
	}
}

// Send says a value of the family, with a value for each of its labels.
func (f Family) Send(out chan<- prometheus.Metric, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

// A Histogram is the family of a histogram, for which it has both classic and native
// buckets.
type Histogram struct{ desc *prometheus.Desc }

// NewHistogram returns the family of a histogram in seconds.
func NewHistogram(name, help string, labels ...string) Histogram {
	return Histogram{prometheus.NewDesc(name, help, labels, nil)}
}

// Describe sends what Prometheus' library wants to know of a family.
func (h Histogram) Describe(out chan<- *prometheus.Desc) { out <- h.desc }

// Send says what was counted since a time, with a value for each label. Of nothing it
// sends nothing.
func (h Histogram) Send(out chan<- prometheus.Metric, c *histogram.Counts, since time.Time, labels ...string) {
	if c.Bounds == nil {
		return
	}
	coarse := make(map[float64]uint64, len(c.Bounds))
	n := uint64(0)
	for i, bound := range c.Bounds {
		n += c.Coarse[i]
		coarse[bound.Seconds()] = n
	}
	fine := make(map[int]int64)
	for i, n := range c.Fine {
		if n > 0 {
			fine[i+histogram.FirstFine] = int64(n)
		}
	}
	total := c.Total()
	out <- bothHistograms{
		classic: prometheus.MustNewConstHistogram(h.desc, total, c.Sum, coarse, labels...),
		native: prometheus.MustNewConstNativeHistogram(h.desc, total, c.Sum, fine, nil, c.Zero,
			histogram.Schema, histogram.ZeroThreshold, since, labels...),
	}
}

// bothHistograms is one histogram with two kinds of buckets; each reader takes what it
// knows.
type bothHistograms struct{ classic, native prometheus.Metric }

// Desc implements prometheus.Metric.
func (b bothHistograms) Desc() *prometheus.Desc { return b.native.Desc() }

// Write implements prometheus.Metric.
func (b bothHistograms) Write(m *dto.Metric) error {
	var classic dto.Metric
	if err := b.classic.Write(&classic); err != nil {
		return err
	}
	if err := b.native.Write(m); err != nil {
		return err
	}
	m.Histogram.Bucket = classic.Histogram.Bucket
	return nil
}
