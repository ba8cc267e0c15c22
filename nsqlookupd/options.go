package nsqlookupd

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
)

// Options configure an NSQLookupd. They are plain data: Validate checks them
// before anything starts, and nothing changes them afterwards. The tags are
// those of package config; the usage texts say what an option means.
type Options struct {
	LogLevel  logging.Level  `section:"Log" flag:"log-level" words:"debug info warn error fatal" usage:"least level that is logged: debug, info, warn, error or fatal"`
	LogFormat logging.Format `flag:"log-format" words:"text json" usage:"how log lines look: text, or json for one object a line"`
	LogPrefix string         `flag:"log-prefix" usage:"start of every log line in format text"`
	Logger    *slog.Logger   // where logs go; nil discards them

	TCPAddress       string `section:"Addresses" flag:"tcp-address" usage:"listen for nsqd on this host:port"`
	HTTPAddress      string `flag:"http-address" usage:"listen for HTTP on this host:port: for consumers, nsqadmin and everybody else who looks up"`
	BroadcastAddress string `flag:"broadcast-address" usage:"host under which every nsqd reaches --http-address; empty for the hostname" more:"An nsqd asks there for the channels of a new topic. In a container the hostname is a name that nobody else can resolve." example:"nsqlookupd-1.example.com"`

	InactiveProducerTimeout time.Duration `section:"Who is listed" flag:"inactive-producer-timeout" usage:"time without a ping after which an nsqd is not listed any more" more:"Each sends one every 15s, and one that closes its connection goes at once: this is for machines and networks that are cut off."`
	TombstoneLifetime       time.Duration `flag:"tombstone-lifetime" usage:"time for which a tombstone hides an nsqd as producer of a topic" more:"So consumers let go of it before the topic is deleted there (POST /topic/tombstone)."`
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		LogLevel:  logging.Level(slog.LevelInfo),
		LogFormat: logging.Text,
		LogPrefix: "[nsqlookupd] ",

		TCPAddress:       "0.0.0.0:4160",
		HTTPAddress:      "0.0.0.0:4161",
		BroadcastAddress: config.Hostname(),

		InactiveProducerTimeout: 5 * time.Minute,
		TombstoneLifetime:       45 * time.Second,
	}
}

// Validate reports every mistake at once, in the words of the command line.
// Each of the joined errors is a *config.Mistake.
func (o *Options) Validate() error {
	var c config.Checks
	hostPort := func(address string) error { return config.CheckHostPort(address, 0) }
	c.Address(o.TCPAddress, "tcp-address", hostPort)
	c.Address(o.HTTPAddress, "http-address", hostPort)
	c.Duration(o.InactiveProducerTimeout, config.Positive, "inactive-producer-timeout")
	c.Duration(o.TombstoneLifetime, 0, "tombstone-lifetime")
	return c.Err()
}

// effective returns the options as they are in force, with what depends on the
// machine filled in.
func (o *Options) effective() *Options {
	own := *o
	if own.Logger == nil {
		own.Logger = slog.New(slog.DiscardHandler)
	}
	own.BroadcastAddress = cmp.Or(own.BroadcastAddress, config.Hostname())
	return &own
}

// pingInterval is how often an nsqd says that it is there.
const pingInterval = 15 * time.Second

// logDoubts warns of settings that are valid, but hardly what was meant.
func (o *Options) logDoubts() {
	doubt := func(doubtful bool, format string, args ...any) {
		if doubtful {
			o.Logger.Warn(fmt.Sprintf(format, args...))
		}
	}
	doubt(!config.IsHost(o.BroadcastAddress), "--broadcast-address %q is not a host name or address: no nsqd can ask for the channels of its topics", o.BroadcastAddress)
	doubt(o.InactiveProducerTimeout <= pingInterval, "--inactive-producer-timeout %s is not more than the %s between two pings of an nsqd: it is not listed all the time", o.InactiveProducerTimeout, pingInterval)
}
