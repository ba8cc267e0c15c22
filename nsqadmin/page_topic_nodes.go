package nsqadmin

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// What the pages of topics and channels say of one nsqd.

// health says what is wrong with a node, as far as that matters to a topic on
// it.
func health(v *watch.View, n *watch.NodeState, topic string) (list []state) {
	if n.Err != nil {
		list = append(list, state{"problem", shortSilence(v, n)})
	}
	if n.Stats != nil && n.Stats.Health != "OK" {
		list = append(list, state{"problem", "disk error"})
	}
	if n.Missing {
		list = append(list, state{"warning", "no longer registered"})
	}
	if t := n.Registration(topic); t != nil && t.Tombstoned {
		list = append(list, state{"warning", "tombstoned"})
	}
	return list
}

func shortSilence(v *watch.View, n *watch.NodeState) string {
	if n.Answered.IsZero() {
		return "never answered"
	}
	return "no answer for " + chart.Ago(n.Answered, v.At)
}

// good is the state of a node with which nothing is wrong.
var good = state{"ok", "OK"}

// A topicNode is a topic on a node.
type topicNode struct {
	cluster.TopicStats // zero unless the node has it
	Node               *watch.NodeState
	Has                bool
	Health             []state
	Publish            float64
}

// topicNodes returns all nodes that have a topic, or are registered for it.
func topicNodes(v *watch.View, t *cluster.TopicStats) []*topicNode {
	on := make(map[string]*cluster.TopicStats, len(t.Nodes))
	for i := range t.Nodes {
		on[t.Nodes[i].Node] = &t.Nodes[i]
	}
	var list []*topicNode
	for i := range v.Nodes {
		n := &v.Nodes[i]
		row := &topicNode{Node: n, Publish: math.NaN(), Health: health(v, n, t.Topic)}
		one := on[n.Address]
		switch {
		case one != nil:
			row.TopicStats, row.Has = *one, true
			row.Publish, _ = v.Rates(history.Key{Topic: t.Topic, Node: n.Address})
			if one.Paused {
				row.Health = append(row.Health, state{"off", "paused"})
			}
		case n.Topic(t.Topic) != nil: // too long ago to count
		case n.Registration(t.Topic) == nil:
			continue
		case n.Stats != nil:
			row.Health = append(row.Health, state{"warning", "registered, does not have it"})
		}
		if len(row.Health) == 0 {
			row.Health = []state{good}
		}
		list = append(list, row)
	}
	return list
}

// A channelNode is a channel on a node.
type channelNode struct {
	cluster.ChannelStats // zero unless the node has it
	Node                 *watch.NodeState
	Has                  bool
	Health               []state
	Publish, Finish      float64
}

// channelNodes returns all nodes that have the topic of a channel.
func channelNodes(v *watch.View, ch *cluster.ChannelStats) []*channelNode {
	on := make(map[string]*cluster.ChannelStats, len(ch.Nodes))
	for i := range ch.Nodes {
		on[ch.Nodes[i].Node] = &ch.Nodes[i]
	}
	var list []*channelNode
	for i := range v.Nodes {
		n := &v.Nodes[i]
		row := &channelNode{Node: n, Publish: math.NaN(), Finish: math.NaN(), Health: health(v, n, ch.Topic)}
		one := on[n.Address]
		switch {
		case one != nil:
			row.ChannelStats, row.Has = *one, true
			row.Publish, row.Finish = v.Rates(history.Key{Topic: ch.Topic, Channel: ch.Channel, Node: n.Address})
			if one.Paused {
				row.Health = append(row.Health, state{"off", "paused"})
			}
		case n.Channel(ch.Topic, ch.Channel) != nil: // too long ago to count
		case n.Topic(ch.Topic) != nil:
			row.Health = append(row.Health, state{"warning", "has the topic, not the channel"})
		case n.Stats != nil || n.Registration(ch.Topic) == nil:
			continue
		}
		if len(row.Health) == 0 {
			row.Health = []state{good}
		}
		list = append(list, row)
	}
	return list
}

// A quantile is a percentile of end-to-end latency as it is shown.
type quantile struct{ Name, Value, Title string }

// quantiles returns the percentiles to show, nil where nothing is known.
func quantiles(e cluster.E2E) []quantile {
	if e.Count == 0 {
		return nil
	}
	var list []quantile
	for _, p := range e.Percentiles {
		q := quantile{Name: quantileName(p.Quantile), Value: latencyText(p.Average)}
		if p.Value == nil && p.Min < p.Max {
			q.Title = fmt.Sprintf("the mean of the nodes, which say %s to %s", latencyText(p.Min), latencyText(p.Max))
		}
		list = append(list, q)
	}
	return list
}

func quantileName(q float64) string {
	if q == 1 {
		return "max"
	}
	return "p" + strconv.FormatFloat(math.Round(q*1e5)/1e3, 'f', -1, 64)
}

func latencyText(v float64) string { return chart.Format(v/1e9, chart.Seconds) }

// worst is by what latencies are compared: the largest percentile.
func worst(e cluster.E2E) float64 {
	largest := 0.0
	for _, p := range e.Percentiles {
		largest = max(largest, p.Average)
	}
	return largest
}

// A share is a part of the deliveries of a channel.
type share struct {
	Name    string
	Percent int
}

// shares tells how near to their nodes the consumers were that messages went to,
// nil where none went out.
func shares(ch *cluster.ChannelStats) []share {
	total := float64(ch.ZoneLocal) + float64(ch.RegionLocal) + float64(ch.Global)
	if total == 0 {
		return nil
	}
	percent := func(n uint64) int { return int(math.Round(100 * float64(n) / total)) }
	return []share{{"zone", percent(ch.ZoneLocal)}, {"region", percent(ch.RegionLocal)}, {"elsewhere", percent(ch.Global)}}
}

// Latencies are the percentiles of the topic on the node.
func (t *topicNode) Latencies() []quantile { return quantiles(t.E2E) }

// Latencies are the percentiles of the channel on the node.
func (c *channelNode) Latencies() []quantile { return quantiles(c.E2E) }

// Shares tells where consumers of the node's messages were.
func (c *channelNode) Shares() []share { return shares(&c.ChannelStats) }

func nodeMatches(n *watch.NodeState, text string) bool {
	return table.Contains(text, n.Address, n.Hostname, n.Zone, n.Region)
}

// isEphemeral reports whether the topic or channel is kept in memory only.
func isEphemeral(name string) bool { return strings.HasSuffix(name, "#ephemeral") }
