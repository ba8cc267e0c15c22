package nsqadmin

import (
	"math"
	"net/http"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// topicData is what topic.html shows.
type topicData struct {
	cluster.TopicStats
	Sum      topicItem
	Alerts   []watch.Alert
	Charts   []chart.Chart
	Graphs   []graph
	Channels *table.Table[*channelItem]
	Nodes    *table.Table[*topicNode]
	Actions  []actionKind
	Other    string // a durability that the topic could have, "" where it can have no other
	Commands []commandHint
}

// otherDurability returns one that a topic could have instead of its own; "" for what is
// ephemeral, or where nodes have no durable topics.
func otherDurability(t *cluster.TopicStats) string {
	switch {
	case t.Durability == "" || isEphemeral(t.Topic):
		return ""
	case t.Durability == "disk":
		return "fsync"
	}
	return "disk"
}

// A channelItem is a row of the channels of a topic, and the top of the page of
// a channel.
type channelItem struct {
	cluster.ChannelStats
	Publish, Finish  float64
	Depths, Finishes []float64 // for sparklines
}

func newChannelItem(v *watch.View, ch cluster.ChannelStats) *channelItem {
	item := &channelItem{ChannelStats: ch}
	item.Publish, item.Finish = v.Rates(history.Key{Topic: ch.Topic, Channel: ch.Channel})
	return item
}

// State says what is unusual about a channel.
func (c *channelItem) State() []state {
	if len(c.Nodes) == 0 {
		return []state{{"off", "no nsqd has it"}}
	}
	var list []state
	if c.Paused {
		list = append(list, pausedState(c.pausedOn(), len(c.Nodes)))
	}
	if c.ClientCount == 0 {
		kind := "info"
		if c.Depth > 0 {
			kind = "warning"
		}
		list = append(list, state{kind, "no consumers"})
	}
	if isEphemeral(c.Channel) {
		list = append(list, state{"info", "ephemeral"})
	}
	return list
}

func (c *channelItem) pausedOn() (n int) {
	for i := range c.Nodes {
		if c.Nodes[i].Paused {
			n++
		}
	}
	return n
}

// Latencies are the percentiles of the channel.
func (c *channelItem) Latencies() []quantile { return quantiles(c.E2E) }

// Shares tells where the consumers were that messages went to.
func (c *channelItem) Shares() []share { return shares(&c.ChannelStats) }

// Trend says what becomes of the depth if both rates stay as they are, "" where
// that is not known.
func (c *channelItem) Trend() string {
	change := c.Finish - c.Publish
	switch {
	case math.IsNaN(change) || c.Depth == 0:
		return ""
	case change > 0.05*c.Finish:
		return "empty in about " + chart.Format(float64(c.Depth)/change, chart.Seconds)
	case -change > 0.05*c.Publish:
		return "falling behind by " + rateText(-change)
	}
	return ""
}

// latencyColumn shows percentiles. Tables have it where nsqds are configured to
// measure them.
func latencyColumn[T any](e2e func(T) cluster.E2E) table.Column[T] {
	return table.Column[T]{
		Key: "e2e", Name: "Publish to finish", Numeric: true,
		Title:   "Percentiles of the time from publish to finish of the messages that were finished lately; of several nodes the mean.",
		Compare: table.By(func(row T) float64 { return worst(e2e(row)) }),
	}
}

var channelColumns = []table.Column[*channelItem]{
	{
		Key: "channel", Name: "Channel", Title: "Gets a copy of every message of the topic. Each message goes to one of its consumers.",
		Compare: table.By(func(c *channelItem) string { return c.Channel }),
	},
	{Name: "State", Title: "What is unusual: paused, without consumers, or in memory only."},
	{
		Key: "depth", Name: "Depth", Title: "Messages that wait for consumers, in memory and on disk, without those in flight and deferred.", Numeric: true,
		Compare: table.By(func(c *channelItem) int64 { return c.Depth }),
	},
	{Name: "Depth, 1 h", Title: "The depth over the last hour."},
	{
		Key: "inflight", Name: "In flight", Title: "Messages that consumers have got and not yet finished or requeued.", Numeric: true,
		Compare: table.By(func(c *channelItem) int64 { return c.InFlight }),
	},
	{
		Key: "deferred", Name: "Deferred", Title: "Messages that are not yet due, published or requeued with a delay.", Numeric: true,
		Compare: table.By(func(c *channelItem) int64 { return c.Deferred }),
	},
	{
		Key: "publish", Name: "Received", Title: "Messages that the channel got from the topic, per second.", Numeric: true,
		Compare: table.By(func(c *channelItem) float64 { return c.Publish }),
	},
	{
		Key: "finish", Name: "Finished", Title: "Messages that consumers finished, per second.", Numeric: true,
		Compare: table.By(func(c *channelItem) float64 { return c.Finish }),
	},
	{Name: "Finished, 1 h", Title: "The rate at which messages were finished over the last hour."},
	{
		Key: "requeued", Name: "Requeued", Title: "Messages that consumers gave back (REQ) since the nodes started.", Numeric: true,
		Compare: table.By(func(c *channelItem) uint64 { return c.Requeues }),
	},
	{
		Key: "timeouts", Name: "Timed out", Title: "Messages that were in flight for too long and were queued again, since the nodes started.", Numeric: true,
		Compare: table.By(func(c *channelItem) uint64 { return c.Timeouts }),
	},
	{
		Key: "messages", Name: "Messages", Title: "Messages that the channel got from the topic since the nodes started.", Numeric: true,
		Compare: table.By(func(c *channelItem) uint64 { return c.Messages }),
	},
	{
		Key: "consumers", Name: "Consumers", Title: "Connections that consume the channel.", Numeric: true,
		Compare: table.By(func(c *channelItem) int64 { return c.ClientCount }),
	},
}

var channelColumnsE2E = append(channelColumns[:len(channelColumns):len(channelColumns)],
	latencyColumn(func(c *channelItem) cluster.E2E { return c.E2E }))

var topicNodeColumns = []table.Column[*topicNode]{
	{
		Key: "node", Name: "nsqd", Title: "The nsqd, by the address of its HTTP API, and its machine.",
		Compare: table.By(func(t *topicNode) string { return t.Node.Address }),
	},
	{Name: "Health", Title: "Whether the nsqd answers and can write to its disk, and what is unusual about the topic there."},
	{
		Key: "durability", Name: "Durability", Title: "What the OK of a publish means: memory, disk (it survives when the nsqd is killed) or fsync (it survives a power cut).",
		Compare: table.By(func(t *topicNode) string { return t.Durability }),
	},
	{
		Key: "depth", Name: "Depth", Title: "Messages that wait in the topic itself, because it has no channel or is paused, in memory and on disk.", Numeric: true,
		Compare: table.By(func(t *topicNode) int64 { return t.Depth }),
	},
	{
		Key: "messages", Name: "Messages", Title: "Messages published to it since the nsqd started.", Numeric: true,
		Compare: table.By(func(t *topicNode) uint64 { return t.Messages }),
	},
	{
		Key: "publish", Name: "Published", Title: "Messages published to it, per second.", Numeric: true,
		Compare: table.By(func(t *topicNode) float64 { return t.Publish }),
	},
	{
		Key: "channels", Name: "Channels", Title: "Channels of the topic on this nsqd.", Numeric: true,
		Compare: table.By(func(t *topicNode) int { return len(t.Channels) }),
	},
}

var topicNodeColumnsE2E = append(topicNodeColumns[:len(topicNodeColumns):len(topicNodeColumns)],
	latencyColumn(func(t *topicNode) cluster.E2E { return t.E2E }))

var tombstoneColumn = table.Column[*topicNode]{
	Key: "tombstone", Name: "Action",
	Title: "A tombstone has nsqlookupd hide the nsqd from consumers of the topic, and deletes the topic there.",
}

// topicPage shows one topic.
func (s *httpServer) topicPage(w http.ResponseWriter, r *http.Request) {
	name := pathVariable(r, "topic")
	v, ok := s.viewWith(r.Context(), func(v *watch.View) bool { row, _ := v.TopicRow(name); return row.Nodes > 0 })
	if !ok {
		s.topicMissing(w, r, v, name)
		return
	}
	t, _ := v.Topic(name)
	row, _ := v.TopicRow(name)
	data := topicData{
		TopicStats: t,
		Sum:        topicItem{TopicRow: row},
		Charts:     historyCharts(v.Series(history.Key{Topic: name})),
		Graphs:     s.graphs(name, ""),
		Actions:    actionsOn(ofTopic, t.Paused, allPaused(t.Nodes, func(n cluster.TopicStats) bool { return n.Paused })),
		Commands:   s.commands(r, action{Topic: name}, "pause_topic", "unpause_topic", "empty_topic", "delete_topic"),
	}
	if data.Other = otherDurability(&t); data.Other != "" {
		data.Commands = append(data.Commands, s.commands(r, action{Topic: name, Durability: data.Other}, "change_topic_durability")...)
	}
	channels, nodes := channelColumns, topicNodeColumns
	data.Alerts = v.AlertsAt("topics", name)
	if len(t.E2E.Percentiles) > 0 {
		channels, nodes = channelColumnsE2E, topicNodeColumnsE2E
	}
	var items []*channelItem
	for _, ch := range t.Channels {
		items = append(items, newChannelItem(v, ch))
	}
	data.Channels = table.New(r.URL.Query(), "", channels, items, func(c *channelItem, text string) bool { return table.Contains(text, c.Channel) })
	for _, c := range data.Channels.Rows {
		k := history.Key{Topic: name, Channel: c.Channel}
		c.Depths, c.Finishes = v.Spark(k, history.Depth), v.Spark(k, history.Finish)
	}
	if _, admin := s.admin(r); admin {
		nodes = append(nodes[:len(nodes):len(nodes)], tombstoneColumn)
	}
	data.Nodes = table.New(r.URL.Query(), "node-", nodes, topicNodes(v, &t), func(n *topicNode, text string) bool { return nodeMatches(n.Node, text) })
	s.page(w, r, http.StatusOK, "topic", page{
		Title: name, Nav: "topics", Data: data,
		Crumbs: []crumb{{"Topics", s.url("topics")}},
	})
}

// allPaused reports whether something is paused on all nodes.
func allPaused[T any](nodes []T, paused func(T) bool) bool {
	for _, n := range nodes {
		if !paused(n) {
			return false
		}
	}
	return true
}

// actionsOn returns what the page of a topic or channel offers. What is paused
// on some nodes can be paused and unpaused.
func actionsOn(kind string, paused, everywhere bool) []actionKind {
	var list []actionKind
	for _, name := range []string{"pause_", "unpause_", "empty_", "delete_"} {
		if name == "pause_" && paused && everywhere || name == "unpause_" && !paused {
			continue
		}
		k, _ := kindOf(name + kind)
		list = append(list, k)
	}
	return list
}

// A commandHint is how a script does what a page does.
type commandHint struct{ Text, Command string }

// commands returns those of some actions.
func (s *httpServer) commands(r *http.Request, a action, names ...string) []commandHint {
	user, _ := s.admin(r)
	var list []commandHint
	for _, name := range names {
		k, _ := kindOf(name)
		list = append(list, commandHint{k.Verb, k.curl(s.ownURL(r), a, s.curlHeaders(user)...)})
	}
	return list
}

// Latencies are the percentiles of the topic on all nodes.
func (t topicData) Latencies() []quantile { return quantiles(t.E2E) }
