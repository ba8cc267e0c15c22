package nsqadmin

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// topicRoutes adds the pages of topics and channels.
func (s *httpServer) topicRoutes() {
	s.server.Page("GET", "/topics", s.topicsPage)
	s.server.Page("GET", "/topics/:topic", s.topicPage)
	s.server.Page("GET", "/topics/:topic/:channel", s.channelPage)
}

// topicsData is what topics.html shows.
type topicsData struct {
	Table *table.Table[*topicItem]
}

// A topicItem is a row of the list of topics.
type topicItem struct {
	watch.TopicRow
	Depths []float64 // for a sparkline
}

// State says what is unusual about a topic.
func (t topicItem) State() []state {
	var list []state
	if t.Nodes == 0 {
		list = append(list, state{"off", "no nsqd has it"})
	}
	if t.Paused > 0 {
		list = append(list, pausedState(t.Paused, t.Nodes))
	}
	if t.Nodes > 0 && len(t.Channels) == 0 {
		list = append(list, state{"info", "no channel"})
	}
	if isEphemeral(t.Name) {
		list = append(list, state{"info", "ephemeral"})
	}
	return list
}

// A state is shown as a badge.
type state struct{ Kind, Text string }

// pausedState says on how many of the nodes something is paused.
func pausedState(paused, nodes int) state {
	if paused < nodes {
		return state{"warning", "paused on " + strconv.Itoa(paused) + " of " + chart.Several(nodes, "node")}
	}
	return state{"off", "paused"}
}

var topicColumns = []table.Column[*topicItem]{
	{
		Key: "topic", Name: "Topic", Title: "What is published to. Its messages are copied to each of its channels.",
		Compare: table.By(func(t *topicItem) string { return t.Name }),
	},
	{
		Key: "depth", Name: "Depth", Title: "Messages that wait in the topic itself, because it has no channel or is paused, in memory and on disk.", Numeric: true,
		Compare: table.By(func(t *topicItem) int64 { return t.Depth }),
	},
	{
		Key: "waiting", Name: "In channels", Title: "Messages that wait in its channels for consumers, added up: a message counts once in each channel.", Numeric: true,
		Compare: table.By(func(t *topicItem) int64 { return t.In.Depth }),
	},
	{Name: "Last hour", Title: "The depth of the topic and its channels over the last hour."},
	{
		Key: "publish", Name: "Published", Title: "Messages published to it, per second, as of the last polls.", Numeric: true,
		Compare: table.By(func(t *topicItem) float64 { return t.Publish }),
	},
	{
		Key: "finish", Name: "Finished", Title: "Messages that consumers finished in its channels, per second.", Numeric: true,
		Compare: table.By(func(t *topicItem) float64 { return t.Finish }),
	},
	{
		Key: "messages", Name: "Messages", Title: "Messages published to it since its nodes started.", Numeric: true,
		Compare: table.By(func(t *topicItem) uint64 { return t.Messages }),
	},
	{
		Key: "channels", Name: "Channels", Title: "Channels, each of which gets a copy of every message.", Numeric: true,
		Compare: table.By(func(t *topicItem) int { return len(t.Channels) }),
	},
	{
		Key: "inflight", Name: "In flight", Title: "Messages that consumers have got and not yet finished or requeued.", Numeric: true,
		Compare: table.By(func(t *topicItem) int64 { return t.In.InFlight }),
	},
	{
		Key: "deferred", Name: "Deferred", Title: "Messages that are not yet due, published or requeued with a delay.", Numeric: true,
		Compare: table.By(func(t *topicItem) int64 { return t.In.Deferred }),
	},
	{
		Key: "consumers", Name: "Consumers", Title: "Connections that consume its channels.", Numeric: true,
		Compare: table.By(func(t *topicItem) int64 { return t.In.Consumers }),
	},
	{
		Key: "producers", Name: "Nodes", Title: "nsqds that have the topic: its producers, in the words of nsqlookupd.", Numeric: true,
		Compare: table.By(func(t *topicItem) int { return t.Nodes }),
	},
}

// topicsPage lists all topics, also those that only an nsqlookupd knows.
func (s *httpServer) topicsPage(w http.ResponseWriter, r *http.Request) {
	v := s.n.poller.View()
	rows := v.TopicRows()
	items := make([]*topicItem, len(rows))
	for i, row := range rows {
		items[i] = &topicItem{TopicRow: row}
	}
	list := table.New(r.URL.Query(), "", topicColumns, items, (*topicItem).matches)
	for _, t := range list.Rows {
		t.Depths = v.Spark(history.Key{Topic: t.Name}, history.Depth)
	}
	s.page(w, r, http.StatusOK, "topics", page{Title: "Topics", Nav: "topics", Data: topicsData{list}})
}

// matches looks for text in the names of the topic and its channels.
func (t *topicItem) matches(text string) bool {
	return table.Contains(text, t.Name) || slices.ContainsFunc(t.Channels, func(c watch.ChannelRow) bool { return table.Contains(text, c.Name) })
}
