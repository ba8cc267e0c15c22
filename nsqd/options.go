package nsqd

import (
	"cmp"
	"crypto/md5"
	"crypto/tls"
	"hash/crc32"
	"log/slog"
	"os"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
)

// Fixed by the protocol, without a flag.
const (
	defaultHeartbeatInterval = 30 * time.Second
	minHeartbeatInterval     = time.Second
	minClientMsgTimeout      = time.Second
	minOutputBufferSize      = 64
	defaultOutputBufferSize  = 16 << 10
)

// Options configure an NSQD. They are plain data: Validate checks them before
// anything starts, and nothing changes them afterwards. The tags are those of
// package config; the usage texts say what an option means.
type Options struct {
	ID        int64          `section:"Identity" flag:"node-id" cfg:"id" usage:"this node's part of every message id, [0,1024); the default comes from the hostname" more:"Two nodes of one cluster should differ." example:"617"`
	LogLevel  logging.Level  `section:"Log" flag:"log-level" words:"debug info warn error fatal" usage:"least level that is logged: debug, info, warn, error or fatal" change:"PUT /config/log_level"`
	LogFormat logging.Format `flag:"log-format" words:"text json" usage:"how log lines look: text, or json for one object a line"`
	LogPrefix string         `flag:"log-prefix" usage:"start of every log line in format text"`
	Logger    *slog.Logger   // where logs go; nil discards them
	LevelVar  *slog.LevelVar // the Logger's level, which PUT /config/log_level changes; nil where it cannot be changed

	TCPAddress        string `section:"Addresses" flag:"tcp-address" usage:"listen for clients on this host:port or unix socket"`
	HTTPAddress       string `flag:"http-address" usage:"listen for HTTP on this host:port or unix socket; empty for none"`
	HTTPSAddress      string `flag:"https-address" usage:"listen for HTTPS on this host:port where there is a certificate; empty for none"`
	BroadcastAddress  string `flag:"broadcast-address" usage:"host under which clients and nsqadmin reach this node; empty for the hostname or, where that cannot be resolved or leads to this machine only, the address from which an nsqlookupd is reached" more:"The log says which it is." example:"nsqd-1.example.com"`
	BroadcastTCPPort  int    `flag:"broadcast-tcp-port" usage:"TCP port under which clients reach this node; 0 for the port listened on" more:"It is for mapped ports, as those of a container."`
	BroadcastHTTPPort int    `flag:"broadcast-http-port" usage:"HTTP port under which clients reach this node; 0 for the port listened on"`
	TopologyRegion    string `flag:"topology-region" usage:"region in which this node runs" more:"Consumers that name the same zone or region are served first, with --enable-experiment topology-aware-consumption."`
	TopologyZone      string `flag:"topology-zone" usage:"zone in which this node runs" more:"See --topology-region."`
	MaxConnections    int    `flag:"max-connections" usage:"clients and HTTP connections at a time; 0 for as many as the limit of open files allows beside a reserve for queues"`

	LookupdTCPAddresses []string `section:"Discovery" flag:"lookupd-tcp-address" cfg:"nsqlookupd_tcp_addresses" usage:"host:port of an nsqlookupd" more:"Each is told of all topics and channels." change:"PUT /config/nsqlookupd_tcp_addresses"`

	AuthHTTPAddresses        []string      `section:"Authorization" flag:"auth-http-address" cfg:"auth_http_addresses" usage:"host:port or URL of an auth server, which then decides what clients may do" more:"If there is one, clients must AUTH."`
	AuthHTTPRequestMethod    string        `flag:"auth-http-request-method" words:"get post" usage:"how auth servers are asked: get or post; post keeps secrets out of their access logs"`
	AuthRequired             bool          `flag:"auth-required" usage:"publishing over HTTP needs a secret that the auth servers accept, too"`
	HTTPClientConnectTimeout time.Duration `flag:"http-client-connect-timeout" usage:"time in which an auth server or nsqlookupd must accept a connection"`
	HTTPClientRequestTimeout time.Duration `flag:"http-client-request-timeout" usage:"time in which an auth server or nsqlookupd must answer"`

	TLSCert             string      `section:"TLS and compression" flag:"tls-cert" words:"file" usage:"PEM file of the certificate (chain) with which clients and HTTPS are served" more:"It comes with --tls-key or not at all. New files are taken up while nsqd runs, at once on SIGHUP."`
	TLSKey              string      `flag:"tls-key" words:"file" usage:"PEM file of the certificate's key" more:"See --tls-cert."`
	TLSClientAuthPolicy string      `flag:"tls-client-auth-policy" words:"require require-verify" usage:"certificates of clients: require for any, require-verify for one of --tls-root-ca-file; either implies --tls-required" more:"Empty: none is asked for."`
	TLSRootCAFile       string      `flag:"tls-root-ca-file" words:"file" usage:"PEM file of the authorities that certificates of clients and auth servers are checked against" more:"Empty: those of the system."`
	TLSRequired         TLSRequired `flag:"tls-required" words:"true false tcp-https" usage:"clients must use TLS: true, false, or tcp-https to except plain HTTP"`
	TLSMinVersion       TLSVersion  `flag:"tls-min-version" words:"tls1.0 tls1.1 tls1.2 tls1.3" usage:"oldest TLS version that is accepted: tls1.0, tls1.1, tls1.2 or tls1.3"`
	Deflate             bool        `flag:"deflate" usage:"offer deflate compression to clients"`
	MaxDeflateLevel     int         `flag:"max-deflate-level" usage:"highest deflate level that a client may ask for, [1,9]"`
	Snappy              bool        `flag:"snappy" usage:"offer snappy compression to clients"`

	DrainOnTerm time.Duration `section:"Stopping" flag:"drain-on-term" usage:"longest time in which SIGTERM lets consumers empty the queues, while publishing is refused, before it stops nsqd; 0 to stop at once" more:"A second SIGTERM, or SIGINT, stops at once. What consumers cannot get is not waited for."`

	DataPath        string        `section:"Queues" flag:"data-path" words:"directory" usage:"existing directory for queues and metadata; empty for the current directory"`
	Durability      Durability    `flag:"durability" words:"memory disk fsync" usage:"what OK to a publish means, for topics that have no durability of their own: memory, disk (the message survives a killed nsqd) or fsync (it survives a power cut)" more:"POST /topic/create?durability= chooses for one topic."`
	MemQueueSize    int64         `flag:"mem-queue-size" usage:"messages that each topic and each channel keeps in memory before it uses the disk; 0 for all on disk" more:"Even then nothing waits until a message is safe there: it does not make messages durable, --durability does."`
	MaxBytesPerFile int64         `flag:"max-bytes-per-file" usage:"size in bytes at which a disk queue begins a new file"`
	SyncEvery       int64         `flag:"sync-every" usage:"reads and writes of a disk queue between two fsyncs"`
	SyncTimeout     time.Duration `flag:"sync-timeout" usage:"longest time between two fsyncs of a disk queue that is in use"`
	MinFreeDisk     int64         `flag:"min-free-disk" usage:"bytes that queues leave free on the disk, for what is in memory at a stop; 0 for a sixteenth of the disk, at most 64 MiB" more:"With less, what does not fit into memory is refused, so that a stop finds room for what is in memory."`

	QueueScanWorkerPoolMax  int `flag:"queue-scan-worker-pool-max" usage:"goroutines that requeue what timed out and release what was deferred, at most 64"`
	QueueScanSelectionCount int `flag:"queue-scan-selection-count" usage:"no effect, all channels are scanned; kept for existing configurations"`

	MsgTimeout      time.Duration `section:"Messages" flag:"msg-timeout" usage:"time in which a consumer must answer a message"`
	MaxMsgTimeout   time.Duration `flag:"max-msg-timeout" usage:"longest message timeout that a client may ask for, and longest time that TOUCH can add up to"`
	MaxMsgSize      int64         `flag:"max-msg-size" usage:"size in bytes of the largest message"`
	MaxBodySize     int64         `flag:"max-body-size" usage:"size in bytes of the largest command body" more:"An MPUB is such a body."`
	MaxReqTimeout   time.Duration `flag:"max-req-timeout" usage:"longest delay for requeued messages"`
	MaxDeferTimeout time.Duration `flag:"max-defer-timeout" usage:"longest delay for deferred messages; 0 for that of --max-req-timeout" more:"With --durability=disk or fsync deferred messages take next to no memory."`

	MaxHeartbeatInterval   time.Duration `section:"Clients" flag:"max-heartbeat-interval" usage:"longest heartbeat interval that a client may ask for"`
	MaxRdyCount            int64         `flag:"max-rdy-count" usage:"largest RDY count of a consumer"`
	MaxOutputBufferSize    int64         `flag:"max-output-buffer-size" usage:"largest output buffer in bytes that a client may ask for"`
	MaxOutputBufferTimeout time.Duration `flag:"max-output-buffer-timeout" usage:"longest output buffer timeout that a client may ask for"`
	MinOutputBufferTimeout time.Duration `flag:"min-output-buffer-timeout" usage:"shortest output buffer timeout that a client may ask for"`
	OutputBufferTimeout    time.Duration `flag:"output-buffer-timeout" usage:"longest time that a message waits in an output buffer, where the client asks for none"`
	MaxChannelConsumers    int           `flag:"max-channel-consumers" usage:"consumers that a channel may have; 0 for any number"`

	StatsdAddress          string        `section:"Statistics" flag:"statsd-address" usage:"host:port of a statsd daemon to which statistics are sent over UDP; empty for none"`
	StatsdPrefix           string        `flag:"statsd-prefix" usage:"start of every statsd name; %s becomes broadcast address and HTTP port"`
	StatsdInterval         time.Duration `flag:"statsd-interval" usage:"time between two rounds of statsd metrics, at least 1s"`
	StatsdMemStats         bool          `flag:"statsd-mem-stats" usage:"send memory and garbage collection statistics to statsd"`
	StatsdUDPPacketSize    int           `flag:"statsd-udp-packet-size" usage:"size in bytes up to which metrics share a packet"`
	StatsdExcludeEphemeral bool          `flag:"statsd-exclude-ephemeral" usage:"send no metrics of ephemeral topics and channels"`

	E2EProcessingLatencyPercentiles []float64     `flag:"e2e-processing-latency-percentile" cfg:"e2e_processing_latency_percentiles" usage:"percentiles in (0,1] of the time from publish to FIN that are kept for every channel" more:"For example 1.0, 0.99 and 0.95. Monitoring reads them by position."`
	E2EProcessingLatencyWindowTime  time.Duration `flag:"e2e-processing-latency-window-time" usage:"time that these percentiles cover"`

	Experiments []string `section:"Experiments" flag:"enable-experiment" words:"topology-aware-consumption" usage:"experiment to enable: topology-aware-consumption" more:"It serves consumers in the same zone, then those in the same region, before others."`
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		ID:        defaultNodeID(config.Hostname()),
		LogLevel:  logging.Level(slog.LevelInfo),
		LogFormat: logging.Text,
		LogPrefix: "[nsqd] ",

		TCPAddress:   "0.0.0.0:4150",
		HTTPAddress:  "0.0.0.0:4151",
		HTTPSAddress: "0.0.0.0:4152",

		AuthHTTPRequestMethod:    "get",
		HTTPClientConnectTimeout: 2 * time.Second,
		HTTPClientRequestTimeout: 5 * time.Second,

		TLSMinVersion:   tls.VersionTLS12,
		Deflate:         true,
		MaxDeflateLevel: 6,
		Snappy:          true,

		MemQueueSize:    10000,
		MaxBytesPerFile: 100 << 20,
		SyncEvery:       2500,
		SyncTimeout:     2 * time.Second,

		QueueScanWorkerPoolMax:  4,
		QueueScanSelectionCount: 20,

		MsgTimeout:    time.Minute,
		MaxMsgTimeout: 15 * time.Minute,
		MaxMsgSize:    1 << 20,
		MaxBodySize:   5 << 20,
		MaxReqTimeout: time.Hour,

		MaxHeartbeatInterval:   time.Minute,
		MaxRdyCount:            2500,
		MaxOutputBufferSize:    64 << 10,
		MaxOutputBufferTimeout: 30 * time.Second,
		MinOutputBufferTimeout: 25 * time.Millisecond,
		OutputBufferTimeout:    250 * time.Millisecond,

		StatsdPrefix:        "nsq.%s",
		StatsdInterval:      time.Minute,
		StatsdMemStats:      true,
		StatsdUDPPacketSize: 508,

		E2EProcessingLatencyWindowTime: 10 * time.Minute,
	}
}

// defaultNodeID is crc32(md5(hostname)) mod 1024, as nodes have always derived it.
func defaultNodeID(hostname string) int64 {
	sum := md5.Sum([]byte(hostname))
	return int64(crc32.ChecksumIEEE(sum[:]) % 1024)
}

// effective returns the options as they are in force, with what others imply
// and what depends on the machine filled in.
func (o *Options) effective() (*Options, error) {
	own := *o
	if own.DataPath == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		own.DataPath = dir
	}
	if own.Logger == nil {
		own.Logger = slog.New(slog.DiscardHandler)
	}
	own.MaxDeferTimeout = cmp.Or(own.MaxDeferTimeout, own.MaxReqTimeout)
	own.BroadcastAddress = cmp.Or(own.BroadcastAddress, config.Hostname())
	if own.TLSClientAuthPolicy != "" && own.TLSRequired == TLSNotRequired {
		own.TLSRequired = TLSRequiredAlways
	}
	return &own, nil
}
