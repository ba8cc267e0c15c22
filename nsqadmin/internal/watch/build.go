package watch

import (
	"cmp"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
)

// A knownNode is an nsqd that is registered, or was within the last hour.
type knownNode struct {
	node cluster.Node // as it was in the last view
	seen time.Time    // when it was last registered
}

// recognize brings the list of nsqds up to date: all that are registered with an
// nsqlookupd, by its last answer, and for an hour those that were.
func (p *Poller) recognize(now time.Time) {
	see := func(address string) {
		n := p.known[address]
		if n == nil {
			n = &knownNode{node: nodeAt(address)}
			p.known[address] = n
		}
		n.seen = now
	}
	for _, address := range p.nsqds {
		see(address)
	}
	for _, d := range p.lookupNodes {
		if d.lookupd == nil {
			continue
		}
		for i := range d.lookupd.producers {
			see(d.lookupd.producers[i].HTTPAddress())
		}
	}
	for address, n := range p.known {
		if now.Sub(n.seen) >= rememberFor {
			delete(p.known, address)
		}
	}
}

// nodeAt is all that is known of a node that has not yet said who it is.
func nodeAt(address string) cluster.Node {
	host, port, _ := net.SplitHostPort(address) // checked when it was configured or made
	n, _ := strconv.Atoi(port)
	return cluster.Node{Hostname: host, BroadcastAddress: host, HTTPPort: n}
}

// publish makes what is known now the view.
func (p *Poller) publish(now time.Time) *View {
	var lookupds []LookupdState
	for _, address := range p.lookupds() {
		if d := p.lookupNodes[address]; d != nil {
			lookupds = append(lookupds, d.lookupdState())
		}
	}
	var nodes []NodeState
	registered := p.registered()
	for address, n := range p.known {
		node, ok := registered[address]
		if ok {
			n.node = node
		}
		if d := p.nodes[address]; d != nil {
			nodes = append(nodes, d.nodeState(n, !ok))
		}
	}
	v := NewView(now, p.History, nodes, lookupds)
	v.rememberUnserved(p.view.Load())
	p.view.Store(v)
	return v
}

func (d *daemon) lookupdState() LookupdState {
	l := LookupdState{Address: d.address, Answered: d.answered, Took: d.took, Err: d.err}
	if a := d.lookupd; a != nil {
		l.Version, l.Nodes, l.Topics = a.version, len(a.producers), a.topics
	}
	return l
}

func (d *daemon) nodeState(known *knownNode, missing bool) NodeState {
	n := NodeState{
		Node: known.node, Address: d.address, Answered: d.answered, Took: d.took, Err: d.err,
		Missing: missing, Registered: known.seen,
	}
	if a := d.node; a != nil {
		n.Stats = a.stats
		if d.err == nil {
			n.rates = a.rates
		}
	}
	return n
}

// registered returns the nsqds by where they are asked: as nsqlookupds know them,
// or as they say themselves.
func (p *Poller) registered() map[string]cluster.Node {
	if len(p.nsqds) > 0 {
		return p.selfTold()
	}
	nodes := make(map[string]cluster.Node)
	var answers []cluster.Answer[[]cluster.Producer]
	for _, address := range p.lookupds() {
		if d := p.lookupNodes[address]; d != nil && d.lookupd != nil {
			answers = append(answers, cluster.Answer[[]cluster.Producer]{Address: address, Value: d.lookupd.producers})
		}
	}
	for _, n := range cluster.MergeNodes(answers) {
		address := n.HTTPAddress()
		if same, ok := nodes[address]; ok { // it has changed its TCP port, and the other is still known
			same.RemoteAddresses = slices.Concat(same.RemoteAddresses, n.RemoteAddresses)
			n = same
		}
		nodes[address] = n
	}
	return nodes
}

// selfTold returns the nsqds of the configuration. They are kept apart by where
// they are asked, whatever they believe their address to be.
func (p *Poller) selfTold() map[string]cluster.Node {
	nodes := make(map[string]cluster.Node, len(p.nsqds))
	var told []cluster.Node
	var at []string // where they are asked
	for _, address := range p.nsqds {
		nodes[address] = nodeAt(address)
		if d := p.nodes[address]; d != nil && d.node != nil {
			told = append(told, cluster.SelfTold(address, d.node.info, d.node.stats))
			at = append(at, address)
		}
	}
	cluster.MarkOutOfDate(told)
	for i, address := range at {
		nodes[address] = told[i]
	}
	return nodes
}

// A viewBuilder adds up what daemons said.
type viewBuilder struct {
	v      *View
	topics map[string]*topicSum
}

// A topicSum is a row that is being added up.
type topicSum struct {
	row      TopicRow
	publish  rates
	channels []ChannelRow
	at       map[string]int // in channels
}

// NewView returns the view of nodes and nsqlookupds at a time. It takes over both
// lists; Totals of nodes are added up here.
func NewView(at time.Time, h *history.Store, nodes []NodeState, lookupds []LookupdState) *View {
	b := &viewBuilder{
		v:      &View{At: at, Totals: Counts{rates: unknownRates}, history: h, Nodes: nodes, Lookupds: lookupds},
		topics: make(map[string]*topicSum),
	}
	for i := range lookupds {
		for topic, channels := range lookupds[i].Topics {
			t := b.topic(topic)
			for _, c := range channels {
				t.channel(c, 0)
			}
		}
	}
	for i := range nodes {
		n := &nodes[i]
		n.Totals = Counts{rates: unknownRates}
		if n.Counts(at) {
			b.add(n)
		}
	}
	return b.view()
}

// add adds the numbers of a node to the sums.
func (b *viewBuilder) add(n *NodeState) {
	for i := range n.Stats.Topics {
		one := &n.Stats.Topics[i]
		publish := rates{n.rates.topic(i), unknownRates.Finish, unknownRates.Requeue}
		sum := b.topic(one.Name)
		sum.publish = sum.publish.plus(publish)
		sum.row.Depth += one.Depth
		sum.row.BackendDepth += one.BackendDepth
		sum.row.Messages += one.Messages
		sum.row.Durability = cluster.MergeDurability(sum.row.Durability, one.Durability, sum.row.Nodes)
		sum.row.Nodes++
		if one.Paused {
			sum.row.Paused++
		}
		own := Counts{Depth: one.Depth, BackendDepth: one.BackendDepth, rates: publish}
		for j := range one.Channels {
			c, r := &one.Channels[j], n.rates.channel(i, j)
			row := sum.channel(c.Name, j)
			row.addChannel(c, r)
			row.Nodes++
			if c.Paused {
				row.Paused++
			}
			if c.ClientCount == 0 && c.Depth > 0 && !c.Paused {
				row.Unserved.add(n.Address, c.Depth)
			}
			r.Publish = unknownRates.Publish // the topic's
			own.addChannel(c, r)
		}
		own.Messages = one.Messages
		n.Totals.plus(&own)
	}
	b.v.Totals.plus(&n.Totals)
}

// topic returns the sum of a topic.
func (b *viewBuilder) topic(name string) *topicSum {
	t := b.topics[name]
	if t == nil {
		t = &topicSum{row: TopicRow{Name: name}, publish: unknownRates, at: make(map[string]int)}
		b.topics[name] = t
	}
	return t
}

// channel returns the row of a channel, good until the next call. It is probably
// at guess, as nodes have mostly the same channels.
func (t *topicSum) channel(name string, guess int) *ChannelRow {
	if guess < len(t.channels) && t.channels[guess].Name == name {
		return &t.channels[guess]
	}
	i, ok := t.at[name]
	if !ok {
		i = len(t.channels)
		t.at[name] = i
		t.channels = append(t.channels, ChannelRow{Topic: t.row.Name, Name: name, Counts: Counts{rates: unknownRates}})
	}
	return &t.channels[i]
}

// view returns what was added up.
func (b *viewBuilder) view() *View {
	v := b.v
	slices.SortFunc(v.Nodes, func(a, b NodeState) int {
		return cmp.Or(strings.Compare(a.Hostname, b.Hostname), strings.Compare(a.Address, b.Address))
	})
	v.rows = make([]TopicRow, 0, len(b.topics))
	for _, t := range b.topics {
		v.rows = append(v.rows, t.done())
	}
	slices.SortFunc(v.rows, func(a, b TopicRow) int { return strings.Compare(a.Name, b.Name) })
	v.Topics = make([]string, len(v.rows))
	v.rowAt = make(map[string]int, len(v.rows))
	for i := range v.rows {
		v.Topics[i] = v.rows[i].Name
		v.rowAt[v.rows[i].Name] = i
	}
	v.attention = sync.OnceValue(func() []attention { return attend(v) })
	return v
}

func (u *unserved) add(node string, depth int64) {
	if u.Nodes == 0 {
		u.Example = node
	}
	u.Nodes++
	u.Depth += depth
}

// rememberUnserved has the channels know since when messages wait that nobody
// consumes. What is so when the first answers come may have been for long.
func (v *View) rememberUnserved(before *View) {
	first := before == nil || v.history.Age(v.At) < unservedGrace
	for i := range v.rows {
		channels := v.rows[i].Channels
		for j := range channels {
			u := &channels[j].Unserved
			if u.Nodes == 0 {
				continue
			}
			if !first {
				u.Since = v.At
			}
			if before == nil {
				continue
			}
			if was, ok := before.ChannelRow(channels[j].Topic, channels[j].Name); ok && was.Unserved.Nodes > 0 {
				u.Since = was.Unserved.Since
			}
		}
	}
}

// done returns the row of a topic when everything was added.
func (t *topicSum) done() TopicRow {
	row := t.row
	row.In.rates = unknownRates
	for i := range t.channels {
		row.In.plus(&t.channels[i].Counts)
	}
	row.Publish, row.Finish = t.publish.Publish, row.In.Finish
	slices.SortFunc(t.channels, func(a, b ChannelRow) int { return strings.Compare(a.Name, b.Name) })
	row.Channels = t.channels
	return row
}

// plus adds o.
func (c *Counts) plus(o *Counts) {
	c.Depth += o.Depth
	c.BackendDepth += o.BackendDepth
	c.InFlight += o.InFlight
	c.Deferred += o.Deferred
	c.Messages += o.Messages
	c.Requeues += o.Requeues
	c.Timeouts += o.Timeouts
	c.Consumers += o.Consumers
	c.rates = c.rates.plus(o.rates)
}

// samples returns what the history is to have of the view: of the cluster and of
// nodes first, as those are left out last when it is full.
func (v *View) samples() iter.Seq2[history.Key, history.Sample] {
	return func(yield func(history.Key, history.Sample) bool) {
		if !yield(history.Key{}, v.Totals.sample()) {
			return
		}
		for i := range v.Nodes {
			n := &v.Nodes[i]
			if n.Counts(v.At) && !yield(history.Key{Node: n.Address}, n.Totals.sample()) {
				return
			}
		}
		for i := range v.rows {
			t := &v.rows[i]
			all := t.In
			all.Depth += t.Depth
			all.Publish = t.Publish
			if !yield(history.Key{Topic: t.Name}, all.sample()) {
				return
			}
			for j := range t.Channels {
				c := &t.Channels[j]
				if !yield(history.Key{Topic: t.Name, Channel: c.Name}, c.sample()) {
					return
				}
			}
		}
	}
}

func (c *Counts) sample() history.Sample {
	return history.Sample{
		Depth: c.Depth, InFlight: c.InFlight, Deferred: c.Deferred,
		Publish: c.Publish, Finish: c.Finish, Requeue: c.Requeue,
	}
}
