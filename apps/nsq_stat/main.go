// Command nsq_stat prints a line about a channel every few seconds: how fast
// messages come and go, and how many there are, on all its nsqds together.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed893f581e/nsq/internal/tool"
)

func main() { tool.Main("nsq_stat", define) }

// options are what the flags say.
type options struct {
	topic, channel  string
	interval        time.Duration
	count           count
	json            bool
	nsqds, lookupds *tool.List
	timeouts        *tool.HTTPTimeouts
}

func define(fs *flag.FlagSet) func(context.Context) error {
	o := newOptions(fs)
	return func(ctx context.Context) error {
		if err := o.validate(); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		return run(ctx, o, os.Stdout)
	}
}

func newOptions(fs *flag.FlagSet) *options {
	o := &options{}
	fs.StringVar(&o.topic, "topic", "", "`topic` of the channel")
	fs.StringVar(&o.channel, "channel", "", "`channel` to print the statistics of")
	fs.DurationVar(&o.interval, "interval", 2*time.Second, "how long to wait between two lines")
	fs.Var(&o.count, "count", "`number` of lines after which to stop (default without end)")
	fs.BoolVar(&o.json, "json", false, "print every line as a JSON object, and no headings")
	o.nsqds = tool.ListFlag(fs, "nsqd-http-address", "`host:port` of an nsqd that has the channel")
	o.lookupds = tool.ListFlag(fs, "lookupd-http-address", "`host:port` of an nsqlookupd that knows the nsqds")
	o.timeouts = tool.HTTPTimeoutFlags(fs, 2*time.Second, 5*time.Second)
	return o
}

func (o *options) validate() error {
	switch {
	case o.topic == "" || o.channel == "":
		return errors.New("--topic and --channel are required")
	case o.interval <= 0:
		return errors.New("--interval should be positive")
	case o.count.given && o.count.n < 1:
		return errors.New("--count should be positive")
	case len(*o.nsqds) == 0 && len(*o.lookupds) == 0:
		return errors.New("--nsqd-http-address or --lookupd-http-address required")
	case len(*o.nsqds) > 0 && len(*o.lookupds) > 0:
		return errors.New("use --nsqd-http-address or --lookupd-http-address not both")
	}
	return cmp.Or(
		o.timeouts.Check(),
		withoutScheme("nsqd-http-address", *o.nsqds),
		withoutScheme("lookupd-http-address", *o.lookupds),
	)
}

func withoutScheme(flag string, addresses []string) error {
	for _, addr := range addresses {
		if strings.Contains(addr, "://") {
			return fmt.Errorf("--%s error - address should not contain scheme", flag)
		}
	}
	return nil
}
