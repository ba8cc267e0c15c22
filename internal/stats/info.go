package stats

// Info is what an nsqd says of itself at /info. Durations are in nanoseconds.
type Info struct {
	Version                string `json:"version"`
	BroadcastAddress       string `json:"broadcast_address"`
	Hostname               string `json:"hostname"`
	HTTPPort               int    `json:"http_port"`
	TCPPort                int    `json:"tcp_port"`
	StartTime              int64  `json:"start_time"` // seconds since the Unix epoch
	MaxHeartbeatInterval   int64  `json:"max_heartbeat_interval"`
	MaxOutputBufferSize    int64  `json:"max_output_buffer_size"`
	MaxOutputBufferTimeout int64  `json:"max_output_buffer_timeout"`
	MaxDeflateLevel        int    `json:"max_deflate_level"`
	TopologyZone           string `json:"topology_zone"`
	TopologyRegion         string `json:"topology_region"`
	Durability             string `json:"durability,omitempty"` // of topics that have none of their own: memory, disk or fsync; "" from an nsqd that does not tell
	MaxDeferTimeout        int64  `json:"max_defer_timeout,omitempty"`
}
