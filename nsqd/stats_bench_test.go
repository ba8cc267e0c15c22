package nsqd

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// manyTopics returns a broker with so many topics, each with a channel, some of
// whose messages were finished lately.
func manyTopics(b *testing.B, count int, percentiles ...float64) *NSQD {
	b.Helper()
	n := testNSQD(b, func(o *Options) { o.E2EProcessingLatencyPercentiles = percentiles })
	for i := range count {
		t, err := n.topics.topic(fmt.Appendf(nil, "topic-%d", i))
		if err != nil {
			b.Fatal(err)
		}
		ch, err := t.channel("channel")
		if err != nil {
			b.Fatal(err)
		}
		if len(percentiles) == 0 {
			continue
		}
		for m := range 100 {
			c := &client{env: n.env}
			c.channel.Store(ch)
			published := batch{time: time.Now().Add(-time.Duration(m*m) * time.Microsecond).UnixNano()}
			c.countFinished(&span{b: &published})
			c.recordLatencies(time.Now())
		}
	}
	return n
}

var allStats = statsFilter{clients: true, memory: true}

func BenchmarkStatsOf10000Topics(b *testing.B) {
	for name, percentiles := range map[string][]float64{"": nil, "with percentiles": {1, 0.99, 0.95}} {
		n := manyTopics(b, 10_000, percentiles...)
		b.Run("snapshot "+name, func(b *testing.B) {
			for b.Loop() {
				n.stats(allStats)
			}
		})
		b.Run("JSON "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := json.Marshal(n.stats(allStats)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPublishDuringStats is the latency of a publisher to one of 10,000
// topics, alone and while somebody takes snapshots: ten a second, or one after
// the other.
func BenchmarkPublishDuringStats(b *testing.B) {
	n := manyTopics(b, 10_000, 1, 0.99)
	for _, c := range []struct {
		name  string
		every time.Duration
	}{{"alone", time.Hour}, {"every 100 ms", 100 * time.Millisecond}, {"one after the other", time.Nanosecond}} {
		b.Run(c.name, func(b *testing.B) {
			stop := make(chan struct{})
			var running sync.WaitGroup
			running.Go(func() {
				ticker := time.NewTicker(c.every)
				defer ticker.Stop()
				for {
					select {
					case <-stop:
						return
					case <-ticker.C:
						n.stats(allStats)
					}
				}
			})
			topic, payload := []byte("topic-5000"), []byte("\x00\x00\x00\x01x")
			ch := n.topics.existing("topic-5000").existingChannel("channel")
			took := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for i := range b.N {
				began := time.Now()
				if err := n.topics.publish(topic, payload, 1, 0); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
				if i%1000 == 999 {
					if err := ch.empty(); err != nil { // so that nothing goes to disk
						b.Fatal(err)
					}
				}
			}
			b.StopTimer()
			close(stop)
			running.Wait()
			slices.Sort(took)
			for _, q := range []struct {
				name string
				at   float64
			}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.9-ns", 0.999}, {"max-ns", 1}} {
				b.ReportMetric(float64(took[int(q.at*float64(len(took)-1))]), q.name)
			}
		})
	}
}
