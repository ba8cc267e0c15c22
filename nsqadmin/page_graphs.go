package nsqadmin

// A graph is a number that graphite has a picture of, for the pages of topics
// and channels.
type graph struct {
	Name  string
	Links []graphLink // by the time that they are over
}

// A graphLink leads to a picture. That may be on another machine.
type graphLink struct{ Range, URL string }

// topicGraphs and channelGraphs are what graphite has of each, by its key.
var (
	topicGraphs = []struct{ key, name string }{
		{"depth", "Depth"},
		{"message_count", "Published"},
	}
	channelGraphs = []struct{ key, name string }{
		{"depth", "Depth"},
		{"in_flight_count", "In flight"},
		{"deferred_count", "Deferred"},
		{"message_count", "Received"},
		{"requeue_count", "Requeued"},
		{"timeout_count", "Timed out"},
		{"clients", "Consumers"},
	}
)

// graphs returns the pictures of a topic, or of one of its channels, on all
// nodes together: none without a graphite.
func (s *httpServer) graphs(topic, channel string) []graph {
	if !s.n.graphite.enabled() {
		return nil
	}
	of := topicGraphs
	if channel != "" {
		of = channelGraphs
	}
	list := make([]graph, len(of))
	for i, g := range of {
		list[i].Name = g.name
		for _, over := range graphRanges {
			m := metric{Topic: topic, Channel: channel, Key: g.key}
			list[i].Links = append(list[i].Links, graphLink{over, s.n.graphite.link(over, m)})
		}
	}
	return list
}
