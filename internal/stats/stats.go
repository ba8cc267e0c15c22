// Package stats is what an nsqd says of itself at /stats and /info: the types
// alone, which nsqd fills and everybody who reads them decodes.
package stats

import (
	"time"

	"github.com/seed893f581e/nsq/internal/histogram"
)

// Stats is what the broker knows of itself at one moment: the one snapshot for
// everybody who shows or sends statistics. Its JSON form is that of
// /stats?format=json; what is not in that is for /metrics. Lists are never nil. It shares nothing with the broker.
//
// Counters count since the start of the process. Each topic, channel and
// connection is consistent in itself, but not with the others: they go on
// while the snapshot is taken.
type Stats struct {
	Version   string   `json:"version"`
	Health    string   `json:"health"`           // OK, or NOK and the reason
	Drain     string   `json:"drain,omitempty"`  // draining or drained
	StartTime int64    `json:"start_time"`       // seconds since the Unix epoch
	Damage    *Damage  `json:"damage,omitempty"` // since the start, also of what was deleted
	Topics    []Topic  `json:"topics"`           // by name
	Memory    *Memory  `json:"memory,omitempty"`
	Producers []Client `json:"producers"`        // connections that have published, the oldest first
	Panics    uint64   `json:"panics,omitempty"` // of connections, each of which ended one
	Metrics   *Metrics `json:"-"`                // nil where it is not asked for
}

// Topic is one topic.
type Topic struct {
	Name         string    `json:"topic_name"`
	Channels     []Channel `json:"channels"`      // by name
	Depth        int64     `json:"depth"`         // messages that wait for channels
	BackendDepth int64     `json:"backend_depth"` // of them on disk
	Messages     uint64    `json:"message_count"` // published
	Bytes        uint64    `json:"message_bytes"` // of their bodies
	Paused       bool      `json:"paused"`
	Durability   string    `json:"durability,omitempty"` // memory, disk or fsync; "" from an nsqd that has no durable topics
	E2E          Latency   `json:"e2e_processing_latency"`
	Damage       *Damage   `json:"damage,omitempty"`
	Waiting      Waiting   `json:"-"`
	Deleted      *Totals   `json:"-"` // what its channels counted that are no more; nil for nothing
}

// Channel is one channel.
type Channel struct {
	Name         string   `json:"channel_name"`
	Depth        int64    `json:"depth"`         // messages that wait for consumers
	BackendDepth int64    `json:"backend_depth"` // of them on disk
	InFlight     int      `json:"in_flight_count"`
	Deferred     int      `json:"deferred_count"`
	Messages     uint64   `json:"message_count"` // received from the topic
	ZoneLocal    uint64   `json:"zone_local_msg_count,omitempty"`
	RegionLocal  uint64   `json:"region_local_msg_count,omitempty"`
	Global       uint64   `json:"global_msg_count,omitempty"` // the three: given to consumers from memory
	Delivered    uint64   `json:"-"`                          // to consumers, each time that a message was
	Finished     *uint64  `json:"finish_count,omitempty"`     // by FIN; nil from an nsqd that does not tell
	Requeues     uint64   `json:"requeue_count"`              // by REQ
	Timeouts     uint64   `json:"timeout_count"`
	ClientCount  int      `json:"client_count"`
	Clients      []Client `json:"clients"` // the oldest first
	Paused       bool     `json:"paused"`
	E2E          Latency  `json:"e2e_processing_latency"`
	Damage       *Damage  `json:"damage,omitempty"`
	Waiting      Waiting  `json:"-"`

	Latencies histogram.Counts `json:"-"` // from publish to FIN, since the start
}

// Waiting is more about the messages that wait, where it is asked for.
type Waiting struct {
	Age   time.Duration // how long ago the message that is next was published; 0 if none waits, negative if it is not known
	Bytes int64         // on disk
}

// Client is one connection.
type Client struct {
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

// Latency is the time from publish to FIN of the messages that were
// finished within the window. It is empty where no percentiles are configured.
type Latency struct {
	Count       int          `json:"count"`
	Percentiles []Percentile `json:"percentiles"` // in the order of the flags
}

// Percentile is one of them, in nanoseconds.
type Percentile struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"`
}

// Memory is the memory of the process. Pauses of the garbage collector
// are percentiles of the recent ones, in microseconds.
type Memory struct {
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

// Damage is what was found damaged in disk queues, and skipped.
type Damage struct {
	Ranges  int64 `json:"ranges"`          // of bytes, or files
	Bytes   int64 `json:"bytes"`           // in them
	Records int64 `json:"records"`         // messages lost, as far as is known
	Metas   int64 `json:"metas,omitempty"` // meta files that had to be rebuilt
}
