package main

import (
	"context"
	"io"
	"time"

	"github.com/seed893f581e/nsq/internal/tool"
)

// run prints lines until there are enough of them, or ctx ends. Each is about
// what happened between two polls.
func run(ctx context.Context, o *options, stdout io.Writer) error {
	p := newPoller(o)
	defer p.client.Close()
	print := printText
	if o.json {
		print = printJSON
	}
	ticker := time.NewTicker(o.interval)
	defer ticker.Stop()

	var last sample
	for polls := 0; ; polls++ {
		now, err := p.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := print(stdout, o, polls, now, last); err != nil {
			return tool.StdoutError(err)
		}
		if o.count.reached(polls) {
			return nil
		}
		last = now
		select {
		case <-ticker.C: // the poll took longer than an interval: the next one keeps in step
		default:
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
