package nsqadmin

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// consumersOf asks the nodes that have a channel for its consumers, all at once.
// One that did not answer the poller either is not waited for.
func (s *httpServer) consumersOf(ctx context.Context, v *watch.View, topic, channel string) (consumers []consumerItem, silent []silentDaemon) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var ask []string
	nodes := make(map[string]*watch.NodeState)
	silent = silentNodes(v, func(n *watch.NodeState) bool { return n.MayHave(topic, channel) })
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Err == nil && n.Channel(topic, channel) != nil {
			ask = append(ask, n.Address)
			nodes[n.Address] = n
		}
	}
	answers := cluster.Ask(ask, func(address string) (*stats.Stats, error) {
		return s.n.client.Stats(ctx, address, cluster.StatsQuery{Topic: topic, Channel: channel, Clients: true})
	})
	now := time.Now()
	var said []cluster.NodeStats
	for _, a := range answers {
		n := nodes[a.Address]
		if a.Err != nil {
			silent = append(silent, silentNode(n, noAnswer(a.Err)))
			continue
		}
		said = append(said, cluster.NodeStats{Address: a.Address, Hostname: n.Hostname, Zone: n.Zone, Region: n.Region, At: now, Stats: a.Value})
	}
	sum, _ := cluster.MergeChannel(topic, channel, said)
	for i := range sum.Clients {
		consumers = append(consumers, consumerItem{&sum.Clients[i]})
	}
	return consumers, silent
}

// A consumerItem is a row of the table of consumers.
type consumerItem struct{ *cluster.ClientInfo }

// Since is when it connected.
func (c consumerItem) Since() time.Time { return time.Unix(c.ConnectedSince, 0) }

// Cipher is the cipher suite of its connection. nsqds of old do not know those
// of TLS 1.3 by name.
func (c consumerItem) Cipher() string { return strings.TrimPrefix(c.TLSCipherSuite, "TLS_") }

// Compression names what its connection is compressed with, "" for nothing.
func (c consumerItem) Compression() string {
	switch {
	case c.Snappy:
		return "snappy"
	case c.Deflate:
		return "deflate"
	}
	return ""
}

// An identity is who a consumer is to the auth server. The URL is "" unless
// a browser may follow it.
type identity struct{ Name, URL string }

// Identity is nil for a consumer that did not authenticate.
func (c consumerItem) Identity() *identity {
	if !c.Authed {
		return nil
	}
	id := &identity{Name: c.AuthIdentity}
	if id.Name == "" {
		id.Name = "authenticated"
	}
	if u, err := url.Parse(c.AuthIdentityURL); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		id.URL = c.AuthIdentityURL
	}
	return id
}

// Place is its zone and region, "" for none.
func (c consumerItem) Place() string { return strings.Trim(c.Zone+" / "+c.Region, " /") }

// Near says how near it is to its node, "" where that is not known.
func (c consumerItem) Near() string {
	switch {
	case c.Zone != "" && c.Zone == c.NodeZone:
		return "zone of the nsqd"
	case c.Region != "" && c.Region == c.NodeRegion:
		return "region of the nsqd"
	}
	return ""
}

// matches looks for text in everything that names a consumer.
func (c consumerItem) matches(text string) bool {
	return table.Contains(text, c.ClientID, c.Hostname, c.RemoteAddress, c.UserAgent, c.Node, c.AuthIdentity, c.TLSVersion, c.Compression(), c.Zone, c.Region)
}

var consumerColumns = []table.Column[consumerItem]{
	{
		Key: "client", Name: "Client", Title: "The name that the consumer gave itself.",
		Compare: table.By(func(c consumerItem) string { return c.ClientID }),
	},
	{
		Key: "host", Name: "Host", Title: "The name of its machine, as it says, and the address that it connected from.",
		Compare: table.By(func(c consumerItem) string { return c.Hostname + " " + c.RemoteAddress }),
	},
	{
		Key: "agent", Name: "User agent", Title: "Its client library and version.",
		Compare: table.By(func(c consumerItem) string { return c.UserAgent }),
	},
	{
		Key: "node", Name: "nsqd", Title: "The nsqd that it is connected to.",
		Compare: table.By(func(c consumerItem) string { return c.Node }),
	},
	{
		Key: "rdy", Name: "RDY", Title: "How many messages it is ready to have in flight; at 0 it gets none.", Numeric: true,
		Compare: table.By(func(c consumerItem) int64 { return c.Ready }),
	},
	{
		Key: "inflight", Name: "In flight", Title: "Messages that it has got and not yet finished or requeued.", Numeric: true,
		Compare: table.By(func(c consumerItem) int64 { return c.InFlight }),
	},
	{
		Key: "finished", Name: "Finished", Title: "Messages that it has finished (FIN) since it connected.", Numeric: true,
		Compare: table.By(func(c consumerItem) uint64 { return c.Finished }),
	},
	{
		Key: "requeued", Name: "Requeued", Title: "Messages that it has given back (REQ).", Numeric: true,
		Compare: table.By(func(c consumerItem) uint64 { return c.Requeued }),
	},
	{
		Key: "messages", Name: "Messages", Title: "Messages that were sent to it, each attempt counted.", Numeric: true,
		Compare: table.By(func(c consumerItem) uint64 { return c.Messages }),
	},
	{
		Key: "connected", Name: "Connected", Title: "For how long it has been connected.", Numeric: true,
		Compare: table.By(func(c consumerItem) int64 { return -c.ConnectedSince }),
	},
	{
		Key: "tls", Name: "TLS", Title: "The version of TLS and the cipher suite of its connection.",
		Compare: table.By(func(c consumerItem) string { return c.TLSVersion + c.TLSCipherSuite }),
	},
	{
		Key: "compression", Name: "Compression", Title: "What its connection is compressed with.",
		Compare: table.By(consumerItem.Compression),
	},
	{
		Key: "sample", Name: "Sample", Title: "The share of the messages that it asked for; the others it never gets.", Numeric: true,
		Compare: table.By(func(c consumerItem) int32 { return c.SampleRate }),
	},
	{
		Key: "identity", Name: "Identity", Title: "Who it is to the auth server.",
		Compare: table.By(func(c consumerItem) string { return c.AuthIdentity }),
	},
	{
		Key: "zone", Name: "Zone", Title: "Its topology zone and region; with the topology experiment nsqd serves those near to it first.",
		Compare: table.By(consumerItem.Place),
	},
	{
		Key: "protocol", Name: "Protocol", Title: "The version of the protocol that it speaks.",
		Compare: table.By(func(c consumerItem) string { return c.Version }),
	},
}
