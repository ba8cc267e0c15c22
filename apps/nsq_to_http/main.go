// Command nsq_to_http sends the messages of a topic to one or more HTTP servers,
// one request a message.
package main

import (
	"context"
	"errors"
	"flag"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/hostpool"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

func main() { tool.Main("nsq_to_http", define) }

// options are what the flags say.
type options struct {
	topic, channel string
	posts, gets    *tool.List // addresses, of which there is one kind
	contentType    string
	contentTypeSet bool
	headers        *tool.List
	concurrency    int // of messages
	mode           string
	sample         float64
	statusEvery    int
	maxInFlight    int
	timeouts       *tool.HTTPTimeouts
	sources        *tool.Sources
	consumer       *nsq.Config

	targets []*target // what follows from addresses and headers
}

func define(fs *flag.FlagSet) func(context.Context) error {
	o := newOptions(fs)
	return func(ctx context.Context) error {
		fs.Visit(func(f *flag.Flag) { o.contentTypeSet = o.contentTypeSet || f.Name == "content-type" })
		if err := o.complete(); err != nil {
			return err
		}
		return run(ctx, o)
	}
}

func newOptions(fs *flag.FlagSet) *options {
	o := &options{consumer: nsq.NewConfig()}
	fs.StringVar(&o.topic, "topic", "", "`topic` to send the messages of")
	fs.StringVar(&o.channel, "channel", "nsq_to_http", "channel to subscribe to")
	o.posts = tool.ListFlag(fs, "post", "`URL` to send POST requests to, whose body is the message")
	o.gets = tool.ListFlag(fs, "get", "`URL` to send GET requests to, with one %s that stands for the message; %% stands for %")
	fs.StringVar(&o.contentType, "content-type", "application/octet-stream", "the Content-Type of POST requests")
	o.headers = tool.ListFlag(fs, "header", "'`Name: value`' of a header that every request has")
	fs.IntVar(&o.concurrency, "n", 100, "number of messages that are sent at a time")
	fs.StringVar(&o.mode, "mode", hostpool.FailOver, "which of several URLs gets a message: round-robin (in turn), hostpool (in turn, without those that failed lately), epsilon-greedy (the faster ones more often) or all (every URL gets every message)")
	fs.Float64Var(&o.sample, "sample", 1.0, "share of the messages to send, 0.0 to 1.0; the others are finished")
	fs.IntVar(&o.statusEvery, "status-every", 250, "number of requests after which to log how long they took, 0 for never")
	fs.IntVar(&o.maxInFlight, "max-in-flight", 200, "how many messages nsqd may send ahead")
	o.timeouts = tool.HTTPTimeoutFlags(fs, 2*time.Second, 20*time.Second)
	o.sources = tool.SourceFlags(fs)
	tool.ConsumerOptFlag(fs, &nsq.ConfigFlag{Config: o.consumer})
	return o
}

// complete checks the options and fills in what follows from them.
func (o *options) complete() error {
	if o.topic == "" || o.channel == "" {
		return errors.New("--topic and --channel are required")
	}
	if err := o.sources.Check(); err != nil {
		return err
	}
	if err := o.checkAddresses(); err != nil {
		return err
	}
	switch {
	case o.concurrency < 1:
		return errors.New("--n must be at least 1")
	case !(o.sample >= 0 && o.sample <= 1): // NaN is neither
		return errors.New("ERROR: --sample must be between 0.0 and 1.0")
	case o.statusEvery < 0:
		return errors.New("--status-every must not be below 0")
	case o.maxInFlight < 1:
		return errors.New("--max-in-flight must be at least 1")
	}
	if err := o.timeouts.Check(); err != nil {
		return err
	}
	o.consumer.MaxInFlight = o.maxInFlight
	o.consumer.UserAgent = tool.UserAgent("nsq_to_http", nsq.VERSION)
	return o.makeTargets()
}

func (o *options) checkAddresses() error {
	switch {
	case len(*o.gets) == 0 && len(*o.posts) == 0:
		return errors.New("--get or --post required")
	case len(*o.gets) > 0 && len(*o.posts) > 0:
		return errors.New("use --get or --post not both")
	case o.contentTypeSet && len(*o.posts) == 0:
		return errors.New("--content-type only used with --post")
	case strings.TrimSpace(o.contentType) == "":
		return errors.New("--content-type requires a value when used")
	}
	return nil
}

func (o *options) makeTargets() error {
	header, err := newHeader(*o.headers)
	if err != nil {
		return err
	}
	for _, address := range *o.gets {
		t, err := newGetTarget(address, header)
		if err != nil {
			return err
		}
		o.targets = append(o.targets, t)
	}
	for _, address := range *o.posts {
		t, err := newPostTarget(address, o.contentType, header)
		if err != nil {
			return err
		}
		o.targets = append(o.targets, t)
	}
	return nil
}
