package cluster

import (
	"context"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
)

// An Answer is what came of asking one daemon.
type Answer[T any] struct {
	Address string
	Value   T
	Err     error
	Took    time.Duration
}

// Ask calls f for all addresses at the same time and returns what came of it, in
// their order, once the last call has returned.
func Ask[T any](addresses []string, f func(address string) (T, error)) []Answer[T] {
	answers := make([]Answer[T], len(addresses))
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			began := time.Now()
			value, err := f(address)
			answers[i] = Answer[T]{address, value, err, time.Since(began)}
		})
	}
	all.Wait()
	return answers
}

// A StatsQuery says what an nsqd is asked for. What it leaves out is little work
// for the nsqd, and a short answer.
type StatsQuery struct {
	Topic   string // only this topic; "" for all
	Channel string // only this channel of the topic; "" for all
	Clients bool   // consumers and producers, one by one
	Memory  bool
}

// Stats asks an nsqd for its statistics. Old nsqds answer with more than they
// were asked for.
func (c *Client) Stats(ctx context.Context, nsqd string, q StatsQuery) (*stats.Stats, error) {
	query := url.Values{"format": {"json"}}
	if q.Topic != "" {
		query.Set("topic", q.Topic)
	}
	if q.Channel != "" {
		query.Set("channel", q.Channel)
	}
	if !q.Clients {
		query.Set("include_clients", "false")
	}
	if !q.Memory {
		query.Set("include_mem", "false")
	}
	s := new(stats.Stats)
	if err := c.Get(ctx, nsqd, "/stats", query, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Info asks an nsqd who it is.
func (c *Client) Info(ctx context.Context, nsqd string) (info stats.Info, err error) {
	err = c.Get(ctx, nsqd, "/info", nil, &info)
	return info, err
}

// Topics asks an nsqlookupd for all topics, with and without producers.
func (c *Client) Topics(ctx context.Context, lookupd string) ([]string, error) {
	var answer struct {
		Topics []string `json:"topics"`
	}
	err := c.Get(ctx, lookupd, "/topics", nil, &answer)
	return answer.Topics, err
}

// Channels asks an nsqlookupd for the channels of a topic; one that it does not
// know has none.
func (c *Client) Channels(ctx context.Context, lookupd, topic string) ([]string, error) {
	var answer struct {
		Channels []string `json:"channels"`
	}
	err := c.Get(ctx, lookupd, "/channels", url.Values{"topic": {topic}}, &answer)
	return answer.Channels, err
}

// A Lookup is what an nsqlookupd knows of a topic.
type Lookup struct {
	Channels  []string   `json:"channels"`
	Producers []Producer `json:"producers"` // without those that have a tombstone
}

// A Producer is an nsqd as an nsqlookupd knows it: one registration, of which a
// node may have several. Tombstones and Topics are those of Nodes.
type Producer struct {
	RemoteAddress    string   `json:"remote_address"` // ip:port of its connection
	Hostname         string   `json:"hostname"`
	BroadcastAddress string   `json:"broadcast_address"`
	TCPPort          int      `json:"tcp_port"`
	HTTPPort         int      `json:"http_port"`
	Version          string   `json:"version"`
	TopologyZone     string   `json:"topology_zone"`
	TopologyRegion   string   `json:"topology_region"`
	Tombstones       []bool   `json:"tombstones"` // of each topic
	Topics           []string `json:"topics"`
}

// HTTPAddress is where its HTTP API is reached.
func (p *Producer) HTTPAddress() string {
	return net.JoinHostPort(p.BroadcastAddress, strconv.Itoa(p.HTTPPort))
}

// Lookup asks an nsqlookupd for a topic. One that it does not know is a
// *StatusError for which TopicNotFound is true.
func (c *Client) Lookup(ctx context.Context, lookupd, topic string) (l Lookup, err error) {
	err = c.Get(ctx, lookupd, "/lookup", url.Values{"topic": {topic}}, &l)
	return l, err
}

// Nodes asks an nsqlookupd for all nsqds that are registered with it.
func (c *Client) Nodes(ctx context.Context, lookupd string) ([]Producer, error) {
	var answer struct {
		Producers []Producer `json:"producers"`
	}
	err := c.Get(ctx, lookupd, "/nodes", nil, &answer)
	return answer.Producers, err
}
