package nsqd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What the tests of package nsqd_test, which speak to a broker from outside,
// need of its inside.

// ListenOn has Main accept clients from these in place of the listeners that
// New opened. It must be called before Main.
func (n *NSQD) ListenOn(tcp, http net.Listener) {
	n.tcp.Close()
	n.tcp.init(n, tcp)
	n.http.listener.Close()
	n.http.serve() // until it has noticed, or the stop would close it again
	n.http.listener = http
	n.http.begin()
}

// AskAuthServersBy has connections to auth servers opened by dial. It must be
// called before Main.
func (n *NSQD) AskAuthServersBy(dial auth.Dial) {
	n.env.auth.Close()
	c := n.authConfig()
	c.Dial, c.DialTLS = dial, dial
	var err error
	if n.env.auth, err = auth.NewClient(c); err != nil {
		panic(err)
	}
}

// PanicOn adds two commands that panic: one in the goroutine that reads the
// connection, one in the goroutine that writes messages to it.
func (n *NSQD) PanicOn(reading, writing string) {
	n.tcp.protocol.commands[reading] = func(*client, *wire.Line) ([]byte, error) {
		panic("panic while reading")
	}
	n.tcp.protocol.commands[writing] = func(c *client, _ *wire.Line) ([]byte, error) {
		c.channel.Store(&channel{env: n.env}) // without the queue that the pump takes from
		c.rdy.Store(1)
		c.wakePump()
		return nil, nil
	}
}

// DeleteTopics deletes every topic.
func (n *NSQD) DeleteTopics() error {
	var errs []error
	for _, t := range n.topics.all() {
		if t.exit(false) {
			errs = append(errs, n.topics.drop(t))
		}
	}
	return errors.Join(errs...)
}

// Panics returns how many panics were survived.
func (n *NSQD) Panics() uint64 { return n.env.panics.Load() }

// LimitMetrics makes another number of topics and channels the most that have metrics of
// their own.
func (n *NSQD) LimitMetrics(limit int) { n.http.metrics.limit = limit }

// MeasureDisk has the daemon believe free of what is free on its disk. It must be called
// before Main.
func (n *NSQD) MeasureDisk(free func() (int64, error)) { n.space.ask = free }

// KeepDurableOn has durable topics kept on a file system, if none is there yet.
func (n *NSQD) KeepDurableOn(fs vfs.FS) { n.env.durable.fs = fs }

// MakingChannels returns how many channels of a durable topic are being created.
func (n *NSQD) MakingChannels(topic string) int {
	t := n.topics.existing(topic)
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.log.making)
}

// HoldChannel keeps everybody from putting into a channel's queue, and from taking out of
// it, until release.
func (n *NSQD) HoldChannel(topic, channel string) (release func()) {
	q := n.topics.existing(topic).existingChannel(channel).queue
	q.mu.Lock()
	return q.mu.Unlock
}

// OnTheWay returns how many messages a topic holds for its channels, as a drain counts
// them, and how many are on their way back into a channel.
func (n *NSQD) OnTheWay(topic, channel string) (toChannels, back int64) {
	var l drainLeft
	t := n.topics.existing(topic)
	l.addTopic(t)
	return l.waits, t.existingChannel(channel).queue.requeuing.Load()
}

// MaxLabelled is that number otherwise.
const MaxLabelled = maxLabelled

// MakeChannel makes a topic and a channel of it, as far as they are missing.
func (n *NSQD) MakeChannel(topic, channel string) error {
	t, err := n.topics.topic([]byte(topic))
	if err == nil {
		_, err = t.channel(channel)
	}
	return err
}

// Stats returns a snapshot of everything.
func (n *NSQD) Stats() stats.Stats { return n.stats(statsFilter{clients: true, memory: true}) }

// RecordsLatency reports whether a channel keeps latencies.
func (n *NSQD) RecordsLatency(topic, channel string) bool {
	return n.topics.existing(topic).existingChannel(channel).latency.Load() != nil
}

// MaxLent is how many messages a channel keeps in memory whatever its bound
// while its disk fails.
const MaxLent = maxLent

// Counts is what waits in a topic or a channel.
type Counts struct {
	Depth, OnDisk      int64
	InFlight, Deferred int // of a channel
}

// TopicCounts returns what waits in the topic itself; ok is false where there
// is no such topic.
func (n *NSQD) TopicCounts(topic string) (c Counts, ok bool) {
	t := n.topics.existing(topic)
	if t == nil {
		return c, false
	}
	c.Depth, c.OnDisk = t.depth()
	return c, true
}

// ChannelCounts returns what waits in a channel; ok is false where there is no
// such channel.
func (n *NSQD) ChannelCounts(topic, channel string) (c Counts, ok bool) {
	t := n.topics.existing(topic)
	if t == nil {
		return c, false
	}
	ch := t.existingChannel(channel)
	if ch == nil {
		return c, false
	}
	c.Depth, c.OnDisk = ch.queue.depth()
	deferred, _ := ch.deferrals(everything)
	c.Deferred = int(deferred)
	for _, consumer := range ch.consumers() {
		c.InFlight += consumer.inflight.len()
	}
	return c, true
}

// Join has so many consumers join a channel at the same moment, and leave. It
// returns how many were accepted.
func (n *NSQD) Join(topic, name string, consumers int) (accepted int) {
	var running sync.WaitGroup
	start := make(chan struct{})
	clients := make([]*client, consumers)
	joined := make([]*channel, consumers)
	for i := range clients {
		clients[i] = &client{env: n.env}
		running.Go(func() {
			<-start
			joined[i], _ = n.topics.subscribe([]byte(topic), name, clients[i])
		})
	}
	close(start)
	running.Wait()
	for i, ch := range joined {
		if ch != nil {
			accepted++
			n.topics.unsubscribe(ch, clients[i])
		}
	}
	return accepted
}

// LocalityCounts returns how many messages a channel's consumers were given from
// memory: those in the zone, those in the region, all others.
func (n *NSQD) LocalityCounts(topic, channel string) (counts [localities]int) {
	ch := n.topics.existing(topic).existingChannel(channel)
	for i := range counts {
		counts[i] = int(ch.fromMemory[i].Load())
	}
	return counts
}

// ReachLookupdsBy has connections to nsqlookupds opened by dial, and names
// resolved by resolve. Their HTTP APIs know no channels, unless AskLookupdsBy is
// called after it. It must be called before Main.
func (n *NSQD) ReachLookupdsBy(dial func(ctx context.Context, network, address string) (net.Conn, error),
	resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)) {
	n.lookups.dial, n.lookups.resolve = dial, resolve
	n.channels.query = func(context.Context, string, string) ([]string, error) { return nil, nil }
}

// AskLookupdsBy has connections to the HTTP APIs of nsqlookupds opened by dial.
// It must be called before Main.
func (n *NSQD) AskLookupdsBy(dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	n.channels.client = newLookupClient(n.opts, dial)
	n.channels.query = n.channels.client.Channels
}

// ReachableLookupds returns the HTTP addresses of the nsqlookupds that are
// connected, once that is known of all.
func (n *NSQD) ReachableLookupds(ctx context.Context) (addresses []string) {
	for _, l := range n.lookups.reachable(ctx) {
		addresses = append(addresses, l.address)
	}
	return addresses
}
