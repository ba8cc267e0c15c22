package nsq

import "iter"

// Metric is one value that a program may want to watch: a counter or a gauge, as
// Prometheus knows them.
type Metric struct {
	Name   string // such as nsq_consumer_messages_received_total
	Help   string // one sentence, the same for every metric of this name
	Kind   MetricKind
	Labels []MetricLabel // what tells it from others of this name
	Value  float64
}

// MetricKind says how the values of a metric belong together.
type MetricKind int

// The kinds.
const (
	MetricCounter MetricKind = iota // grows, and starts again at 0 with the program
	MetricGauge                     // goes up and down
)

// String returns the kind as the Prometheus text format names it.
func (k MetricKind) String() string {
	switch k {
	case MetricCounter:
		return "counter"
	case MetricGauge:
		return "gauge"
	}
	return "untyped"
}

// MetricLabel is a name and a value, such as topic and orders.
type MetricLabel struct {
	Name, Value string
}

// MetricSource has metrics: a Producer or a Consumer, or something of the program
// that is to be shown with them. See WriteMetrics and MetricsHandler.
type MetricSource interface {
	// Metrics returns the values at the time they are ranged over. The labels
	// of what it yields must not be changed.
	Metrics() iter.Seq[Metric]
}

var (
	_ MetricSource = (*Producer)(nil)
	_ MetricSource = (*Consumer)(nil)
)

// metrics returns the metrics that take returns at the time it is ranged over.
func metrics(take func() []Metric) iter.Seq[Metric] {
	return func(yield func(Metric) bool) {
		for _, m := range take() {
			if !yield(m) {
				return
			}
		}
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
