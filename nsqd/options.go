package nsqd

import (
	"crypto/md5"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Fixed by the protocol, without a flag.
const (
	defaultHeartbeatInterval = 30 * time.Second
	minHeartbeatInterval     = time.Second
	minClientMsgTimeout      = time.Second
	minOutputBufferSize      = 64
	defaultOutputBufferSize  = 16 << 10
	magicTimeout             = 10 * time.Second // from accept to the last byte of the magic
)

// Options configure an NSQD. They are plain data: Validate checks them before
// anything starts, and nothing changes them afterwards. The tags are those of
// package config; the usage texts say what an option means.
type Options struct {
	ID        int64         `flag:"node-id" cfg:"id" usage:"this node's part of every message id, [0,1024); the default comes from the hostname"`
	LogLevel  logging.Level `flag:"log-level" usage:"least level that is logged: debug, info, warn, error or fatal"`
	LogPrefix string        `flag:"log-prefix" usage:"text at the start of every log line"`
	Logger    *slog.Logger  // where logs go; nil discards them

	TCPAddress        string `flag:"tcp-address" usage:"listen for clients on this host:port or unix socket"`
	HTTPAddress       string `flag:"http-address" usage:"listen for HTTP on this host:port or unix socket; empty for none"`
	HTTPSAddress      string `flag:"https-address" usage:"listen for HTTPS on this host:port where there is a certificate; empty for none"`
	BroadcastAddress  string `flag:"broadcast-address" usage:"host under which clients reach this node"`
	BroadcastTCPPort  int    `flag:"broadcast-tcp-port" usage:"TCP port under which clients reach this node; 0 for the port listened on"`
	BroadcastHTTPPort int    `flag:"broadcast-http-port" usage:"HTTP port under which clients reach this node; 0 for the port listened on"`
	TopologyRegion    string `flag:"topology-region" usage:"region in which this node runs"`
	TopologyZone      string `flag:"topology-zone" usage:"zone in which this node runs"`
	MaxConnections    int    `flag:"max-connections" usage:"clients and HTTP connections at a time; 0 for as many as the limit of open files allows beside a reserve for queues"`

	LookupdTCPAddresses []string `flag:"lookupd-tcp-address" cfg:"nsqlookupd_tcp_addresses" usage:"host:port of an nsqlookupd; may be given several times"`

	AuthHTTPAddresses        []string      `flag:"auth-http-address" cfg:"auth_http_addresses" usage:"host:port or URL of an auth server, which then decides what clients may do; may be given several times"`
	AuthHTTPRequestMethod    string        `flag:"auth-http-request-method" usage:"how auth servers are asked: get or post; post keeps secrets out of their access logs"`
	AuthRequired             bool          `flag:"auth-required" usage:"publishing over HTTP needs a secret that the auth servers accept, too"`
	HTTPClientConnectTimeout time.Duration `flag:"http-client-connect-timeout" usage:"time in which an auth server or nsqlookupd must accept a connection"`
	HTTPClientRequestTimeout time.Duration `flag:"http-client-request-timeout" usage:"time in which an auth server or nsqlookupd must answer"`

	TLSCert             string      `flag:"tls-cert" usage:"PEM file of the certificate (chain) with which clients and HTTPS are served"`
	TLSKey              string      `flag:"tls-key" usage:"PEM file of the certificate's key"`
	TLSClientAuthPolicy string      `flag:"tls-client-auth-policy" usage:"certificates of clients: require for any, require-verify for one of --tls-root-ca-file; either implies --tls-required"`
	TLSRootCAFile       string      `flag:"tls-root-ca-file" usage:"PEM file of the authorities that certificates of clients and auth servers are checked against"`
	TLSRequired         TLSRequired `flag:"tls-required" usage:"clients must use TLS: true, false, or tcp-https to except plain HTTP"`
	TLSMinVersion       TLSVersion  `flag:"tls-min-version" usage:"oldest TLS version that is accepted: tls1.0, tls1.1, tls1.2 or tls1.3"`
	Deflate             bool        `flag:"deflate" usage:"offer deflate compression to clients"`
	MaxDeflateLevel     int         `flag:"max-deflate-level" usage:"highest deflate level that a client may ask for, [1,9]"`
	Snappy              bool        `flag:"snappy" usage:"offer snappy compression to clients"`

	DataPath        string        `flag:"data-path" usage:"existing directory for queues and metadata; empty for the current directory"`
	MemQueueSize    int64         `flag:"mem-queue-size" usage:"messages that each topic and each channel keeps in memory before it uses the disk"`
	MaxBytesPerFile int64         `flag:"max-bytes-per-file" usage:"size in bytes at which a disk queue begins a new file"`
	SyncEvery       int64         `flag:"sync-every" usage:"reads and writes of a disk queue between two fsyncs"`
	SyncTimeout     time.Duration `flag:"sync-timeout" usage:"longest time between two fsyncs of a disk queue that is in use"`

	QueueScanWorkerPoolMax  int `flag:"queue-scan-worker-pool-max" usage:"goroutines that requeue what timed out and release what was deferred"`
	QueueScanSelectionCount int `flag:"queue-scan-selection-count" usage:"no effect, all channels are scanned; kept for existing configurations"`

	MsgTimeout    time.Duration `flag:"msg-timeout" usage:"time in which a consumer must answer a message"`
	MaxMsgTimeout time.Duration `flag:"max-msg-timeout" usage:"longest message timeout that a client may ask for, and longest time that TOUCH can add up to"`
	MaxMsgSize    int64         `flag:"max-msg-size" usage:"size in bytes of the largest message"`
	MaxBodySize   int64         `flag:"max-body-size" usage:"size in bytes of the largest command body"`
	MaxReqTimeout time.Duration `flag:"max-req-timeout" usage:"longest delay for requeued and deferred messages"`

	MaxHeartbeatInterval   time.Duration `flag:"max-heartbeat-interval" usage:"longest heartbeat interval that a client may ask for"`
	MaxRdyCount            int64         `flag:"max-rdy-count" usage:"largest RDY count of a consumer"`
	MaxOutputBufferSize    int64         `flag:"max-output-buffer-size" usage:"largest output buffer in bytes that a client may ask for"`
	MaxOutputBufferTimeout time.Duration `flag:"max-output-buffer-timeout" usage:"longest output buffer timeout that a client may ask for"`
	MinOutputBufferTimeout time.Duration `flag:"min-output-buffer-timeout" usage:"shortest output buffer timeout that a client may ask for"`
	OutputBufferTimeout    time.Duration `flag:"output-buffer-timeout" usage:"longest time that a message waits in an output buffer, where the client asks for none"`
	MaxChannelConsumers    int           `flag:"max-channel-consumers" usage:"consumers that a channel may have; 0 for any number"`

	StatsdAddress          string        `flag:"statsd-address" usage:"host:port of a statsd daemon to which statistics are sent over UDP; empty for none"`
	StatsdPrefix           string        `flag:"statsd-prefix" usage:"start of every statsd name; %s becomes broadcast address and HTTP port"`
	StatsdInterval         time.Duration `flag:"statsd-interval" usage:"time between two rounds of statsd metrics"`
	StatsdMemStats         bool          `flag:"statsd-mem-stats" usage:"send memory and garbage collection statistics to statsd"`
	StatsdUDPPacketSize    int           `flag:"statsd-udp-packet-size" usage:"size in bytes up to which metrics share a packet"`
	StatsdExcludeEphemeral bool          `flag:"statsd-exclude-ephemeral" usage:"send no metrics of ephemeral topics and channels"`

	E2EProcessingLatencyPercentiles []float64     `flag:"e2e-processing-latency-percentile" cfg:"e2e_processing_latency_percentiles" usage:"percentiles in (0,1] of the time from publish to FIN that are kept, with commas or given several times"`
	E2EProcessingLatencyWindowTime  time.Duration `flag:"e2e-processing-latency-window-time" usage:"time that these percentiles cover"`

	Experiments []string `flag:"enable-experiment" usage:"experiment to enable: topology-aware-consumption; may be given several times"`
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	return &Options{
		ID:        defaultNodeID(hostname),
		LogLevel:  logging.Level(slog.LevelInfo),
		LogPrefix: "[nsqd] ",

		TCPAddress:       "0.0.0.0:4150",
		HTTPAddress:      "0.0.0.0:4151",
		HTTPSAddress:     "0.0.0.0:4152",
		BroadcastAddress: hostname,

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

// Validate reports every mistake at once, in the words of the command line.
func (o *Options) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.ID >= 0 && o.ID < 1024, "--node-id must be [0,1024), is %d", o.ID)
	check(o.TCPAddress != "", "--tcp-address must not be empty")
	check(validPort(o.BroadcastTCPPort), "--broadcast-tcp-port must be [0,65535], is %d", o.BroadcastTCPPort)
	check(validPort(o.BroadcastHTTPPort), "--broadcast-http-port must be [0,65535], is %d", o.BroadcastHTTPPort)
	check(o.MemQueueSize >= 0, "--mem-queue-size must not be negative, is %d", o.MemQueueSize)
	check(o.MaxBytesPerFile > 0, "--max-bytes-per-file must be positive, is %d", o.MaxBytesPerFile)
	check(o.SyncEvery >= 0, "--sync-every must not be negative, is %d", o.SyncEvery)
	check(o.SyncTimeout > 0, "--sync-timeout must be positive, is %s", o.SyncTimeout)
	check(o.QueueScanWorkerPoolMax > 0, "--queue-scan-worker-pool-max must be positive, is %d", o.QueueScanWorkerPoolMax)
	check(o.QueueScanSelectionCount >= 0, "--queue-scan-selection-count must not be negative, is %d", o.QueueScanSelectionCount)
	check(o.MsgTimeout > 0, "--msg-timeout must be positive, is %s", o.MsgTimeout)
	check(o.MaxMsgTimeout > 0, "--max-msg-timeout must be positive, is %s", o.MaxMsgTimeout) // less than msg-timeout is fine: it bounds what clients ask for
	check(o.MaxMsgSize > 0 && o.MaxMsgSize <= maxMsgSizeLimit, "--max-msg-size must be [1,%d], is %d", maxMsgSizeLimit, o.MaxMsgSize)
	check(o.MaxBodySize > wire.SizeLen && o.MaxBodySize <= maxMsgSizeLimit, "--max-body-size must be [%d,%d], is %d", wire.SizeLen+1, maxMsgSizeLimit, o.MaxBodySize)
	check(o.MaxReqTimeout >= 0, "--max-req-timeout must not be negative, is %s", o.MaxReqTimeout)
	check(o.MaxHeartbeatInterval >= minHeartbeatInterval, "--max-heartbeat-interval must not be less than %s, is %s", minHeartbeatInterval, o.MaxHeartbeatInterval)
	check(o.MaxRdyCount > 0, "--max-rdy-count must be positive, is %d", o.MaxRdyCount)
	check(o.MaxOutputBufferSize >= minOutputBufferSize, "--max-output-buffer-size must not be less than %d, is %d", minOutputBufferSize, o.MaxOutputBufferSize)
	check(o.MinOutputBufferTimeout >= 0, "--min-output-buffer-timeout must not be negative, is %s", o.MinOutputBufferTimeout)
	check(o.MaxOutputBufferTimeout >= 0, "--max-output-buffer-timeout must not be negative, is %s", o.MaxOutputBufferTimeout)
	check(o.OutputBufferTimeout > 0, "--output-buffer-timeout must be positive, is %s", o.OutputBufferTimeout)
	check(o.MaxConnections >= 0, "--max-connections must not be negative, is %d", o.MaxConnections)
	check(o.HTTPClientConnectTimeout > 0, "--http-client-connect-timeout must be positive, is %s", o.HTTPClientConnectTimeout)
	check(o.HTTPClientRequestTimeout > 0, "--http-client-request-timeout must be positive, is %s", o.HTTPClientRequestTimeout)
	check(o.AuthHTTPRequestMethod == "get" || o.AuthHTTPRequestMethod == "post", "--auth-http-request-method must be post or get, is %q", o.AuthHTTPRequestMethod)
	check(!o.AuthRequired || len(o.AuthHTTPAddresses) > 0, "--auth-required needs an --auth-http-address")
	check((o.TLSCert == "") == (o.TLSKey == ""), "--tls-cert and --tls-key must be given together")
	check(o.TLSClientAuthPolicy == "" || o.TLSClientAuthPolicy == "require" || o.TLSClientAuthPolicy == "require-verify",
		"--tls-client-auth-policy must be require or require-verify, is %q", o.TLSClientAuthPolicy)
	check(o.TLSCert != "" || (o.TLSRequired == TLSNotRequired && o.TLSClientAuthPolicy == ""),
		"cannot require TLS client connections without TLS key and cert")
	check(o.MaxDeflateLevel >= 1 && o.MaxDeflateLevel <= 9, "--max-deflate-level must be [1,9], is %d", o.MaxDeflateLevel)
	check(o.StatsdInterval >= time.Second, "--statsd-interval must not be less than 1s, is %s", o.StatsdInterval)
	check(o.StatsdUDPPacketSize > 0 && o.StatsdUDPPacketSize <= 65507, "--statsd-udp-packet-size must be [1,65507], is %d", o.StatsdUDPPacketSize)
	for _, p := range o.E2EProcessingLatencyPercentiles {
		check(p > 0 && p <= 1, "invalid E2E processing latency percentile: %v", p)
	}
	check(o.E2EProcessingLatencyWindowTime > 0, "--e2e-processing-latency-window-time must be positive, is %s", o.E2EProcessingLatencyWindowTime)
	check(o.MaxChannelConsumers >= 0, "--max-channel-consumers must not be negative, is %d", o.MaxChannelConsumers)
	return errors.Join(errs...)
}

// maxMsgSizeLimit keeps every size, headers included, within the int32 of the protocol.
const maxMsgSizeLimit = 1 << 30

func validPort(p int) bool { return p >= 0 && p <= 65535 }
