package cluster

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
)

// What several nsqds say of a topic or channel, added up. The JSON forms are
// those of nsqadmin's API. What daemons say is taken as it is: sums may be
// nonsense where one of them talks nonsense, and nothing else comes of it.

// Mixed is in place of a topic's durability where nodes differ in it.
const Mixed = "mixed"

// MergeDurability returns the durability of a topic on several nodes together,
// of which one is the next and n were there before.
func MergeDurability(sum, one string, n int) string {
	if n == 0 || sum == one {
		return one
	}
	return Mixed
}

// AllNodes is in place of a node's address where numbers are of all nodes.
const AllNodes = "*"

// NodeStats is what one nsqd said. Its Stats are only read.
type NodeStats struct {
	Address  string    // host:port of its HTTP API
	Hostname string    // of its machine
	Zone     string    // of its topology, which consumers may share
	Region   string    // likewise
	At       time.Time // when it answered: clients are connected until then
	Stats    *stats.Stats
}

// TopicStats is a topic, on one node or on all of them.
type TopicStats struct {
	Node         string         `json:"node"` // AllNodes, or its address
	Hostname     string         `json:"hostname"`
	Topic        string         `json:"topic_name"`
	Depth        int64          `json:"depth"`
	MemoryDepth  int64          `json:"memory_depth"`
	BackendDepth int64          `json:"backend_depth"`
	Messages     uint64         `json:"message_count"`
	Delivered    uint64         `json:"delivery_msg_count"` // always 0: an nsqd counts deliveries by channel
	Nodes        []TopicStats   `json:"nodes"`              // in the order of their addresses; nil of one node
	Channels     []ChannelStats `json:"channels"`           // by name, without clients but in NodeTopics
	Paused       bool           `json:"paused"`             // on any node
	Durability   string         `json:"durability,omitempty"`
	E2E          E2E            `json:"e2e_processing_latency"`
}

// ChannelStats is a channel, on one node or on all of them.
type ChannelStats struct {
	Node         string         `json:"node"` // AllNodes, or its address
	Hostname     string         `json:"hostname"`
	Topic        string         `json:"topic_name"`
	Channel      string         `json:"channel_name"`
	Depth        int64          `json:"depth"`
	MemoryDepth  int64          `json:"memory_depth"`
	BackendDepth int64          `json:"backend_depth"`
	InFlight     int64          `json:"in_flight_count"`
	Deferred     int64          `json:"deferred_count"`
	Requeues     uint64         `json:"requeue_count"`
	Timeouts     uint64         `json:"timeout_count"`
	Messages     uint64         `json:"message_count"`
	Delivered    uint64         `json:"delivery_msg_count,omitempty"`     // the next three together
	ZoneLocal    uint64         `json:"zone_local_msg_count,omitempty"`   // by consumers in the zone of the node
	RegionLocal  uint64         `json:"region_local_msg_count,omitempty"` // in its region, but another zone
	Global       uint64         `json:"global_msg_count,omitempty"`       // elsewhere
	ClientCount  int64          `json:"client_count"`
	Nodes        []ChannelStats `json:"nodes"`   // in the order of their addresses; nil of one node
	Clients      []ClientInfo   `json:"clients"` // by node, the near ones first; nil where not asked for
	Paused       bool           `json:"paused"`  // on any node
	E2E          E2E            `json:"e2e_processing_latency"`
}

// ClientInfo is a consumer.
type ClientInfo struct {
	Node             string        `json:"node"` // that it is connected to
	RemoteAddress    string        `json:"remote_address"`
	Version          string        `json:"version"` // of the protocol
	ClientID         string        `json:"client_id"`
	Hostname         string        `json:"hostname"`
	UserAgent        string        `json:"user_agent"`
	ConnectedSince   int64         `json:"connect_ts"` // seconds since the Unix epoch
	Connected        time.Duration `json:"connected"`  // in whole seconds
	InFlight         int64         `json:"in_flight_count"`
	Ready            int64         `json:"ready_count"`
	Finished         uint64        `json:"finish_count"`
	Requeued         uint64        `json:"requeue_count"`
	Messages         uint64        `json:"message_count"`
	SampleRate       int32         `json:"sample_rate"`
	Deflate          bool          `json:"deflate"`
	Snappy           bool          `json:"snappy"`
	Authed           bool          `json:"authed"`
	AuthIdentity     string        `json:"auth_identity"`
	AuthIdentityURL  string        `json:"auth_identity_url"`
	NodeRegion       string        `json:"node_topology_region,omitempty"`
	NodeZone         string        `json:"node_topology_zone,omitempty"`
	Region           string        `json:"topology_region,omitempty"`
	Zone             string        `json:"topology_zone,omitempty"`
	TLS              bool          `json:"tls"`
	TLSCipherSuite   string        `json:"tls_cipher_suite"`
	TLSVersion       string        `json:"tls_version"`
	TLSProtocol      string        `json:"tls_negotiated_protocol"`
	TLSProtocolIsSet bool          `json:"tls_negotiated_protocol_is_mutual"`
}

// MergeTopic adds up what nodes say of a topic. It reports whether any has it.
func MergeTopic(topic string, nodes []NodeStats) (TopicStats, bool) {
	sum := EmptyTopic(topic)
	channels := make(map[string]*ChannelStats)
	for _, n := range byAddress(nodes) {
		t, ok := topicOf(n.Stats, topic)
		if !ok {
			continue
		}
		one := n.topic(t, false)
		sum.add(one)
		for _, c := range one.Channels {
			of := channels[c.Channel]
			if of == nil {
				empty := EmptyChannel(topic, c.Channel)
				of = &empty
				channels[c.Channel] = of
			}
			of.add(c)
		}
	}
	for _, c := range channels {
		c.Clients = nil
		sum.Channels = append(sum.Channels, *c)
	}
	slices.SortFunc(sum.Channels, func(a, b ChannelStats) int { return strings.Compare(a.Channel, b.Channel) })
	return sum, len(sum.Nodes) > 0
}

// MergeChannel adds up what nodes say of a channel, and lists its clients as far
// as they were asked for. It reports whether any node has it.
func MergeChannel(topic, channel string, nodes []NodeStats) (ChannelStats, bool) {
	sum := EmptyChannel(topic, channel)
	for _, n := range byAddress(nodes) {
		t, _ := topicOf(n.Stats, topic)
		if c, ok := channelOf(t, channel); ok {
			sum.add(n.channel(topic, c, true))
		}
	}
	return sum, len(sum.Nodes) > 0
}

// NodeTopics returns all topics of one node, by name, their channels with their
// clients.
func NodeTopics(n NodeStats) []TopicStats {
	topics := []TopicStats{}
	if n.Stats != nil {
		for i := range n.Stats.Topics {
			topics = append(topics, n.topic(&n.Stats.Topics[i], true))
		}
	}
	slices.SortFunc(topics, func(a, b TopicStats) int { return strings.Compare(a.Topic, b.Topic) })
	return topics
}

// EmptyTopic is a topic that no node has.
func EmptyTopic(topic string) TopicStats {
	return TopicStats{Node: AllNodes, Topic: topic, Channels: []ChannelStats{}, E2E: E2E{Topic: topic, Host: AllNodes}}
}

// EmptyChannel is a channel that no node has.
func EmptyChannel(topic, channel string) ChannelStats {
	return ChannelStats{
		Node: AllNodes, Topic: topic, Channel: channel, Clients: []ClientInfo{},
		E2E: E2E{Topic: topic, Channel: channel, Host: AllNodes},
	}
}

// byAddress returns nodes in the order of their addresses.
func byAddress(nodes []NodeStats) []NodeStats {
	compare := func(a, b NodeStats) int { return strings.Compare(a.Address, b.Address) }
	if slices.IsSortedFunc(nodes, compare) {
		return nodes
	}
	nodes = slices.Clone(nodes)
	slices.SortStableFunc(nodes, compare)
	return nodes
}

func topicOf(s *stats.Stats, name string) (*stats.Topic, bool) {
	if s == nil {
		return nil, false
	}
	i := slices.IndexFunc(s.Topics, func(t stats.Topic) bool { return t.Name == name })
	if i < 0 {
		return nil, false
	}
	return &s.Topics[i], true
}

func channelOf(t *stats.Topic, name string) (*stats.Channel, bool) {
	if t == nil {
		return nil, false
	}
	i := slices.IndexFunc(t.Channels, func(c stats.Channel) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.Channels[i], true
}

// topic returns a topic of the node.
func (n NodeStats) topic(t *stats.Topic, clients bool) TopicStats {
	one := TopicStats{
		Node:         n.Address,
		Hostname:     n.Hostname,
		Topic:        t.Name,
		Depth:        t.Depth,
		MemoryDepth:  t.Depth - t.BackendDepth,
		BackendDepth: t.BackendDepth,
		Messages:     t.Messages,
		Channels:     make([]ChannelStats, 0, len(t.Channels)),
		Paused:       t.Paused,
		Durability:   t.Durability,
		E2E:          nodeE2E(t.E2E, t.Name, "", n.Address),
	}
	for i := range t.Channels {
		one.Channels = append(one.Channels, n.channel(t.Name, &t.Channels[i], clients))
	}
	slices.SortFunc(one.Channels, func(a, b ChannelStats) int { return strings.Compare(a.Channel, b.Channel) })
	return one
}

// channel returns a channel of the node.
func (n NodeStats) channel(topic string, c *stats.Channel, clients bool) ChannelStats {
	one := ChannelStats{
		Node:         n.Address,
		Hostname:     n.Hostname,
		Topic:        topic,
		Channel:      c.Name,
		Depth:        c.Depth,
		MemoryDepth:  c.Depth - c.BackendDepth,
		BackendDepth: c.BackendDepth,
		InFlight:     int64(c.InFlight),
		Deferred:     int64(c.Deferred),
		Requeues:     c.Requeues,
		Timeouts:     c.Timeouts,
		Messages:     c.Messages,
		Delivered:    c.ZoneLocal + c.RegionLocal + c.Global,
		ZoneLocal:    c.ZoneLocal,
		RegionLocal:  c.RegionLocal,
		Global:       c.Global,
		ClientCount:  int64(max(c.ClientCount, len(c.Clients))), // an old nsqd lists clients and does not count them
		Paused:       c.Paused,
		E2E:          nodeE2E(c.E2E, topic, c.Name, n.Address),
	}
	if clients {
		one.Clients = make([]ClientInfo, 0, len(c.Clients))
		for i := range c.Clients {
			one.Clients = append(one.Clients, n.client(&c.Clients[i]))
		}
		slices.SortStableFunc(one.Clients, func(a, b ClientInfo) int { return cmp.Compare(a.distance(), b.distance()) })
	}
	return one
}

// client returns a consumer that is connected to the node.
func (n NodeStats) client(c *stats.Client) ClientInfo {
	return ClientInfo{
		Node:             n.Address,
		RemoteAddress:    c.RemoteAddress,
		Version:          c.Version,
		ClientID:         c.ClientID,
		Hostname:         c.Hostname,
		UserAgent:        c.UserAgent,
		ConnectedSince:   c.Connected,
		Connected:        connectedFor(c.Connected, n.At),
		InFlight:         int64(c.InFlight),
		Ready:            c.ReadyCount,
		Finished:         c.Finished,
		Requeued:         c.Requeued,
		Messages:         c.Messages,
		SampleRate:       c.SampleRate,
		Deflate:          c.Deflate,
		Snappy:           c.Snappy,
		Authed:           c.Authed,
		AuthIdentity:     c.AuthIdentity,
		AuthIdentityURL:  c.AuthIdentityURL,
		NodeRegion:       n.Region,
		NodeZone:         n.Zone,
		Region:           c.TopologyRegion,
		Zone:             c.TopologyZone,
		TLS:              c.TLS,
		TLSCipherSuite:   c.TLSCipherSuite,
		TLSVersion:       c.TLSVersion,
		TLSProtocol:      c.TLSProtocol,
		TLSProtocolIsSet: c.TLSProtocolIsSet,
	}
}

// connectedFor returns how long a client has been connected, 0 where clocks of
// two machines differ.
func connectedFor(since int64, at time.Time) time.Duration {
	seconds := at.Unix() - since
	if since <= 0 || at.IsZero() || seconds < 0 || seconds > math.MaxInt64/int64(time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// distance is 0 for a client in the zone of its node, 1 for one in its region,
// 2 for all others, as an nsqd reckons it.
func (c ClientInfo) distance() int {
	switch {
	case c.Zone == c.NodeZone:
		return 0
	case c.Region == c.NodeRegion:
		return 1
	default:
		return 2
	}
}

// add adds a topic of one node.
func (t *TopicStats) add(one TopicStats) {
	t.Depth += one.Depth
	t.MemoryDepth += one.MemoryDepth
	t.BackendDepth += one.BackendDepth
	t.Messages += one.Messages
	t.Paused = t.Paused || one.Paused
	t.Durability = MergeDurability(t.Durability, one.Durability, len(t.Nodes))
	t.E2E.add(one.E2E)
	t.Nodes = append(t.Nodes, one)
}

// add adds a channel of one node.
func (c *ChannelStats) add(one ChannelStats) {
	c.Depth += one.Depth
	c.MemoryDepth += one.MemoryDepth
	c.BackendDepth += one.BackendDepth
	c.InFlight += one.InFlight
	c.Deferred += one.Deferred
	c.Requeues += one.Requeues
	c.Timeouts += one.Timeouts
	c.Messages += one.Messages
	c.Delivered += one.Delivered
	c.ZoneLocal += one.ZoneLocal
	c.RegionLocal += one.RegionLocal
	c.Global += one.Global
	c.ClientCount += one.ClientCount
	c.Paused = c.Paused || one.Paused
	c.E2E.add(one.E2E)
	c.Clients = append(c.Clients, one.Clients...)
	c.Nodes = append(c.Nodes, one)
}
