package nsqadmin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/settings"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// nodePage is /nodes/:node.
type nodePage struct {
	nodeRow
	Stats     *stats.Stats // of now, or what it said last; nil for never
	Fresh     bool         // it is of now
	AskErr    error        // why it is not
	Answered  time.Time    // when it said so, zero for never
	Totals    nodeTotals
	Charts    []chart.Chart
	Topics    *table.Table[nodeTopic]
	Producers *table.Table[nodeProducer]
	Consumers *table.Table[nodeConsumer]

	Settings []settings.Group
	Refused  []settings.Refusal
}

// A nodeTopic is a topic on the page of a node.
type nodeTopic struct {
	stats.Topic
	InFlight, Deferred int64
	Waiting            int64 // in the topic and its channels
	Consumers          int
	Tombstoned         bool
	Unregistered       bool // the nsqlookupds do not know that the node has it
}

// A nodeProducer is a connection that has published to the node.
type nodeProducer struct {
	stats.Client
	Total uint64 // messages that it has published
}

// A nodeConsumer is a connection that is subscribed on the node.
type nodeConsumer struct {
	stats.Client
	Topic, Channel string
}

var nodeTopicColumns = []table.Column[nodeTopic]{
	{Key: "topic", Name: "Topic, channel", Title: "The channels stand below their topic", Compare: table.By(func(t nodeTopic) string { return t.Name })},
	{Key: "depth", Name: "Depth", Title: "Messages that wait", Numeric: true, Compare: table.By(func(t nodeTopic) int64 { return t.Waiting })},
	{Key: "disk", Name: "On disk", Title: "How many of them are on disk", Numeric: true, Compare: table.By(func(t nodeTopic) int64 { return t.BackendDepth })},
	{Key: "inflight", Name: "In flight", Title: "Messages that consumers have and have not finished", Numeric: true, Compare: table.By(func(t nodeTopic) int64 { return t.InFlight })},
	{Key: "deferred", Name: "Deferred", Title: "Messages that are not yet due", Numeric: true, Compare: table.By(func(t nodeTopic) int64 { return t.Deferred })},
	{Key: "messages", Name: "Messages", Title: "Published to the topic, or received by the channel, since the node started", Numeric: true, Compare: table.By(func(t nodeTopic) uint64 { return t.Messages })},
	{Key: "requeued", Name: "Requeued", Title: "Messages that consumers gave back", Numeric: true},
	{Key: "timedout", Name: "Timed out", Title: "Messages that consumers did not answer in time", Numeric: true},
	{Key: "consumers", Name: "Consumers", Title: "Connections that are subscribed", Numeric: true, Compare: table.By(func(t nodeTopic) int { return t.Consumers })},
}

var nodeProducerColumns = []table.Column[nodeProducer]{
	{Key: "client", Name: "Host", Title: "Its host name and the address it connects from", Compare: table.By(func(c nodeProducer) string { return c.Hostname })},
	{Key: "agent", Name: "Program", Title: "As it calls itself", Compare: table.By(func(c nodeProducer) string { return c.UserAgent })},
	{Key: "topics", Name: "Publishes to", Title: "Topics, and the messages published to each"},
	{Key: "messages", Name: "Published", Title: "Messages since it connected", Numeric: true, Compare: table.By(func(c nodeProducer) uint64 { return c.Total })},
	{Key: "tls", Name: "TLS", Title: "Version, where the connection is encrypted", Compare: table.By(func(c nodeProducer) string { return c.TLSVersion })},
	{Key: "since", Name: "Connected", Title: "How long ago", Numeric: true, Compare: table.By(func(c nodeProducer) int64 { return -c.Connected })},
}

var nodeConsumerColumns = []table.Column[nodeConsumer]{
	{Key: "client", Name: "Host", Title: "Its host name and the address it connects from", Compare: table.By(func(c nodeConsumer) string { return c.Hostname })},
	{Key: "agent", Name: "Program", Title: "As it calls itself", Compare: table.By(func(c nodeConsumer) string { return c.UserAgent })},
	{Key: "channel", Name: "Consumes", Title: "Topic and channel", Compare: table.By(func(c nodeConsumer) string { return c.Topic + "/" + c.Channel })},
	{Key: "rdy", Name: "RDY", Title: "How many messages it takes at a time", Numeric: true, Compare: table.By(func(c nodeConsumer) int64 { return c.ReadyCount })},
	{Key: "inflight", Name: "In flight", Title: "Messages that it has and has not finished", Numeric: true, Compare: table.By(func(c nodeConsumer) int { return c.InFlight })},
	{Key: "finished", Name: "Finished", Title: "Messages since it connected", Numeric: true, Compare: table.By(func(c nodeConsumer) uint64 { return c.Finished })},
	{Key: "requeued", Name: "Requeued", Title: "Messages that it gave back", Numeric: true, Compare: table.By(func(c nodeConsumer) uint64 { return c.Requeued })},
	{Key: "tls", Name: "TLS", Title: "Version, where the connection is encrypted", Compare: table.By(func(c nodeConsumer) string { return c.TLSVersion })},
	{Key: "since", Name: "Connected", Title: "How long ago", Numeric: true, Compare: table.By(func(c nodeConsumer) int64 { return -c.Connected })},
}

// nodeActionColumn is there for those who may act.
var nodeActionColumn = table.Column[nodeTopic]{Key: "action", Name: "Action", Numeric: true, Title: "What can be done with the topic on this node alone"}

func (s *httpServer) nodePage(w http.ResponseWriter, r *http.Request) {
	address := pathVariable(r, "node")
	v, known := s.viewWith(r.Context(), func(v *watch.View) bool {
		_, known := v.Node(address)
		return known
	})
	if !known {
		s.errorPage(w, r, http.StatusNotFound, "No node has the address "+address+": none is registered under it, and none was in the last hour.")
		return
	}
	n, _ := v.Node(address)
	own := *n // it becomes what the node says now; the view is everybody's
	data := nodePage{nodeRow: newNodeRow(v, &own)}
	data.ask(r.Context(), s)
	_, admin := s.admin(r)
	data.fill(r.URL.Query(), admin)
	data.Charts = historyCharts(v.Series(history.Key{Node: address}))
	s.page(w, r, http.StatusOK, "node", page{Title: "Node " + data.Hostname, Nav: "nodes", Node: address, Data: data})
}

// ask asks the node for its connections and settings, both at once.
func (p *nodePage) ask(ctx context.Context, s *httpServer) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	p.Stats, p.Answered = p.NodeState.Stats, p.NodeState.Answered
	var asking sync.WaitGroup
	var now *stats.Stats
	asking.Go(func() {
		now, p.AskErr = s.n.client.Stats(ctx, p.Address, cluster.StatsQuery{Clients: true, Memory: true})
	})
	if p.NodeState.Stats != nil && p.Err == nil {
		asking.Go(func() {
			p.Settings, p.Refused = settings.Show(s.settings.Ask(ctx, s.n.client, p.Address, p.NodeState.Stats.StartTime, time.Now()))
		})
	}
	asking.Wait()
	if p.AskErr == nil {
		p.Stats, p.Fresh, p.Answered = now, true, time.Now()
	}
}

// fill computes the tables from what is known of the node.
func (p *nodePage) fill(query url.Values, admin bool) {
	if p.Stats == nil {
		return
	}
	p.Totals.add(p.Stats)
	p.Started = p.Stats.StartTime
	registered := map[string]cluster.NodeTopic{}
	for _, t := range p.NodeState.Topics {
		registered[t.Topic] = t
	}
	var topics []nodeTopic
	var consumers []nodeConsumer
	for i := range p.Stats.Topics {
		t := nodeTopic{Topic: p.Stats.Topics[i], Waiting: p.Stats.Topics[i].Depth}
		known, ok := registered[t.Name]
		t.Tombstoned, t.Unregistered = known.Tombstoned, !ok && len(p.Registrations) > 0
		for _, ch := range t.Channels {
			t.Waiting += ch.Depth
			t.InFlight += int64(ch.InFlight)
			t.Deferred += int64(ch.Deferred)
			t.Consumers += ch.ClientCount
			for _, c := range ch.Clients {
				consumers = append(consumers, nodeConsumer{c, t.Name, ch.Name})
			}
		}
		topics = append(topics, t)
	}
	var producers []nodeProducer
	for _, c := range p.Stats.Producers {
		row := nodeProducer{Client: c}
		for _, published := range c.Published {
			row.Total += published.Count
		}
		producers = append(producers, row)
	}
	columns := nodeTopicColumns
	if admin {
		columns = append(slices.Clip(columns), nodeActionColumn)
	}
	p.Topics = table.New(query, "", columns, topics, nodeTopic.matches)
	p.Producers = table.New(query, "p-", nodeProducerColumns, producers, nodeProducer.matches)
	p.Consumers = table.New(query, "c-", nodeConsumerColumns, consumers, nodeConsumer.matches)
}

// AskWhy tells why Stats are not of now.
func (p nodePage) AskWhy() string { return cluster.Reason(p.AskErr) }

// Memory is that of the process, nil if not known.
func (p nodePage) Memory() *stats.Memory {
	if p.Stats == nil {
		return nil
	}
	return p.Stats.Memory
}

// Since is when it connected.
func (c nodeProducer) Since() time.Time { return time.Unix(c.Connected, 0) }

// Since is when it connected.
func (c nodeConsumer) Since() time.Time { return time.Unix(c.Connected, 0) }

func (t nodeTopic) matches(text string) bool {
	return table.Contains(text, t.Name) || slices.ContainsFunc(t.Channels, func(ch stats.Channel) bool { return table.Contains(text, ch.Name) })
}

func (c nodeProducer) matches(text string) bool {
	return table.Contains(text, c.Hostname, c.ClientID, c.RemoteAddress, c.UserAgent) ||
		slices.ContainsFunc(c.Published, func(p stats.PubCount) bool { return table.Contains(text, p.Topic) })
}

func (c nodeConsumer) matches(text string) bool {
	return table.Contains(text, c.Hostname, c.ClientID, c.RemoteAddress, c.UserAgent, c.Topic+"/"+c.Channel)
}
