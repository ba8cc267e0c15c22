// Command to_nsq publishes what it reads from stdin, one message a line, to one
// or more nsqds.
package main

import (
	"context"
	"errors"
	"flag"
	"os"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

func main() { tool.Main("to_nsq", define) }

// options are what the flags say.
type options struct {
	topic     string
	nsqds     *tool.List
	delimiter string
	rate      int64 // messages per second; below 1 means without limit
	progress  bool
	producer  *nsq.Config
}

func define(fs *flag.FlagSet) func(context.Context) error {
	o := &options{producer: nsq.NewConfig()}
	fs.StringVar(&o.topic, "topic", "", "topic to publish to")
	o.nsqds = tool.ListFlag(fs, "nsqd-tcp-address", "`host:port` of an nsqd that gets every message")
	fs.StringVar(&o.delimiter, "delimiter", "\n", "the single `byte` that ends a message and is not part of it, as in --delimiter=, or --delimiter=$'\\t'; empty messages are skipped")
	fs.Int64Var(&o.rate, "rate", 0, "messages per second, below 1 for as many as possible")
	fs.BoolVar(&o.progress, "progress", false, "show messages, bytes, rate and elapsed time if stderr is a terminal")
	tool.ProducerOptFlag(fs, &nsq.ConfigFlag{Config: o.producer})
	return func(ctx context.Context) error {
		if err := o.validate(); err != nil {
			return err
		}
		o.producer.UserAgent = tool.UserAgent("to_nsq", nsq.VERSION)
		return run(ctx, o, os.Stdin)
	}
}

func (o *options) validate() error {
	switch {
	case o.topic == "":
		return tool.ErrNoTopic
	case len(o.delimiter) != 1:
		return errors.New("--delimiter must be a single byte")
	case len(*o.nsqds) == 0:
		return tool.ErrNoNSQD
	}
	return nil
}
