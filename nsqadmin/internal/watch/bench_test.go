package watch

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// What it costs to make a view of 200 nodes and 2,000 channels and to note it in
// the history, without asking anybody.
func BenchmarkPublish(b *testing.B) {
	for _, on := range []int{20, 200} { // how many of the nodes have each topic
		b.Run(fmt.Sprint("on=", on), func(b *testing.B) {
			const nodes, topics, channels = 200, 500, 4
			p := NewPoller(nil, slog.New(slog.DiscardHandler), nil, func() []string { return nil })
			for i := range nodes {
				s := nodeStats(1)
				for t := range topics {
					if (t+i)%nodes < on {
						topic := topicStats(fmt.Sprintf("topic-%03d", t), 1)
						for c := range channels {
							topic.Channels = append(topic.Channels, channelStats(fmt.Sprint("channel-", c), 1, 1, 0, 0, 0))
						}
						s.Topics = append(s.Topics, topic)
					}
				}
				address := fmt.Sprintf("10.0.0.%d:4151", i)
				p.known[address] = &knownNode{node: nodeAt(address)}
				p.nodes[address] = &daemon{address: address, answered: time.Now().Add(time.Hour), node: &nodeAnswer{stats: s}}
			}
			b.ReportAllocs()
			for b.Loop() {
				v := p.publish(time.Now())
				p.History.Add(v.At, v.samples())
			}
		})
	}
}
