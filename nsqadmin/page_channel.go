package nsqadmin

import (
	"net/http"
	"slices"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// channelData is what channel.html shows.
type channelData struct {
	*channelItem
	Alerts    []watch.Alert
	Connected int // nodes that consumers are connected to
	Charts    []chart.Chart
	Graphs    []graph
	Nodes     *table.Table[*channelNode]
	Consumers *table.Table[consumerItem]
	Silent    []silentDaemon // whose consumers are not known
	Actions   []actionKind
	Commands  []commandHint
}

var channelNodeColumns = []table.Column[*channelNode]{
	{
		Key: "node", Name: "nsqd", Title: "The nsqd, by the address of its HTTP API, and its machine.",
		Compare: table.By(func(c *channelNode) string { return c.Node.Address }),
	},
	{Name: "Health", Title: "Whether the nsqd answers and can write to its disk, and what is unusual about the channel there."},
	{
		Key: "depth", Name: "Depth", Title: "Messages that wait for consumers, in memory and on disk, without those in flight and deferred.", Numeric: true,
		Compare: table.By(func(c *channelNode) int64 { return c.Depth }),
	},
	{
		Key: "inflight", Name: "In flight", Title: "Messages that consumers have got and not yet finished or requeued.", Numeric: true,
		Compare: table.By(func(c *channelNode) int64 { return c.InFlight }),
	},
	{
		Key: "deferred", Name: "Deferred", Title: "Messages that are not yet due, published or requeued with a delay.", Numeric: true,
		Compare: table.By(func(c *channelNode) int64 { return c.Deferred }),
	},
	{
		Key: "requeued", Name: "Requeued", Title: "Messages that consumers gave back (REQ) since the nsqd started.", Numeric: true,
		Compare: table.By(func(c *channelNode) uint64 { return c.Requeues }),
	},
	{
		Key: "timeouts", Name: "Timed out", Title: "Messages that were in flight for too long and were queued again, since the nsqd started.", Numeric: true,
		Compare: table.By(func(c *channelNode) uint64 { return c.Timeouts }),
	},
	{
		Key: "messages", Name: "Messages", Title: "Messages that the channel got from the topic since the nsqd started.", Numeric: true,
		Compare: table.By(func(c *channelNode) uint64 { return c.Messages }),
	},
	{
		Key: "publish", Name: "Received", Title: "Messages that the channel got from the topic, per second.", Numeric: true,
		Compare: table.By(func(c *channelNode) float64 { return c.Publish }),
	},
	{
		Key: "finish", Name: "Finished", Title: "Messages that consumers finished, per second.", Numeric: true,
		Compare: table.By(func(c *channelNode) float64 { return c.Finish }),
	},
	{
		Key: "consumers", Name: "Connections", Title: "Connections that consume the channel on this nsqd.", Numeric: true,
		Compare: table.By(func(c *channelNode) int64 { return c.ClientCount }),
	},
}

var channelNodeZones = table.Column[*channelNode]{
	Key: "zones", Name: "Delivered to", Numeric: true,
	Title: "Where the consumers were that messages went to from memory: in the zone of the nsqd, in its region, or elsewhere.",
	Compare: table.By(func(c *channelNode) float64 {
		return float64(c.ZoneLocal) / max(1, float64(c.ZoneLocal)+float64(c.RegionLocal)+float64(c.Global))
	}),
}

// columnsOf returns the columns of the nodes of a channel: zones where nodes have
// them, percentiles where they are measured.
func columnsOf(ch *cluster.ChannelStats, nodes []*channelNode) []table.Column[*channelNode] {
	columns := channelNodeColumns[:len(channelNodeColumns):len(channelNodeColumns)]
	if ch.ZoneLocal > 0 || ch.RegionLocal > 0 || slices.ContainsFunc(nodes, func(n *channelNode) bool { return n.Node.Zone != "" }) {
		columns = append(columns, channelNodeZones)
	}
	if len(ch.E2E.Percentiles) > 0 {
		columns = append(columns, latencyColumn(func(c *channelNode) cluster.E2E { return c.E2E }))
	}
	return columns
}

// channelPage shows one channel.
func (s *httpServer) channelPage(w http.ResponseWriter, r *http.Request) {
	topic, name := pathVariable(r, "topic"), pathVariable(r, "channel")
	v, ok := s.viewWith(r.Context(), func(v *watch.View) bool { row, _ := v.ChannelRow(topic, name); return row.Nodes > 0 })
	if !ok {
		s.channelMissing(w, r, v, topic, name)
		return
	}
	ch, _ := v.Channel(topic, name)
	k := history.Key{Topic: topic, Channel: name}
	data := channelData{
		channelItem: newChannelItem(v, ch),
		Alerts:      v.AlertsAt("topics", topic, name),
		Charts:      historyCharts(v.Series(k)),
		Graphs:      s.graphs(topic, name),
		Actions:     actionsOn(ofChannel, ch.Paused, allPaused(ch.Nodes, func(n cluster.ChannelStats) bool { return n.Paused })),
		Commands:    s.commands(r, action{Topic: topic, Channel: name}, "pause_channel", "unpause_channel", "empty_channel", "delete_channel"),
	}
	for i := range ch.Nodes {
		if ch.Nodes[i].ClientCount > 0 {
			data.Connected++
		}
	}
	query := r.URL.Query()
	nodes := channelNodes(v, &ch)
	data.Nodes = table.New(query, "node-", columnsOf(&ch, nodes), nodes, func(n *channelNode, text string) bool { return nodeMatches(n.Node, text) })
	var consumers []consumerItem
	consumers, data.Silent = s.consumersOf(r.Context(), v, topic, name)
	data.Consumers = table.New(query, "", consumerColumns, consumers, consumerItem.matches)
	s.page(w, r, http.StatusOK, "channel", page{
		Title: topic + " / " + name, Nav: "topics", Data: data,
		Crumbs: []crumb{{"Topics", s.url("topics")}, {topic, s.url("topics", topic)}},
	})
}
