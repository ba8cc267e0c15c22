package nsqd

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/wire"
)

// maxMsgSizeLimit keeps every size, headers included, within the int32 of the protocol.
const maxMsgSizeLimit = 1 << 30

// experiments are those that --enable-experiment knows.
var experiments = []string{topologyAware}

// Validate reports every mistake at once, in the words of the command line.
// Each of the joined errors is a *config.Mistake.
func (o *Options) Validate() error {
	var c optionChecks
	c.identity(o)
	c.addresses(o)
	c.tls(o)
	c.queues(o)
	c.messages(o)
	c.clients(o)
	c.statistics(o)
	return c.Err()
}

// optionChecks are the mistakes found so far.
type optionChecks struct{ config.Checks }

func (c *optionChecks) identity(o *Options) {
	c.That(o.ID >= 0 && o.ID < 1024, "node-id", "must be [0,1024), is %d", o.ID)
	c.That(validPort(o.BroadcastTCPPort), "broadcast-tcp-port", "must be [0,65535], is %d", o.BroadcastTCPPort)
	c.That(validPort(o.BroadcastHTTPPort), "broadcast-http-port", "must be [0,65535], is %d", o.BroadcastHTTPPort)
}

func (c *optionChecks) addresses(o *Options) {
	c.Address(o.TCPAddress, "tcp-address", config.CheckListenAddress)
	if o.HTTPAddress != "" {
		c.Address(o.HTTPAddress, "http-address", config.CheckListenAddress)
	}
	if o.HTTPSAddress != "" {
		c.Address(o.HTTPSAddress, "https-address", func(s string) error { return config.CheckHostPort(s, 0) })
	}
	for _, a := range o.LookupdTCPAddresses {
		c.Address(a, "lookupd-tcp-address", checkRemoteAddress)
	}
	for _, a := range o.AuthHTTPAddresses {
		c.Address(a, "auth-http-address", checkAuthAddress)
	}
	if o.StatsdAddress != "" {
		c.Address(o.StatsdAddress, "statsd-address", checkRemoteAddress)
	}
	c.That(o.AuthHTTPRequestMethod == "get" || o.AuthHTTPRequestMethod == "post", "auth-http-request-method", "must be post or get, is %q", o.AuthHTTPRequestMethod)
	c.Together(!o.AuthRequired || len(o.AuthHTTPAddresses) > 0, "--auth-required needs an --auth-http-address", "auth-required", "auth-http-address")
	c.Duration(o.HTTPClientConnectTimeout, config.Positive, "http-client-connect-timeout")
	c.Duration(o.HTTPClientRequestTimeout, config.Positive, "http-client-request-timeout")
}

func (c *optionChecks) tls(o *Options) {
	policyKnown := o.TLSClientAuthPolicy == "" || o.TLSClientAuthPolicy == "require" || o.TLSClientAuthPolicy == "require-verify"
	c.That(policyKnown, "tls-client-auth-policy", "must be require or require-verify, is %q", o.TLSClientAuthPolicy)
	c.Together((o.TLSCert == "") == (o.TLSKey == ""), "--tls-cert and --tls-key must be given together", "tls-cert", "tls-key")
	c.Together(o.TLSCert != "" || o.TLSKey != "" || (o.TLSRequired == TLSNotRequired && o.TLSClientAuthPolicy == ""),
		"cannot require TLS client connections without TLS key and cert", "tls-required", "tls-client-auth-policy", "tls-cert", "tls-key")
	c.That(o.MaxDeflateLevel >= 1 && o.MaxDeflateLevel <= 9, "max-deflate-level", "must be [1,9], is %d", o.MaxDeflateLevel)
}

func (c *optionChecks) queues(o *Options) {
	c.That(o.MemQueueSize >= 0, "mem-queue-size", "must not be negative, is %d", o.MemQueueSize)
	c.Integer(o.MemQueueSize, "mem-queue-size")
	c.That(o.MaxBytesPerFile > 0, "max-bytes-per-file", "must be positive, is %d", o.MaxBytesPerFile)
	c.That(o.SyncEvery >= 0, "sync-every", "must not be negative, is %d", o.SyncEvery)
	c.Duration(o.SyncTimeout, config.Positive, "sync-timeout")
	c.That(o.MinFreeDisk >= 0, "min-free-disk", "must not be negative, is %d", o.MinFreeDisk)
	c.That(o.QueueScanWorkerPoolMax > 0, "queue-scan-worker-pool-max", "must be positive, is %d", o.QueueScanWorkerPoolMax)
	c.That(o.QueueScanSelectionCount >= 0, "queue-scan-selection-count", "must not be negative, is %d", o.QueueScanSelectionCount)
}

func (c *optionChecks) messages(o *Options) {
	c.Duration(o.MsgTimeout, config.Positive, "msg-timeout")
	c.Duration(o.MaxMsgTimeout, config.Positive, "max-msg-timeout") // less than msg-timeout is allowed: it bounds what clients ask for
	c.That(o.MaxMsgSize > 0 && o.MaxMsgSize <= maxMsgSizeLimit, "max-msg-size", "must be [1,%d], is %d", maxMsgSizeLimit, o.MaxMsgSize)
	c.That(o.MaxBodySize > wire.SizeLen && o.MaxBodySize <= maxMsgSizeLimit, "max-body-size", "must be [%d,%d], is %d", wire.SizeLen+1, maxMsgSizeLimit, o.MaxBodySize)
	c.Duration(o.MaxReqTimeout, 0, "max-req-timeout")
	c.Duration(o.MaxDeferTimeout, 0, "max-defer-timeout")
	c.Duration(o.DrainOnTerm, 0, "drain-on-term")
}

func (c *optionChecks) clients(o *Options) {
	c.Duration(o.MaxHeartbeatInterval, minHeartbeatInterval, "max-heartbeat-interval")
	c.That(o.MaxRdyCount > 0, "max-rdy-count", "must be positive, is %d", o.MaxRdyCount)
	c.Integer(o.MaxRdyCount, "max-rdy-count")
	c.That(o.MaxOutputBufferSize >= minOutputBufferSize, "max-output-buffer-size", "must not be less than %d, is %d", minOutputBufferSize, o.MaxOutputBufferSize)
	c.Duration(o.MinOutputBufferTimeout, 0, "min-output-buffer-timeout")
	c.Duration(o.MaxOutputBufferTimeout, 0, "max-output-buffer-timeout")
	c.Duration(o.OutputBufferTimeout, config.Positive, "output-buffer-timeout")
	c.That(o.MaxChannelConsumers >= 0, "max-channel-consumers", "must not be negative, is %d", o.MaxChannelConsumers)
	c.That(o.MaxConnections >= 0, "max-connections", "must not be negative, is %d", o.MaxConnections)
}

func (c *optionChecks) statistics(o *Options) {
	c.Duration(o.StatsdInterval, time.Second, "statsd-interval")
	c.That(o.StatsdUDPPacketSize > 0 && o.StatsdUDPPacketSize <= 65507, "statsd-udp-packet-size", "must be [1,65507], is %d", o.StatsdUDPPacketSize)
	for _, p := range o.E2EProcessingLatencyPercentiles {
		c.Together(p > 0 && p <= 1, fmt.Sprintf("invalid E2E processing latency percentile: %v", p), "e2e-processing-latency-percentile")
	}
	c.Duration(o.E2EProcessingLatencyWindowTime, config.Positive, "e2e-processing-latency-window-time")
}

func validPort(p int) bool { return p >= 0 && p <= 65535 }

// checkRemoteAddress takes an address to connect to.
func checkRemoteAddress(address string) error { return config.CheckHostPort(address, 1) }

// checkAuthAddress takes host:port or a whole URL.
func checkAuthAddress(address string) error {
	full := address
	if !strings.Contains(address, "://") {
		if err := checkRemoteAddress(address); err != nil {
			return err
		}
		full = "http://" + address
	}
	u, err := url.Parse(full)
	switch {
	case err != nil: // which would show a password that may be in there
		return errors.New("must be host:port or a URL that can be parsed")
	case (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return fmt.Errorf("must be host:port or an http or https URL, is %q", u.Redacted())
	case u.Port() != "":
		return checkRemoteAddress(u.Host)
	}
	return nil
}

// logDoubts warns of settings that are valid, but hardly what was meant.
func (o *Options) logDoubts() {
	doubt := func(doubtful bool, format string, args ...any) {
		if doubtful {
			o.Logger.Warn(fmt.Sprintf(format, args...))
		}
	}
	doubt(o.MemQueueSize == 0 && o.Durability == Memory, "--mem-queue-size=0 alone makes nothing durable: messages wait on disk, but a crash can lose what was acknowledged; --durability=disk or fsync keeps it")
	doubt(o.MaxMsgSize > o.MaxBodySize, "--max-msg-size %d is more than --max-body-size %d: such messages cannot be published in batches", o.MaxMsgSize, o.MaxBodySize)
	doubt(o.MsgTimeout > o.MaxMsgTimeout, "--msg-timeout %s is more than --max-msg-timeout %s: clients cannot extend it", o.MsgTimeout, o.MaxMsgTimeout)
	doubt(o.MinOutputBufferTimeout > o.MaxOutputBufferTimeout, "--min-output-buffer-timeout %s is more than --max-output-buffer-timeout %s: clients cannot choose any", o.MinOutputBufferTimeout, o.MaxOutputBufferTimeout)
	doubt(!config.IsHost(o.BroadcastAddress), "--broadcast-address %q is not a host name or address: clients cannot connect to it", o.BroadcastAddress)
	doubt(o.TLSClientAuthPolicy == "require-verify" && o.TLSRootCAFile == "", "--tls-client-auth-policy=require-verify without --tls-root-ca-file: clients with a certificate of any public authority are let in")
	doubt(o.TLSCert == "" && o.TLSRootCAFile != "" && len(o.AuthHTTPAddresses) == 0, "--tls-root-ca-file has no effect without --tls-cert or an https --auth-http-address")
	doubt(o.TLSCert == "" && o.HTTPSAddress != "" && o.HTTPSAddress != NewOptions().HTTPSAddress, "--https-address has no effect without --tls-cert and --tls-key")
	if len(o.LookupdTCPAddresses) > 0 {
		noPort := "--%s without --broadcast-%s-port: nsqlookupds refuse a node without this port"
		doubt(sockets.IsPath(o.TCPAddress) && o.BroadcastTCPPort == 0, noPort, "tcp-address="+o.TCPAddress, "tcp")
		doubt((o.HTTPAddress == "" || sockets.IsPath(o.HTTPAddress)) && o.BroadcastHTTPPort == 0, noPort, "http-address="+o.HTTPAddress, "http")
	}
	for _, word := range o.Experiments {
		doubt(!slices.Contains(experiments, word), "--enable-experiment %s has no effect: it is not known", word)
	}
}
