// Command bench_channels gives a topic of an nsqd many channels, with a consumer
// of each, publishes to it as fast as all of them follow, and tells how fast that
// was, and how long it took to create the channels.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/wire"
)

// backlog is how many messages no channel has more of than it has delivered, so
// that they fit into its memory as that is by default.
const backlog = 8000

func main() { tool.Main("bench_channels", define) }

func define(fs *flag.FlagSet) func(context.Context) error {
	var j job
	j.Define(fs)
	fs.StringVar(&j.channel, "channel", "ch", "what the names of the channels begin with")
	fs.IntVar(&j.channels, "num-channels", 100, "how many channels")
	fs.IntVar(&j.rdy, "rdy", 2500, "messages in flight to each connection")
	fs.IntVar(&j.size, "size", 200, "size of a message in bytes")
	fs.IntVar(&j.batch, "batch-size", 200, "messages of a batch")
	return j.run
}

// A job is what the flags say.
type job struct {
	load.Flags
	channel                    string
	channels, rdy, size, batch int
}

func (j *job) check() error {
	switch {
	case !wire.ValidName(j.channel + fmt.Sprint(j.channels)):
		return fmt.Errorf("-channel %q with a number behind it is not a name for a channel", j.channel)
	case j.channels < 1 || j.rdy < 1:
		return fmt.Errorf("-num-channels and -rdy must be positive, are %d and %d", j.channels, j.rdy)
	case j.size < load.MinSize:
		return fmt.Errorf("-size must be at least %d, is %d", load.MinSize, j.size)
	case j.batch < 1 || j.batch > backlog:
		return fmt.Errorf("-batch-size must be 1 to %d, is %d", backlog, j.batch)
	}
	return nil
}

func (j *job) run(ctx context.Context) error {
	if err := j.check(); err != nil {
		return err
	}
	if err := j.Wait(ctx); err != nil {
		return err
	}
	readers := load.NewReaders(ctx)
	defer readers.Stop()
	gate := load.NewGate(backlog, j.channels)
	start := time.Now()
	for i := range j.channels {
		err := readers.Subscribe(j.Addr, j.Topic, j.channel+fmt.Sprint(i), j.rdy, func(n int) { gate.Consumed(i, n) })
		if err != nil {
			return err
		}
	}
	fmt.Printf("%d channels in %.3f s\n", j.channels, time.Since(start).Seconds())
	return j.publish(readers, gate)
}

func (j *job) publish(readers *load.Readers, gate *load.Gate) error {
	c, err := load.Dial(readers.Context(), j.Addr, load.Settings{})
	if err != nil {
		return err
	}
	producer := load.NewProducer(c, load.MPub(j.Topic, load.Bodies(j.batch, j.size)), 2, 0)
	start := time.Now()
	timed, cancel := context.WithTimeout(readers.Context(), j.Run)
	defer cancel()
	err = producer.Run(func() bool { return gate.Pass(timed, j.batch) })
	fmt.Println(load.Summary(readers.Messages.Load(), j.size, time.Since(start)))
	if readers.Context().Err() != nil { // of which the producer's error follows
		return readers.Err()
	}
	return err
}
