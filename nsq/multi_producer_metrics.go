package nsq

import (
	"iter"
	"slices"
)

var _ MetricSource = (*MultiProducer)(nil)

// Metrics returns those of a Producer for every nsqd, also for one that is not
// listed any more as long as it has something to answer.
func (p *MultiProducer) Metrics() iter.Seq[Metric] {
	return func(yield func(Metric) bool) {
		for _, m := range p.allMembers() {
			for metric := range m.producer.Metrics() {
				if !yield(metric) {
					return
				}
			}
		}
	}
}

func (p *MultiProducer) allMembers() []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(*p.members.Load(), p.leaving)
}
