package nsqd

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
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
	return errors.Join(c...)
}

// optionChecks are the mistakes found so far.
type optionChecks []error

// that one option is as it must be; the text follows the flag.
func (c *optionChecks) that(ok bool, flag, format string, args ...any) {
	if !ok {
		*c = append(*c, &config.Mistake{Flags: []string{flag}, Text: "--" + flag + " " + fmt.Sprintf(format, args...)})
	}
}

// together tells whether several options go together.
func (c *optionChecks) together(ok bool, text string, flags ...string) {
	if !ok {
		*c = append(*c, &config.Mistake{Flags: flags, Text: text})
	}
}

// longestDuration leaves room for what is added to it: a time that far away can
// still be told.
const longestDuration = 100 * 365 * 24 * time.Hour

// duration is not less than least, for which positive and 0 have words.
func (c *optionChecks) duration(d, least time.Duration, flag string) {
	switch least {
	case 0:
		c.that(d >= 0, flag, "must not be negative, is %s", d)
	case positive:
		c.that(d > 0, flag, "must be positive, is %s", d)
	default:
		c.that(d >= least, flag, "must not be less than %s, is %s", least, d)
	}
	c.that(d <= longestDuration, flag, "must not be more than %s, is %s", longestDuration, d)
}

const positive = time.Nanosecond

// integer fits into an int, which on some systems is less than the option.
func (c *optionChecks) integer(n int64, flag string) {
	c.that(int64(int(n)) == n, flag, "must not be more than %d, is %d", math.MaxInt, n)
}

func (c *optionChecks) identity(o *Options) {
	c.that(o.ID >= 0 && o.ID < 1024, "node-id", "must be [0,1024), is %d", o.ID)
	c.that(validPort(o.BroadcastTCPPort), "broadcast-tcp-port", "must be [0,65535], is %d", o.BroadcastTCPPort)
	c.that(validPort(o.BroadcastHTTPPort), "broadcast-http-port", "must be [0,65535], is %d", o.BroadcastHTTPPort)
}

func (c *optionChecks) addresses(o *Options) {
	address := func(flag, value string, check func(string) error) {
		if err := check(value); err != nil {
			c.that(false, flag, "%v", err)
		}
	}
	address("tcp-address", o.TCPAddress, checkListenAddress)
	if o.HTTPAddress != "" {
		address("http-address", o.HTTPAddress, checkListenAddress)
	}
	if o.HTTPSAddress != "" {
		address("https-address", o.HTTPSAddress, func(s string) error { return checkHostPort(s, 0) })
	}
	for _, a := range o.LookupdTCPAddresses {
		address("lookupd-tcp-address", a, checkRemoteAddress)
	}
	for _, a := range o.AuthHTTPAddresses {
		address("auth-http-address", a, checkAuthAddress)
	}
	if o.StatsdAddress != "" {
		address("statsd-address", o.StatsdAddress, checkRemoteAddress)
	}
	c.that(o.AuthHTTPRequestMethod == "get" || o.AuthHTTPRequestMethod == "post", "auth-http-request-method", "must be post or get, is %q", o.AuthHTTPRequestMethod)
	c.together(!o.AuthRequired || len(o.AuthHTTPAddresses) > 0, "--auth-required needs an --auth-http-address", "auth-required", "auth-http-address")
	c.duration(o.HTTPClientConnectTimeout, positive, "http-client-connect-timeout")
	c.duration(o.HTTPClientRequestTimeout, positive, "http-client-request-timeout")
}

func (c *optionChecks) tls(o *Options) {
	policyKnown := o.TLSClientAuthPolicy == "" || o.TLSClientAuthPolicy == "require" || o.TLSClientAuthPolicy == "require-verify"
	c.that(policyKnown, "tls-client-auth-policy", "must be require or require-verify, is %q", o.TLSClientAuthPolicy)
	c.together((o.TLSCert == "") == (o.TLSKey == ""), "--tls-cert and --tls-key must be given together", "tls-cert", "tls-key")
	c.together(o.TLSCert != "" || o.TLSKey != "" || (o.TLSRequired == TLSNotRequired && o.TLSClientAuthPolicy == ""),
		"cannot require TLS client connections without TLS key and cert", "tls-required", "tls-client-auth-policy", "tls-cert", "tls-key")
	c.that(o.MaxDeflateLevel >= 1 && o.MaxDeflateLevel <= 9, "max-deflate-level", "must be [1,9], is %d", o.MaxDeflateLevel)
}

func (c *optionChecks) queues(o *Options) {
	c.that(o.MemQueueSize >= 0, "mem-queue-size", "must not be negative, is %d", o.MemQueueSize)
	c.integer(o.MemQueueSize, "mem-queue-size")
	c.that(o.MaxBytesPerFile > 0, "max-bytes-per-file", "must be positive, is %d", o.MaxBytesPerFile)
	c.that(o.SyncEvery >= 0, "sync-every", "must not be negative, is %d", o.SyncEvery)
	c.duration(o.SyncTimeout, positive, "sync-timeout")
	c.that(o.MinFreeDisk >= 0, "min-free-disk", "must not be negative, is %d", o.MinFreeDisk)
	c.that(o.QueueScanWorkerPoolMax > 0, "queue-scan-worker-pool-max", "must be positive, is %d", o.QueueScanWorkerPoolMax)
	c.that(o.QueueScanSelectionCount >= 0, "queue-scan-selection-count", "must not be negative, is %d", o.QueueScanSelectionCount)
}

func (c *optionChecks) messages(o *Options) {
	c.duration(o.MsgTimeout, positive, "msg-timeout")
	c.duration(o.MaxMsgTimeout, positive, "max-msg-timeout") // less than msg-timeout is allowed: it bounds what clients ask for
	c.that(o.MaxMsgSize > 0 && o.MaxMsgSize <= maxMsgSizeLimit, "max-msg-size", "must be [1,%d], is %d", maxMsgSizeLimit, o.MaxMsgSize)
	c.that(o.MaxBodySize > wire.SizeLen && o.MaxBodySize <= maxMsgSizeLimit, "max-body-size", "must be [%d,%d], is %d", wire.SizeLen+1, maxMsgSizeLimit, o.MaxBodySize)
	c.duration(o.MaxReqTimeout, 0, "max-req-timeout")
}

func (c *optionChecks) clients(o *Options) {
	c.duration(o.MaxHeartbeatInterval, minHeartbeatInterval, "max-heartbeat-interval")
	c.that(o.MaxRdyCount > 0, "max-rdy-count", "must be positive, is %d", o.MaxRdyCount)
	c.integer(o.MaxRdyCount, "max-rdy-count")
	c.that(o.MaxOutputBufferSize >= minOutputBufferSize, "max-output-buffer-size", "must not be less than %d, is %d", minOutputBufferSize, o.MaxOutputBufferSize)
	c.duration(o.MinOutputBufferTimeout, 0, "min-output-buffer-timeout")
	c.duration(o.MaxOutputBufferTimeout, 0, "max-output-buffer-timeout")
	c.duration(o.OutputBufferTimeout, positive, "output-buffer-timeout")
	c.that(o.MaxChannelConsumers >= 0, "max-channel-consumers", "must not be negative, is %d", o.MaxChannelConsumers)
	c.that(o.MaxConnections >= 0, "max-connections", "must not be negative, is %d", o.MaxConnections)
}

func (c *optionChecks) statistics(o *Options) {
	c.duration(o.StatsdInterval, time.Second, "statsd-interval")
	c.that(o.StatsdUDPPacketSize > 0 && o.StatsdUDPPacketSize <= 65507, "statsd-udp-packet-size", "must be [1,65507], is %d", o.StatsdUDPPacketSize)
	for _, p := range o.E2EProcessingLatencyPercentiles {
		c.together(p > 0 && p <= 1, fmt.Sprintf("invalid E2E processing latency percentile: %v", p), "e2e-processing-latency-percentile")
	}
	c.duration(o.E2EProcessingLatencyWindowTime, positive, "e2e-processing-latency-window-time")
}

func validPort(p int) bool { return p >= 0 && p <= 65535 }

// checkListenAddress takes host:port or the path of a unix socket.
func checkListenAddress(address string) error {
	_, _, err := net.SplitHostPort(address)
	switch {
	case address == "":
		return errors.New("must not be empty")
	case isSocketPath(address):
		return nil
	case err != nil:
		return fmt.Errorf("must be host:port or the path of a unix socket, is %q", address)
	}
	return checkHostPort(address, 0)
}

// isSocketPath tells the path of a unix socket from host:port: it says so by
// how it begins, or it is a word that cannot be an address without its port.
func isSocketPath(address string) bool {
	if strings.ContainsRune(address, 0) {
		return false
	}
	for _, start := range []string{"/", "./", "../", "@"} {
		if strings.HasPrefix(address, start) {
			return true
		}
	}
	digits := strings.Trim(address, "0123456789") == ""
	return !digits && !strings.ContainsAny(address, ":[]") && net.ParseIP(address) == nil && address != "localhost"
}

func checkRemoteAddress(address string) error { return checkHostPort(address, 1) }

// checkHostPort takes a port that is a number or, as listening and dialing do,
// the name of a service.
func checkHostPort(address string, minPort int) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("must be host:port, is %q", address)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n < minPort {
		return fmt.Errorf("must have a port in [%d,65535], is %q", minPort, address)
	}
	return nil
}

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

// isHost says whether a port can be put behind the host.
func isHost(host string) bool {
	return net.ParseIP(host) != nil || !strings.ContainsAny(host, ":/[]@ ")
}

// logDoubts warns of settings that are valid, but hardly what was meant.
func (o *Options) logDoubts() {
	doubt := func(doubtful bool, format string, args ...any) {
		if doubtful {
			o.Logger.Warn(fmt.Sprintf(format, args...))
		}
	}
	if o.MemQueueSize == 0 {
		o.Logger.Info("--mem-queue-size=0: messages wait on disk, which does not make them durable: what was written since the last fsync can be lost")
	}
	doubt(o.MaxMsgSize > o.MaxBodySize, "--max-msg-size %d is more than --max-body-size %d: such messages cannot be published in batches", o.MaxMsgSize, o.MaxBodySize)
	doubt(o.MsgTimeout > o.MaxMsgTimeout, "--msg-timeout %s is more than --max-msg-timeout %s: clients cannot extend it", o.MsgTimeout, o.MaxMsgTimeout)
	doubt(o.MinOutputBufferTimeout > o.MaxOutputBufferTimeout, "--min-output-buffer-timeout %s is more than --max-output-buffer-timeout %s: clients cannot choose any", o.MinOutputBufferTimeout, o.MaxOutputBufferTimeout)
	doubt(!isHost(o.BroadcastAddress), "--broadcast-address %q is not a host name or address: clients cannot connect to it", o.BroadcastAddress)
	doubt(o.TLSClientAuthPolicy == "require-verify" && o.TLSRootCAFile == "", "--tls-client-auth-policy=require-verify without --tls-root-ca-file: clients with a certificate of any public authority are let in")
	doubt(o.TLSCert == "" && o.TLSRootCAFile != "" && len(o.AuthHTTPAddresses) == 0, "--tls-root-ca-file has no effect without --tls-cert or an https --auth-http-address")
	doubt(o.TLSCert == "" && o.HTTPSAddress != "" && o.HTTPSAddress != NewOptions().HTTPSAddress, "--https-address has no effect without --tls-cert and --tls-key")
	doubt(len(o.LookupdTCPAddresses) > 0, "--lookupd-tcp-address: discovery is not part of this version yet, the addresses are only kept")
	for _, word := range o.Experiments {
		doubt(!slices.Contains(experiments, word), "--enable-experiment %s has no effect: it is not known", word)
	}
}
