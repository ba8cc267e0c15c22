package nsqd

import (
	"crypto/md5"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"time"

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
// anything starts, and nothing changes them afterwards. The flag tag names the
// command-line flag, cfg the TOML key where it is not the flag with '_' for '-'.
type Options struct {
	ID        int64        `flag:"node-id" cfg:"id"` // 0..1023, part of every message id
	LogLevel  string       `flag:"log-level"`
	LogPrefix string       `flag:"log-prefix"`
	Logger    *slog.Logger // where logs go; nil discards them

	TCPAddress        string `flag:"tcp-address"`  // host:port, or the path of a unix socket
	HTTPAddress       string `flag:"http-address"` // the same; empty for none
	BroadcastAddress  string `flag:"broadcast-address"`
	BroadcastTCPPort  int    `flag:"broadcast-tcp-port"`
	BroadcastHTTPPort int    `flag:"broadcast-http-port"`
	TopologyRegion    string `flag:"topology-region"`
	TopologyZone      string `flag:"topology-zone"`

	DataPath        string        `flag:"data-path"` // empty is the current directory
	MemQueueSize    int64         `flag:"mem-queue-size"`
	MaxBytesPerFile int64         `flag:"max-bytes-per-file"`
	SyncEvery       int64         `flag:"sync-every"`
	SyncTimeout     time.Duration `flag:"sync-timeout"`

	QueueScanWorkerPoolMax  int `flag:"queue-scan-worker-pool-max"`
	QueueScanSelectionCount int `flag:"queue-scan-selection-count"` // accepted for old configurations; no scan samples channels

	MsgTimeout    time.Duration `flag:"msg-timeout"`
	MaxMsgTimeout time.Duration `flag:"max-msg-timeout"`
	MaxMsgSize    int64         `flag:"max-msg-size"`
	MaxBodySize   int64         `flag:"max-body-size"`
	MaxReqTimeout time.Duration `flag:"max-req-timeout"`

	MaxHeartbeatInterval   time.Duration `flag:"max-heartbeat-interval"`
	MaxRdyCount            int64         `flag:"max-rdy-count"`
	MaxOutputBufferSize    int64         `flag:"max-output-buffer-size"`
	MaxOutputBufferTimeout time.Duration `flag:"max-output-buffer-timeout"`
	MinOutputBufferTimeout time.Duration `flag:"min-output-buffer-timeout"`
	OutputBufferTimeout    time.Duration `flag:"output-buffer-timeout"`
	MaxChannelConsumers    int           `flag:"max-channel-consumers"` // per channel; 0 is unlimited
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	return &Options{
		ID:        defaultNodeID(hostname),
		LogLevel:  "info",
		LogPrefix: "[nsqd] ",

		TCPAddress:       "0.0.0.0:4150",
		HTTPAddress:      "0.0.0.0:4151",
		BroadcastAddress: hostname,

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
	check(o.ID >= 0 && o.ID < 1024, "--node-id %d: must be [0,1024)", o.ID)
	check(o.TCPAddress != "", "--tcp-address must not be empty")
	check(validPort(o.BroadcastTCPPort), "--broadcast-tcp-port %d: must be [0,65535]", o.BroadcastTCPPort)
	check(validPort(o.BroadcastHTTPPort), "--broadcast-http-port %d: must be [0,65535]", o.BroadcastHTTPPort)
	check(o.MemQueueSize >= 0, "--mem-queue-size %d: must not be negative", o.MemQueueSize)
	check(o.MaxBytesPerFile > 0, "--max-bytes-per-file %d: must be positive", o.MaxBytesPerFile)
	check(o.SyncEvery >= 0, "--sync-every %d: must not be negative", o.SyncEvery)
	check(o.SyncTimeout > 0, "--sync-timeout %s: must be positive", o.SyncTimeout)
	check(o.QueueScanWorkerPoolMax > 0, "--queue-scan-worker-pool-max %d: must be positive", o.QueueScanWorkerPoolMax)
	check(o.QueueScanSelectionCount > 0, "--queue-scan-selection-count %d: must be positive", o.QueueScanSelectionCount)
	check(o.MsgTimeout > 0, "--msg-timeout %s: must be positive", o.MsgTimeout)
	check(o.MaxMsgTimeout >= o.MsgTimeout, "--max-msg-timeout %s: must not be less than --msg-timeout %s", o.MaxMsgTimeout, o.MsgTimeout)
	check(o.MaxMsgSize > 0 && o.MaxMsgSize <= maxMsgSizeLimit, "--max-msg-size %d: must be [1,%d]", o.MaxMsgSize, maxMsgSizeLimit)
	check(o.MaxBodySize > wire.SizeLen && o.MaxBodySize <= maxMsgSizeLimit, "--max-body-size %d: must be [%d,%d]", o.MaxBodySize, wire.SizeLen+1, maxMsgSizeLimit)
	check(o.MaxReqTimeout >= 0, "--max-req-timeout %s: must not be negative", o.MaxReqTimeout)
	check(o.MaxHeartbeatInterval >= minHeartbeatInterval, "--max-heartbeat-interval %s: must not be less than %s", o.MaxHeartbeatInterval, minHeartbeatInterval)
	check(o.MaxRdyCount > 0, "--max-rdy-count %d: must be positive", o.MaxRdyCount)
	check(o.MaxOutputBufferSize >= minOutputBufferSize, "--max-output-buffer-size %d: must not be less than %d", o.MaxOutputBufferSize, minOutputBufferSize)
	check(o.MinOutputBufferTimeout >= 0, "--min-output-buffer-timeout %s: must not be negative", o.MinOutputBufferTimeout)
	check(o.MaxOutputBufferTimeout >= o.MinOutputBufferTimeout, "--max-output-buffer-timeout %s: must not be less than --min-output-buffer-timeout %s", o.MaxOutputBufferTimeout, o.MinOutputBufferTimeout)
	check(o.OutputBufferTimeout > 0, "--output-buffer-timeout %s: must be positive", o.OutputBufferTimeout)
	check(o.MaxChannelConsumers >= 0, "--max-channel-consumers %d: must not be negative", o.MaxChannelConsumers)
	return errors.Join(errs...)
}

// maxMsgSizeLimit keeps every size, headers included, within the int32 of the protocol.
const maxMsgSizeLimit = 1 << 30

func validPort(p int) bool { return p >= 0 && p <= 65535 }
