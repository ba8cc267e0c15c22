package main

import (
	"context"
	"errors"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// The pauses between attempts to connect to an nsqd that was never there grow from
// the first to the second.
const (
	minConnectPause = 250 * time.Millisecond
	maxConnectPause = 15 * time.Second
)

// connect connects a consumer to its sources. An nsqd that cannot be reached is tried
// until ctx ends; the library does the same for one that was there once.
func connect(ctx context.Context, c *nsq.Consumer, o *options, label string) error {
	if lookupds := o.sources.Lookupds(); len(lookupds) > 0 {
		return unlessEnded(ctx, c.ConnectToNSQLookupdsContext(ctx, lookupds))
	}
	left := o.sources.NSQDs()
	for pause := minConnectPause; ; pause = min(2*pause, maxConnectPause) {
		var failed []string
		for _, addr := range left {
			err := unlessEnded(ctx, c.ConnectToNSQDContext(ctx, addr))
			if err != nil {
				failed = append(failed, addr)
				o.log.errorf("%s cannot connect to nsqd %s, trying again in %v: %v", label, addr, pause, err)
			}
		}
		if left = failed; len(left) == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// unlessEnded returns err, unless it only says that we are to stop.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, nsq.ErrConsumerStopped) {
		return nil
	}
	return err
}
