package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
)

// Name is how the node is known: by its host's name, if it has one, and its
// address.
func (n *NodeState) Name() string {
	if n.Hostname == "" || strings.HasPrefix(n.Address, n.Hostname+":") {
		return n.Address
	}
	return fmt.Sprintf("%s (%s)", n.Hostname, n.Address)
}

// Topic returns what the node said last of a topic, nil if it does not have it.
func (n *NodeState) Topic(name string) *stats.Topic {
	if n.Stats == nil {
		return nil
	}
	if i, ok := findTopic(n.Stats.Topics, name); ok {
		return &n.Stats.Topics[i]
	}
	return nil
}

// Channel returns what the node said last of a channel, nil if it does not have
// it.
func (n *NodeState) Channel(topic, name string) *stats.Channel {
	t := n.Topic(topic)
	if t == nil {
		return nil
	}
	if i, ok := findChannel(t.Channels, name); ok {
		return &t.Channels[i]
	}
	return nil
}

// Registration returns how nsqlookupds know a topic of the node, nil if they do
// not.
func (n *NodeState) Registration(topic string) *cluster.NodeTopic {
	for i := range n.Topics {
		if t := &n.Topics[i]; t.Topic == topic {
			return t
		}
	}
	return nil
}

// Has reports whether the node has a topic, as it says itself or as the
// nsqlookupds know.
func (n *NodeState) Has(topic string) bool {
	return n.Topic(topic) != nil || n.Registration(topic) != nil
}

// MayHave reports whether the node has a channel, as far as that is known: one
// that never answered may have every channel of the topics it is registered for.
func (n *NodeState) MayHave(topic, channel string) bool {
	if n.Stats == nil {
		return n.Registration(topic) != nil
	}
	return n.Channel(topic, channel) != nil
}

// Silence tells for how long a daemon that does not answer has not done so, and
// why, to be read behind its name.
func Silence(answered, now time.Time, err error) string {
	text := "has not answered so far"
	if !answered.IsZero() {
		text = "has not answered for " + chart.Ago(answered, now)
	}
	return text + ": " + cluster.Reason(err)
}
