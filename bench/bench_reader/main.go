// Command bench_reader takes the messages of a channel of an nsqd as fast as that
// delivers them, over several connections, and tells how fast that was. The
// messages are those of bench_writer.
package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/wire"
)

func main() { tool.Main("bench_reader", define) }

func define(fs *flag.FlagSet) func(context.Context) error {
	var f load.Flags
	f.Define(fs)
	channel := fs.String("channel", "ch", "channel")
	rdy := fs.Int("rdy", 2500, "messages in flight to each connection")
	connections := fs.Int("connections", runtime.GOMAXPROCS(0), "how many connections consume")
	return func(ctx context.Context) error {
		if !wire.ValidName(*channel) {
			return fmt.Errorf("-channel %q is not a name for a channel", *channel)
		}
		if *rdy < 1 || *connections < 1 {
			return fmt.Errorf("-rdy and -connections must be positive, are %d and %d", *rdy, *connections)
		}
		if err := f.Wait(ctx); err != nil {
			return err
		}
		return read(ctx, &f, *channel, *rdy, *connections)
	}
}

func read(ctx context.Context, f *load.Flags, channel string, rdy, connections int) error {
	readers := load.NewReaders(ctx)
	defer readers.Stop()
	for range connections {
		if err := readers.Subscribe(f.Addr, f.Topic, channel, rdy, nil); err != nil {
			return err
		}
	}
	start := time.Now()
	err := readers.Wait(f.Run)
	fmt.Println(load.Summary(readers.Messages.Load(), readers.MeanSize(), time.Since(start)))
	return err
}
