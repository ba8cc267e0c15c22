package nsqd

import (
	"cmp"
	"errors"
	"io/fs"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/version"
)

// A statsFilter says what a snapshot contains.
type statsFilter struct {
	topic   string // only this topic, and producers of it; "" for all
	channel string // only this channel, and topics that have it; "" for all
	clients bool   // consumers and producers, one by one
	memory  bool
	metrics *metricsFilter // not nil for what is at /metrics only
}

// stats takes a snapshot. It blocks no message for longer than a copy takes.
func (n *NSQD) stats(filter statsFilter) stats.Stats {
	s := stats.Stats{
		Version:   version.Binary,
		Health:    healthText(n.env.health.Err()),
		Drain:     n.drain.current().state(),
		StartTime: n.started.Unix(),
		Damage:    sumDamage(damageStats(n.env.disk.Damage()), n.env.durable.damage()),
		Topics:    []stats.Topic{},
		Producers: []stats.Client{},
		Panics:    n.env.panics.Load(),
	}
	if filter.memory {
		s.Memory = memoryStats()
	}
	topics, deleted := n.topics.allAndDeleted()
	if filter.topic != "" {
		topics = slices.DeleteFunc(topics, func(t *topic) bool { return t.name != filter.topic })
	}
	for _, t := range topics {
		ts := t.stats(filter)
		if filter.channel == "" || len(ts.Channels) > 0 {
			s.Topics = append(s.Topics, ts)
		}
	}
	if filter.metrics != nil {
		s.Metrics = n.metricsStats(filter.metrics, deleted)
		s.Metrics.Totals.AddTopics(s.Topics)
	}
	if filter.clients && (filter.topic == "" || len(topics) > 0) {
		s.Producers = clientStats(n.clients.all(), filter.topic)
		s.Producers = slices.DeleteFunc(s.Producers, func(c stats.Client) bool { return len(c.Published) == 0 })
	}
	return s
}

func (t *topic) stats(filter statsFilter) stats.Topic {
	s := stats.Topic{
		Name:     t.name,
		Channels: []stats.Channel{},
		Messages: t.messages.Load(),
		Bytes:    t.bytes.Load(),
		Paused:   t.isPaused(),
	}
	s.Depth, s.BackendDepth = t.depth()
	s.Damage = t.damage()
	s.Durability = t.durability().String()
	chans := t.allChannels()
	if filter.metrics != nil {
		chans, s.Deleted = t.channelsAndDeleted()
		s.Waiting = filter.metrics.waitingInTopic(t, s.Depth)
	}
	var all latency.Distribution // of all channels, also of those that are left out
	for _, ch := range chans {
		d := ch.latencies()
		all.Merge(&d)
		if filter.channel == "" || filter.channel == ch.name {
			s.Channels = append(s.Channels, ch.stats(filter, &d))
		}
	}
	s.E2E = latencyStats(t.env.opts, &all)
	return s
}

func (ch *channel) stats(filter statsFilter, d *latency.Distribution) stats.Channel {
	consumers, delivered, finished := ch.work()
	s := stats.Channel{
		Name:        ch.name,
		Messages:    ch.received(),
		ZoneLocal:   ch.fromMemory[zoneLocal].Load(),
		RegionLocal: ch.fromMemory[regionLocal].Load(),
		Global:      ch.fromMemory[global].Load(),
		Delivered:   delivered,
		Finished:    &finished,
		Requeues:    ch.requeues.Load(),
		Timeouts:    ch.timeouts.Load(),
		ClientCount: len(consumers),
		Clients:     []stats.Client{},
		Paused:      ch.queue.isPaused(),
		E2E:         latencyStats(ch.env.opts, d),
	}
	s.Depth, s.BackendDepth = ch.queue.depth()
	deferred, _ := ch.deferrals(everything)
	s.Deferred = int(deferred)
	s.Damage = ch.queue.damage()
	if filter.metrics != nil {
		s.Waiting = filter.metrics.waiting(ch.queue)
		if h := ch.e2e.Load(); h != nil {
			h.MergeInto(&s.Latencies)
		}
	}
	for _, c := range consumers {
		s.InFlight += c.inflight.len()
	}
	if filter.clients {
		s.Clients = clientStats(consumers, filter.topic)
	}
	return s
}

// clientStats returns the connections, the oldest first.
func clientStats(list []*client, topic string) []stats.Client {
	slices.SortFunc(list, func(a, b *client) int {
		return cmp.Or(a.connected.Compare(b.connected), strings.Compare(a.conn.RemoteAddr().String(), b.conn.RemoteAddr().String()))
	})
	all := make([]stats.Client, 0, len(list))
	for _, c := range list {
		all = append(all, c.stats(topic))
	}
	return all
}

func (c *client) stats(topic string) stats.Client {
	settings := c.settings.Load()
	s := stats.Client{
		ClientID:       settings.clientID,
		Hostname:       settings.hostname,
		Version:        "V2",
		RemoteAddress:  c.conn.RemoteAddr().String(),
		State:          c.state.Load(),
		ReadyCount:     c.rdy.Load(),
		InFlight:       c.inflight.len(),
		Messages:       c.messages.Load(),
		Finished:       c.finished.Load(),
		Requeued:       c.requeued.Load(),
		Connected:      c.connected.Unix(),
		SampleRate:     settings.sampleRate,
		Deflate:        settings.deflate,
		Snappy:         settings.snappy,
		UserAgent:      settings.userAgent,
		TopologyZone:   settings.topologyZone,
		TopologyRegion: settings.topologyRegion,
		Published:      c.published(topic),
	}
	switch given := c.fromMemory.Load(); c.env.opts.localityOf(settings) {
	case zoneLocal:
		s.ZoneLocal = given
	case regionLocal:
		s.RegionLocal = given
	default:
		s.Global = given
	}
	if a := c.auth.Load(); a != nil {
		answer := a.session.Last()
		s.Authed, s.AuthIdentity, s.AuthIdentityURL = true, answer.Identity, answer.IdentityURL
	}
	if info := settings.tls; info != nil {
		s.TLS = true
		s.TLSVersion, s.TLSCipherSuite = info.version, info.cipherSuite
		s.TLSProtocol, s.TLSProtocolIsSet = info.protocol, true // with crypto/tls it always is mutual
	}
	return s
}

// published returns what the client has published by topic, or to the given
// one only.
func (c *client) published(topic string) []stats.PubCount {
	c.mu.Lock()
	counts := make([]stats.PubCount, 0, len(c.pubCounts))
	for name, n := range c.pubCounts {
		if topic == "" || topic == name {
			counts = append(counts, stats.PubCount{Topic: name, Count: *n})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(counts, func(a, b stats.PubCount) int { return strings.Compare(a.Topic, b.Topic) })
	return counts
}

// healthText says whether disk queues can be written, in the words of /ping.
func healthText(err error) string {
	if err == nil {
		return "OK"
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path
	}
	return "NOK - " + err.Error()
}

// memoryStats reads the runtime's numbers without stopping it.
func memoryStats() *stats.Memory {
	samples := []metrics.Sample{
		{Name: "/gc/heap/objects:objects"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/heap/goal:bytes"},
	}
	metrics.Read(samples)
	var (
		objects  = samples[0].Value.Uint64()
		free     = samples[1].Value.Uint64()
		released = samples[2].Value.Uint64()
		used     = samples[3].Value.Uint64()
		unused   = samples[4].Value.Uint64()
		goal     = samples[5].Value.Uint64()
	)
	gc := debug.GCStats{PauseQuantiles: make([]time.Duration, 101)} // in steps of one percent
	debug.ReadGCStats(&gc)
	return &stats.Memory{
		HeapObjects:       objects,
		HeapIdleBytes:     free + released,
		HeapInUseBytes:    used + unused,
		HeapReleasedBytes: released,
		GCPauseUsec100:    uint64(gc.PauseQuantiles[100].Microseconds()),
		GCPauseUsec99:     uint64(gc.PauseQuantiles[99].Microseconds()),
		GCPauseUsec95:     uint64(gc.PauseQuantiles[95].Microseconds()),
		NextGCBytes:       goal,
		GCTotalRuns:       uint64(gc.NumGC),
	}
}
