// Command nsq_tail prints the messages of one or more topics to stdout, one
// line a message.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

func main() { tool.Main("nsq_tail", define) }

// options are what the flags say.
type options struct {
	topics      *tool.List
	channel     string // one for all topics; "" means one of its own
	limit       int    // of messages a topic; 0 means without limit
	printTopic  bool
	maxInFlight int
	sources     *tool.Sources
	consumer    *nsq.Config
}

func define(fs *flag.FlagSet) func(context.Context) error {
	o := newOptions(fs)
	return func(ctx context.Context) error {
		if err := o.complete(); err != nil {
			return err
		}
		return run(ctx, o, os.Stdout)
	}
}

func newOptions(fs *flag.FlagSet) *options {
	o := &options{consumer: nsq.NewConfig()}
	o.consumer.MaxAttempts = 0 // that a message often came and was not printed is no reason to drop it
	o.topics = tool.ListFlag(fs, "topic", "`topic` to print the messages of")
	fs.StringVar(&o.channel, "channel", "", "channel to subscribe to (default tailNNNNNN#ephemeral with six random digits)")
	fs.IntVar(&o.limit, "n", 0, "number of messages of a topic after which to stop, 0 for no limit")
	fs.BoolVar(&o.printTopic, "print-topic", false, "print the topic before each message")
	fs.IntVar(&o.maxInFlight, "max-in-flight", 200, "how many messages of a topic nsqd may send ahead")
	o.sources = tool.SourceFlags(fs)
	tool.ConsumerOptFlag(fs, &nsq.ConfigFlag{Config: o.consumer})
	return o
}

// complete checks the options and fills in what follows from them.
func (o *options) complete() error {
	if err := o.sources.Check(); err != nil {
		return err
	}
	switch {
	case len(*o.topics) == 0:
		return tool.ErrNoTopic
	case o.limit < 0:
		return errors.New("--n must not be below 0")
	case o.maxInFlight < 1:
		return errors.New("--max-in-flight must be at least 1")
	}
	if o.channel == "" {
		o.channel = fmt.Sprintf("tail%06d#ephemeral", rand.IntN(1e6))
	}
	o.consumer.MaxInFlight = o.maxInFlight
	if o.limit > 0 {
		o.consumer.MaxInFlight = min(o.limit, o.maxInFlight)
	}
	o.consumer.UserAgent = tool.UserAgent("nsq_tail", nsq.VERSION)
	return nil
}
