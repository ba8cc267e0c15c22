// Command bench_writer publishes to an nsqd as fast as that takes it, in batches
// over several connections, and tells how fast that was.
package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/tool"
)

// window is how many batches of a connection may be without an answer.
const window = 2

func main() { tool.Main("bench_writer", define) }

func define(fs *flag.FlagSet) func(context.Context) error {
	var f load.Flags
	f.Define(fs)
	size := fs.Int("size", 200, "size of a message in bytes")
	batch := fs.Int("batch-size", 200, "messages of a batch")
	connections := fs.Int("connections", runtime.GOMAXPROCS(0), "how many connections publish")
	return func(ctx context.Context) error {
		if *size < load.MinSize {
			return fmt.Errorf("-size must be at least %d, is %d", load.MinSize, *size)
		}
		if *batch < 1 || *connections < 1 {
			return fmt.Errorf("-batch-size and -connections must be positive, are %d and %d", *batch, *connections)
		}
		if err := f.Wait(ctx); err != nil {
			return err
		}
		return write(ctx, &f, *connections, *batch, *size)
	}
}

func write(ctx context.Context, f *load.Flags, connections, batch, size int) error {
	connected, disconnect := context.WithCancel(context.Background()) // longer than ctx: what was sent is still answered
	defer disconnect()
	producers := make([]*load.Producer, connections)
	for i := range producers {
		c, err := load.Dial(connected, f.Addr, load.Settings{})
		if err != nil {
			return err
		}
		producers[i] = load.NewProducer(c, load.MPub(f.Topic, load.Bodies(batch, size)), window, i)
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, f.Run)
	defer cancel()
	forced := context.AfterFunc(ctx, func() { time.AfterFunc(tool.StopTimeout, disconnect) })
	defer forced()
	errs := make([]error, connections)
	var running sync.WaitGroup
	for i, p := range producers {
		running.Go(func() {
			if errs[i] = p.Run(func() bool { return ctx.Err() == nil }); errs[i] != nil {
				cancel() // the others, too
			}
		})
	}
	running.Wait()
	took := time.Since(start)
	var confirmed int64
	for _, p := range producers {
		confirmed += p.Confirmed.Load()
	}
	fmt.Println(load.Summary(confirmed, size, took))
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
