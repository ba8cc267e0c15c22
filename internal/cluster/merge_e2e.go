package cluster

import (
	"math"
	"slices"

	"github.com/seed893f581e/nsq/internal/stats"
)

// E2E is the time from publish to FIN, of a topic or a channel.
type E2E struct {
	Count       int64        `json:"count"`       // messages that were finished within the window
	Percentiles []Percentile `json:"percentiles"` // nil where none are configured
	Topic       string       `json:"topic"`
	Channel     string       `json:"channel"` // "" of a topic
	Host        string       `json:"host"`    // AllNodes, or the node's address
}

// Percentile is one of them, in nanoseconds. The percentile of several nodes
// together is not known: it is between Min and Max.
type Percentile struct {
	Average  float64  `json:"average"` // of what the nodes say, by their counts
	Count    int64    `json:"count"`
	Max      float64  `json:"max"`
	Min      float64  `json:"min"`
	Quantile float64  `json:"quantile"`
	Value    *float64 `json:"value,omitempty"` // of one node only
}

// nodeE2E returns what one node says. There is no infinity in JSON, so that
// numbers are kept where sums of them are finite.
func nodeE2E(l stats.Latency, topic, channel, node string) E2E {
	e := E2E{Count: min(max(int64(l.Count), 0), 1<<50), Topic: topic, Channel: channel, Host: node}
	for _, p := range l.Percentiles {
		v := min(max(p.Value, 0), math.MaxInt64)
		e.Percentiles = append(e.Percentiles, Percentile{Average: v, Count: e.Count, Max: v, Min: v, Quantile: p.Quantile, Value: &v})
	}
	return e
}

// add adds what one node says. A node on which nothing was finished says
// nothing about times.
func (e *E2E) add(one E2E) {
	e.Count += one.Count
	for _, p := range one.Percentiles {
		i := slices.IndexFunc(e.Percentiles, func(sum Percentile) bool { return sum.Quantile == p.Quantile })
		if i < 0 {
			p.Value = nil
			e.Percentiles = append(e.Percentiles, p)
			continue
		}
		e.Percentiles[i].add(p)
	}
}

func (sum *Percentile) add(p Percentile) {
	switch {
	case p.Count == 0:
	case sum.Count == 0:
		p.Value = nil
		*sum = p
	default:
		before, more := float64(sum.Count), float64(p.Count)
		sum.Average = (sum.Average*before + p.Average*more) / (before + more)
		sum.Max, sum.Min = max(sum.Max, p.Max), min(sum.Min, p.Min)
		sum.Count += p.Count
	}
}
