// Command nsq_to_nsq publishes the messages of one or more topics to other nsqds:
// all of them or those with a certain field, whole or in part.
package main

import (
	"context"
	"errors"
	"flag"
	"slices"

	"github.com/seed893f581e/nsq/internal/hostpool"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

func main() { tool.Main("nsq_to_nsq", define) }

// options are what the flags say.
type options struct {
	topics      *tool.List
	channel     string
	maxInFlight int // messages of each topic
	sources     *tool.Sources
	consumer    *nsq.Config

	selection selection

	destinations *tool.List
	topic        string // at the destinations; "" for that of the source
	mode         string
	statusEvery  int
	producer     *nsq.Config
}

func define(fs *flag.FlagSet) func(context.Context) error {
	o := &options{consumer: nsq.NewConfig(), producer: nsq.NewConfig()}
	o.topics = tool.ListFlag(fs, "topic", "`topic` to take messages from")
	fs.StringVar(&o.channel, "channel", "nsq_to_nsq", "channel to subscribe to")
	fs.IntVar(&o.maxInFlight, "max-in-flight", 200, "how many messages of a topic may be on their way")
	o.sources = tool.SourceFlags(fs)
	tool.ConsumerOptFlag(fs, &nsq.ConfigFlag{Config: o.consumer})

	fs.StringVar(&o.selection.field, "require-json-field", "", "pass on only messages that are JSON objects with this `field`")
	fs.StringVar(&o.selection.value, "require-json-value", "", "and this `value` of the required field, a string or a number")
	fields := tool.ListFlag(fs, "whitelist-json-field", "pass on only this `field` of messages that are JSON objects")

	o.destinations = tool.ListFlag(fs, "destination-nsqd-tcp-address", "`host:port` of an nsqd to publish to")
	fs.StringVar(&o.topic, "destination-topic", "", "`topic` to publish to (default that of the source)")
	fs.StringVar(&o.mode, "mode", hostpool.FailOver, "which of several destinations gets a message: round-robin (in turn), hostpool (in turn, without those that failed lately), epsilon-greedy (the faster ones more often) or all (every destination gets every message)")
	fs.IntVar(&o.statusEvery, "status-every", 250, "log how long publishing took after so many messages, 0 for never")
	tool.ProducerOptFlag(fs, &nsq.ConfigFlag{Config: o.producer})
	return func(ctx context.Context) error {
		o.selection.fields = *fields
		if err := o.complete(); err != nil {
			return err
		}
		return run(ctx, o)
	}
}

// complete checks the options and fills in what follows from them.
func (o *options) complete() error {
	invalid := func(topic string) bool { return !nsq.IsValidTopicName(topic) }
	switch {
	case len(*o.topics) == 0 || o.channel == "":
		return errors.New("--topic and --channel are required")
	case slices.ContainsFunc(*o.topics, invalid):
		return errors.New("--topic is invalid")
	case !nsq.IsValidChannelName(o.channel):
		return errors.New("--channel is invalid")
	case o.topic != "" && invalid(o.topic):
		return errors.New("--destination-topic is invalid")
	}
	if err := o.sources.Check(); err != nil {
		return err
	}
	if err := tool.CheckAddresses("--destination-nsqd-tcp-address", *o.destinations); err != nil {
		return err
	}
	switch {
	case len(*o.destinations) == 0:
		return errors.New("--destination-nsqd-tcp-address required")
	case o.maxInFlight < 1:
		return errors.New("--max-in-flight must be at least 1")
	case o.statusEvery < 0:
		return errors.New("--status-every must not be below 0")
	case o.selection.value != "" && o.selection.field == "":
		return errors.New("--require-json-value needs --require-json-field")
	}
	agent := tool.UserAgent("nsq_to_nsq", nsq.VERSION)
	o.consumer.MaxInFlight, o.consumer.UserAgent = o.maxInFlight, agent
	o.producer.UserAgent = agent
	return nil
}
