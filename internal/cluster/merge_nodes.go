package cluster

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/seed893f581e/nsq/internal/stats"
)

// Node is an nsqd, as one or several nsqlookupds list it, or as it says itself.
type Node struct {
	RemoteAddresses  []string    `json:"remote_addresses"` // "nsqlookupd/peer" by registration; nil where it was asked itself
	RemoteAddress    string      `json:"remote_address"`   // the peer of the first of them
	Hostname         string      `json:"hostname"`
	BroadcastAddress string      `json:"broadcast_address"`
	TCPPort          int         `json:"tcp_port"`
	HTTPPort         int         `json:"http_port"`
	Version          string      `json:"version"`
	Zone             string      `json:"topology_zone,omitempty"`
	Region           string      `json:"topology_region,omitempty"`
	Topics           []NodeTopic `json:"topics"` // by name, nil for none
	OutOfDate        bool        `json:"out_of_date"`
}

// NodeTopic is a topic of a node.
type NodeTopic struct {
	Topic      string `json:"topic"`
	Tombstoned bool   `json:"tombstoned"` // hidden by any of the nsqlookupds
}

// HTTPAddress is where the HTTP API of the node is, and the name by which users
// know the node.
func (n Node) HTTPAddress() string {
	return net.JoinHostPort(n.BroadcastAddress, strconv.Itoa(n.HTTPPort))
}

// LookupName is the node as an nsqlookupd knows it: of an IPv6 address that is
// not the same.
func (n Node) LookupName() string { return n.BroadcastAddress + ":" + strconv.Itoa(n.HTTPPort) }

// MergeNodes puts together what was answered: by broadcast address and TCP port.
// The nodes are in the order of their hostnames. Answers that are errors are left
// out. A producer without a remote address has spoken for itself.
func MergeNodes(answers []Answer[[]Producer]) []Node {
	type key struct {
		host string
		port int
	}
	at := make(map[key]int) // in nodes
	nodes := []Node{}
	for _, a := range answers {
		if a.Err != nil {
			continue
		}
		for _, p := range a.Value {
			k := key{p.BroadcastAddress, p.TCPPort}
			i, ok := at[k]
			if !ok {
				i = len(nodes)
				at[k] = i
				nodes = append(nodes, newNode(p))
			}
			nodes[i].add(a.Address, p)
		}
	}
	for i := range nodes {
		slices.SortFunc(nodes[i].Topics, func(a, b NodeTopic) int { return strings.Compare(a.Topic, b.Topic) })
	}
	MarkOutOfDate(nodes)
	slices.SortFunc(nodes, CompareNodes)
	return nodes
}

// SelfTold is an nsqd that was asked at address who it is and what it has. If it
// is reached by a way that it does not know of, it is known by that.
func SelfTold(address string, info stats.Info, s *stats.Stats) Node {
	n := newNode(Producer{
		Hostname:         info.Hostname,
		BroadcastAddress: info.BroadcastAddress,
		TCPPort:          info.TCPPort,
		HTTPPort:         info.HTTPPort,
		Version:          info.Version,
		TopologyZone:     info.TopologyZone,
		TopologyRegion:   info.TopologyRegion,
	})
	if n.HTTPPort <= 0 || n.BroadcastAddress == "" {
		host, port, _ := net.SplitHostPort(address)
		n.BroadcastAddress = host
		n.HTTPPort, _ = strconv.Atoi(port)
	}
	for _, t := range s.Topics {
		n.Topics = append(n.Topics, NodeTopic{Topic: t.Name})
	}
	slices.SortFunc(n.Topics, func(a, b NodeTopic) int { return strings.Compare(a.Topic, b.Topic) })
	return n
}

// CompareNodes orders nodes by their hostnames, then by their addresses.
func CompareNodes(a, b Node) int {
	return cmp.Or(
		strings.Compare(a.Hostname, b.Hostname),
		strings.Compare(a.BroadcastAddress, b.BroadcastAddress),
		cmp.Compare(a.TCPPort, b.TCPPort),
	)
}

func newNode(p Producer) Node {
	return Node{
		RemoteAddress:    p.RemoteAddress,
		Hostname:         p.Hostname,
		BroadcastAddress: p.BroadcastAddress,
		TCPPort:          p.TCPPort,
		HTTPPort:         p.HTTPPort,
		Version:          p.Version,
		Zone:             p.TopologyZone,
		Region:           p.TopologyRegion,
	}
}

// add adds a registration of the node.
func (n *Node) add(lookupd string, p Producer) {
	if p.RemoteAddress != "" {
		n.RemoteAddresses = append(n.RemoteAddresses, lookupd+"/"+p.RemoteAddress)
	}
	known := make(map[string]int, len(n.Topics))
	for i, t := range n.Topics {
		known[t.Topic] = i
	}
	for i, topic := range p.Topics {
		at, ok := known[topic]
		if !ok {
			at = len(n.Topics)
			known[topic] = at
			n.Topics = append(n.Topics, NodeTopic{Topic: topic})
		}
		if i < len(p.Tombstones) && p.Tombstones[i] {
			n.Topics[at].Tombstoned = true
		}
	}
}

// MarkOutOfDate marks the nodes whose version is not the latest among them.
func MarkOutOfDate(nodes []Node) {
	latest := "v0.0.0"
	for _, n := range nodes {
		if v := release(n.Version); semver.Compare(v, latest) > 0 {
			latest = v
		}
	}
	for i, n := range nodes {
		nodes[i].OutOfDate = semver.Compare(release(n.Version), latest) < 0
	}
}

// release is the version in the form of package semver, 0.0.0 where it is none.
func release(version string) string {
	v := "v" + version
	if c := semver.Canonical(v); c != "" && strings.HasPrefix(v, c) { // it has all three numbers
		return v
	}
	return "v0.0.0"
}
