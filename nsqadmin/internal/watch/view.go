package watch

import (
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A View is what the daemons said when they were asked last: what pages show. It
// never changes and is shared by all requests, so nobody may change anything in
// it; slices that a method returns anew say so. It is made once for every round
// of questions, rows and sums included. Merging a topic for its own page is done
// when the first request wants it: for lists of topics there is TopicRows.
type View struct {
	At       time.Time
	Nodes    []NodeState    // by hostname and address
	Lookupds []LookupdState // in the order of the configuration
	Topics   []string       // of nsqds and nsqlookupds, by name
	Totals   Counts         // of the cluster: what waits in topics and channels

	rows    []TopicRow     // parallel to Topics
	rowAt   map[string]int // in rows
	history *history.Store

	merged    sync.Map // topic to cluster.TopicStats, as far as they were wanted
	attention func() []attention
}

// A NodeState is an nsqd.
type NodeState struct {
	cluster.Node
	Address    string        // host:port of its HTTP API, where it is asked
	Stats      *stats.Stats  // its last answer, without clients; topics and channels by name; nil before the first
	Answered   time.Time     // when that came, zero for never
	Took       time.Duration // from question to answer, or to Err
	Err        error         // why the last question had no answer
	Missing    bool          // it was registered with an nsqlookupd within the last hour, and is no longer
	Registered time.Time     // when it last was
	Totals     Counts        // of its topics and channels, zero while it does not count

	rates nodeRates // parallel to Stats.Topics
}

// LookupdState is an nsqlookupd. What it knows is of its last answer.
type LookupdState struct {
	Address  string
	Version  string
	Nodes    int                 // nsqds that are registered with it
	Topics   map[string][]string // channels of each topic it knows, by name; those of topics with producers may be a minute old
	Answered time.Time           // zero for never
	Took     time.Duration
	Err      error // why the last question had no answer
}

// Counts are what a channel has now, or several together. Of a node and of the
// cluster, messages and the publish rate are those of the topics, and depths those
// of topics and channels.
type Counts struct {
	Depth        int64 // messages that wait
	BackendDepth int64 // of them on disk
	InFlight     int64
	Deferred     int64
	Messages     uint64 // received, since nodes started
	Requeues     uint64 // likewise
	Timeouts     uint64 // likewise
	Consumers    int64
	rates
}

// A TopicRow is a topic, on all nodes together. In a list of all topics it costs
// nothing; the details of one are Topic's.
type TopicRow struct {
	Name         string
	Depth        int64 // messages that wait in the topic itself
	BackendDepth int64 // of them on disk
	Messages     uint64
	Publish      float64      // per second, NaN for unknown
	Finish       float64      // in all its channels, likewise
	In           Counts       // of its channels, added up
	Nodes        int          // nsqds that have it
	Paused       int          // on so many of them
	Durability   string       // on all of them, cluster.Mixed where they differ, "" where they do not tell
	Channels     []ChannelRow // by name
}

// MemoryDepth is how many of the messages in the topic itself are in memory.
func (t TopicRow) MemoryDepth() int64 { return t.Depth - t.BackendDepth }

// Waiting is how many messages wait in the topic and its channels.
func (t TopicRow) Waiting() int64 { return t.Depth + t.In.Depth }

// A ChannelRow is a channel, on all nodes together.
type ChannelRow struct {
	Topic, Name string
	Counts
	Nodes    int // nsqds that have it
	Paused   int // on so many of them
	Unserved unserved
}

// unserved are messages that wait on nodes where nobody consumes the channel.
type unserved struct {
	Depth   int64
	Nodes   int
	Example string    // the address of one of them
	Since   time.Time // zero if it was so when nsqadmin started, as far as is known
}

// staleAfter is for how long the last numbers of a node count that does not
// answer any more: longer than it takes to find out while nobody watches.
const staleAfter = 25 * time.Second

// Counts reports whether the numbers of the node are in sums.
func (n *NodeState) Counts(at time.Time) bool {
	return n.Stats != nil && at.Sub(n.Answered) <= staleAfter
}

// TopicRows returns all topics, by name, also those that only an nsqlookupd
// knows. The caller may change the slice, not the channels in it.
func (v *View) TopicRows() []TopicRow { return slices.Clone(v.rows) }

// TopicRow returns one of them.
func (v *View) TopicRow(topic string) (TopicRow, bool) {
	i, ok := v.rowAt[topic]
	if !ok {
		return TopicRow{}, false
	}
	return v.rows[i], true
}

// ChannelRow returns one channel of them.
func (v *View) ChannelRow(topic, channel string) (ChannelRow, bool) {
	t, _ := v.TopicRow(topic)
	i, ok := slices.BinarySearchFunc(t.Channels, channel, func(c ChannelRow, name string) int { return strings.Compare(c.Name, name) })
	if !ok {
		return ChannelRow{}, false
	}
	return t.Channels[i], true
}

// Topic returns a topic with its nodes and channels, also one that only an
// nsqlookupd knows, without nodes then.
func (v *View) Topic(topic string) (cluster.TopicStats, bool) {
	if t, ok := v.merged.Load(topic); ok {
		return t.(cluster.TopicStats), true
	}
	row, ok := v.TopicRow(topic)
	if !ok {
		return cluster.TopicStats{}, false
	}
	t, _ := cluster.MergeTopic(topic, v.nodesWith(topic))
	known := make(map[string]bool, len(t.Channels))
	for i := range t.Channels {
		known[t.Channels[i].Channel] = true
	}
	for _, c := range row.Channels { // all there are
		if !known[c.Name] {
			t.Channels = append(t.Channels, cluster.EmptyChannel(topic, c.Name))
		}
	}
	slices.SortFunc(t.Channels, func(a, b cluster.ChannelStats) int { return strings.Compare(a.Channel, b.Channel) })
	v.merged.Store(topic, t)
	return t, true
}

// Channel returns a channel with its nodes, as far as polls tell: without
// clients. One that only an nsqlookupd knows has no nodes.
func (v *View) Channel(topic, channel string) (cluster.ChannelStats, bool) {
	if _, ok := v.ChannelRow(topic, channel); !ok {
		return cluster.ChannelStats{}, false
	}
	c, _ := cluster.MergeChannel(topic, channel, v.nodesWith(topic))
	return c, true
}

// nodesWith returns what the nodes that have a topic say of it.
func (v *View) nodesWith(topic string) []cluster.NodeStats {
	var nodes []cluster.NodeStats
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if !n.Counts(v.At) {
			continue
		}
		if at, ok := findTopic(n.Stats.Topics, topic); ok {
			only := *n.Stats
			only.Topics = only.Topics[at : at+1 : at+1]
			nodes = append(nodes, cluster.NodeStats{
				Address: n.Address, Hostname: n.Hostname, Zone: n.Zone, Region: n.Region, At: n.Answered, Stats: &only,
			})
		}
	}
	return nodes
}

// Node returns the node with its HTTP API at address.
func (v *View) Node(address string) (*NodeState, bool) {
	i := slices.IndexFunc(v.Nodes, func(n NodeState) bool { return n.Address == address })
	if i < 0 {
		return nil, false
	}
	return &v.Nodes[i], true
}

// Rates returns how many messages a second are published to and finished in what
// the key names, as of the last two answers: NaN for unknown. With a node, that
// is the topic or channel on that node.
func (v *View) Rates(k history.Key) (publish, finish float64) {
	r := v.ratesOf(k)
	return r.Publish, r.Finish
}

func (v *View) ratesOf(k history.Key) rates {
	if k.Node != "" {
		n, ok := v.Node(k.Node)
		if !ok || !n.Counts(v.At) {
			return unknownRates
		}
		if k.Topic == "" {
			return n.Totals.rates
		}
		return n.rates.of(n.Stats, k)
	}
	if k.Topic == "" {
		return v.Totals.rates
	}
	if k.Channel != "" {
		if c, ok := v.ChannelRow(k.Topic, k.Channel); ok {
			return c.rates
		}
		return unknownRates
	}
	if t, ok := v.TopicRow(k.Topic); ok {
		return rates{Publish: t.Publish, Finish: t.Finish, Requeue: t.In.Requeue}
	}
	return unknownRates
}

// Series returns the last hour of the cluster, a topic, a channel or a node. The
// depth of all but a channel is of topics and channels together.
func (v *View) Series(k history.Key) history.Series { return v.history.Series(v.At, k) }

// sparkPoints are in a sparkline: one for two minutes, once there is an hour.
const sparkPoints = 30

// Spark returns one value of the last hour in few points. It is for the rows
// that are shown, not for all.
func (v *View) Spark(k history.Key, value history.Value) []float64 {
	return v.history.SparkFromStart(v.At, k, value, sparkPoints)
}

// Attention returns what an operator should look at, problems first.
func (v *View) Attention() []attention { return v.attention() }

// AlertsAt returns what of that concerns the page with this path.
func (v *View) AlertsAt(path ...string) (list []Alert) {
	for _, a := range v.Attention() {
		if slices.Equal(a.Path, path) {
			list = append(list, Alert{attention: a})
		}
	}
	return list
}

// findTopic returns the place of a topic in a list that is sorted by name.
func findTopic(list []stats.Topic, name string) (int, bool) {
	return sort.Find(len(list), func(i int) int { return strings.Compare(name, list[i].Name) }) // without copying any
}

// findChannel returns the place of a channel in a list that is sorted by name.
func findChannel(list []stats.Channel, name string) (int, bool) {
	return sort.Find(len(list), func(i int) int { return strings.Compare(name, list[i].Name) })
}

// addChannel adds a channel of one node.
func (c *Counts) addChannel(one *stats.Channel, r rates) {
	c.Depth += one.Depth
	c.BackendDepth += one.BackendDepth
	c.InFlight += int64(one.InFlight)
	c.Deferred += int64(one.Deferred)
	c.Messages += one.Messages
	c.Requeues += one.Requeues
	c.Timeouts += one.Timeouts
	c.Consumers += int64(one.ClientCount)
	c.rates = c.rates.plus(r)
}

// addRate adds rates of which either may be unknown.
func addRate(a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return a + b
}
