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
	"github.com/seed893f581e/nsq/internal/version"
)

// Stats is what the broker knows of itself at one moment: the one snapshot for
// everybody who shows or sends statistics. Its JSON form is that of
// /stats?format=json. Lists are never nil. It shares nothing with the broker.
//
// Counters count since the start of the process. Each topic, channel and
// connection is consistent in itself, but not with the others: they go on
// while the snapshot is taken.
type Stats struct {
	Version   string        `json:"version"`
	Health    string        `json:"health"`           // OK, or NOK and the reason
	StartTime int64         `json:"start_time"`       // seconds since the Unix epoch
	Damage    *DamageStats  `json:"damage,omitempty"` // since the start, also of what was deleted
	Topics    []TopicStats  `json:"topics"`           // by name
	Memory    *MemoryStats  `json:"memory,omitempty"`
	Producers []ClientStats `json:"producers"`        // connections that have published, the oldest first
	Panics    uint64        `json:"panics,omitempty"` // of connections, each of which ended one
}

// TopicStats is one topic.
type TopicStats struct {
	Name         string         `json:"topic_name"`
	Channels     []ChannelStats `json:"channels"`      // by name
	Depth        int64          `json:"depth"`         // messages that wait for channels
	BackendDepth int64          `json:"backend_depth"` // of them on disk
	Messages     uint64         `json:"message_count"` // published
	Bytes        uint64         `json:"message_bytes"` // of their bodies
	Paused       bool           `json:"paused"`
	E2E          LatencyStats   `json:"e2e_processing_latency"`
	Damage       *DamageStats   `json:"damage,omitempty"`
}

// ChannelStats is one channel.
type ChannelStats struct {
	Name         string        `json:"channel_name"`
	Depth        int64         `json:"depth"`         // messages that wait for consumers
	BackendDepth int64         `json:"backend_depth"` // of them on disk
	InFlight     int           `json:"in_flight_count"`
	Deferred     int           `json:"deferred_count"`
	Messages     uint64        `json:"message_count"` // received from the topic
	ZoneLocal    uint64        `json:"zone_local_msg_count,omitempty"`
	RegionLocal  uint64        `json:"region_local_msg_count,omitempty"`
	Global       uint64        `json:"global_msg_count,omitempty"` // the three: given to consumers from memory
	Requeues     uint64        `json:"requeue_count"`              // by REQ
	Timeouts     uint64        `json:"timeout_count"`
	ClientCount  int           `json:"client_count"`
	Clients      []ClientStats `json:"clients"` // the oldest first
	Paused       bool          `json:"paused"`
	E2E          LatencyStats  `json:"e2e_processing_latency"`
	Damage       *DamageStats  `json:"damage,omitempty"`
}

// ClientStats is one connection.
type ClientStats struct {
	ClientID         string     `json:"client_id"`
	Hostname         string     `json:"hostname"`
	Version          string     `json:"version"`        // of the protocol
	RemoteAddress    string     `json:"remote_address"` // @ for a unix socket
	State            int32      `json:"state"`          // 0 init, 3 subscribed, 4 closing
	ReadyCount       int64      `json:"ready_count"`
	InFlight         int        `json:"in_flight_count"`
	Messages         uint64     `json:"message_count"` // sent to it
	ZoneLocal        uint64     `json:"zone_local_msg_count,omitempty"`
	RegionLocal      uint64     `json:"region_local_msg_count,omitempty"`
	Global           uint64     `json:"global_msg_count,omitempty"` // the three: as in the channel, only where near consumers come first
	Finished         uint64     `json:"finish_count"`
	Requeued         uint64     `json:"requeue_count"`
	Connected        int64      `json:"connect_ts"` // seconds since the Unix epoch
	SampleRate       int32      `json:"sample_rate"`
	Deflate          bool       `json:"deflate"`
	Snappy           bool       `json:"snappy"`
	UserAgent        string     `json:"user_agent"`
	Authed           bool       `json:"authed,omitempty"`
	AuthIdentity     string     `json:"auth_identity,omitempty"`
	AuthIdentityURL  string     `json:"auth_identity_url,omitempty"`
	TopologyZone     string     `json:"topology_zone"`
	TopologyRegion   string     `json:"topology_region"`
	Published        []PubCount `json:"pub_counts,omitempty"` // by topic; with a filter only that topic
	TLS              bool       `json:"tls"`
	TLSCipherSuite   string     `json:"tls_cipher_suite"`
	TLSVersion       string     `json:"tls_version"`
	TLSProtocol      string     `json:"tls_negotiated_protocol"`
	TLSProtocolIsSet bool       `json:"tls_negotiated_protocol_is_mutual"`
}

// PubCount is how many messages a connection has published to a topic.
type PubCount struct {
	Topic string `json:"topic"`
	Count uint64 `json:"count"`
}

// LatencyStats is the time from publish to FIN of the messages that were
// finished within the window. It is empty where no percentiles are configured.
type LatencyStats struct {
	Count       int          `json:"count"`
	Percentiles []Percentile `json:"percentiles"` // in the order of the flags
}

// Percentile is one of them, in nanoseconds.
type Percentile struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"`
}

// MemoryStats is the memory of the process. Pauses of the garbage collector
// are percentiles of the recent ones, in microseconds.
type MemoryStats struct {
	HeapObjects       uint64 `json:"heap_objects"`
	HeapIdleBytes     uint64 `json:"heap_idle_bytes"`
	HeapInUseBytes    uint64 `json:"heap_in_use_bytes"`
	HeapReleasedBytes uint64 `json:"heap_released_bytes"`
	GCPauseUsec100    uint64 `json:"gc_pause_usec_100"`
	GCPauseUsec99     uint64 `json:"gc_pause_usec_99"`
	GCPauseUsec95     uint64 `json:"gc_pause_usec_95"`
	NextGCBytes       uint64 `json:"next_gc_bytes"`
	GCTotalRuns       uint64 `json:"gc_total_runs"`
}

// A statsFilter says what a snapshot contains.
type statsFilter struct {
	topic   string // only this topic, and producers of it; "" for all
	channel string // only this channel, and topics that have it; "" for all
	clients bool   // consumers and producers, one by one
	memory  bool
}

// stats takes a snapshot. It blocks no message for longer than a copy takes.
func (n *NSQD) stats(filter statsFilter) Stats {
	s := Stats{
		Version:   version.Binary,
		Health:    healthText(n.env.health.Err()),
		StartTime: n.started.Unix(),
		Damage:    damageStats(n.env.disk.Damage()),
		Topics:    []TopicStats{},
		Producers: []ClientStats{},
		Panics:    n.env.panics.Load(),
	}
	if filter.memory {
		s.Memory = memoryStats()
	}
	topics := n.topics.all()
	if filter.topic != "" {
		topics = slices.DeleteFunc(topics, func(t *topic) bool { return t.name != filter.topic })
	}
	for _, t := range topics {
		ts := t.stats(filter)
		if filter.channel == "" || len(ts.Channels) > 0 {
			s.Topics = append(s.Topics, ts)
		}
	}
	if filter.clients && (filter.topic == "" || len(topics) > 0) {
		s.Producers = clientStats(n.clients.all(), filter.topic)
		s.Producers = slices.DeleteFunc(s.Producers, func(c ClientStats) bool { return len(c.Published) == 0 })
	}
	return s
}

func (t *topic) stats(filter statsFilter) TopicStats {
	s := TopicStats{
		Name:     t.name,
		Channels: []ChannelStats{},
		Messages: t.messages.Load(),
		Bytes:    t.bytes.Load(),
		Paused:   t.isPaused(),
	}
	s.Depth, s.BackendDepth = t.queue.depth()
	s.Damage = t.queue.damage()
	var all latency.Distribution // of all channels, also of those that are left out
	for _, ch := range t.allChannels() {
		d := ch.latencies()
		all.Merge(&d)
		if filter.channel == "" || filter.channel == ch.name {
			s.Channels = append(s.Channels, ch.stats(filter, &d))
		}
	}
	s.E2E = latencyStats(t.env.opts, &all)
	return s
}

func (ch *channel) stats(filter statsFilter, d *latency.Distribution) ChannelStats {
	consumers := ch.consumers()
	s := ChannelStats{
		Name:        ch.name,
		Deferred:    ch.deferred.len(),
		Messages:    ch.messages.Load(),
		ZoneLocal:   ch.fromMemory[zoneLocal].Load(),
		RegionLocal: ch.fromMemory[regionLocal].Load(),
		Global:      ch.fromMemory[global].Load(),
		Requeues:    ch.requeues.Load(),
		Timeouts:    ch.timeouts.Load(),
		ClientCount: len(consumers),
		Clients:     []ClientStats{},
		Paused:      ch.queue.isPaused(),
		E2E:         latencyStats(ch.env.opts, d),
	}
	s.Depth, s.BackendDepth = ch.queue.depth()
	s.Damage = ch.queue.damage()
	for _, c := range consumers {
		s.InFlight += c.inflight.len()
	}
	if filter.clients {
		s.Clients = clientStats(consumers, filter.topic)
	}
	return s
}

// clientStats returns the connections, the oldest first.
func clientStats(list []*client, topic string) []ClientStats {
	slices.SortFunc(list, func(a, b *client) int {
		return cmp.Or(a.connected.Compare(b.connected), strings.Compare(a.conn.RemoteAddr().String(), b.conn.RemoteAddr().String()))
	})
	stats := make([]ClientStats, 0, len(list))
	for _, c := range list {
		stats = append(stats, c.stats(topic))
	}
	return stats
}

func (c *client) stats(topic string) ClientStats {
	settings := c.settings.Load()
	s := ClientStats{
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
func (c *client) published(topic string) []PubCount {
	c.mu.Lock()
	counts := make([]PubCount, 0, len(c.pubCounts))
	for name, n := range c.pubCounts {
		if topic == "" || topic == name {
			counts = append(counts, PubCount{name, *n})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(counts, func(a, b PubCount) int { return strings.Compare(a.Topic, b.Topic) })
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
func memoryStats() *MemoryStats {
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
	return &MemoryStats{
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
