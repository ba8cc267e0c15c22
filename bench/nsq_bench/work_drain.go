package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/wire"
)

// drainPatience is how long a full channel may take to be emptied.
const drainPatience = 2 * time.Minute

func errMissing(n int64) error { return fmt.Errorf("%d messages did not arrive", n) }

// fill publishes for the time of a round to a channel that nobody reads, and
// returns what the channel then holds.
func (r *round) fill(ctx context.Context) (sent load.Tally, err error) {
	return r.fillChannels(ctx, r.publish, channel)
}

// fillChannels publishes to channels that nobody reads, and returns what each of
// them then holds.
func (r *round) fillChannels(ctx context.Context, publish func(context.Context, []*load.Producer) (load.Tally, error), channels ...string) (sent load.Tally, err error) {
	for _, ch := range channels {
		if err := r.createChannel(ctx, topic, ch); err != nil {
			return sent, err
		}
	}
	connected, disconnect := context.WithCancel(ctx)
	defer disconnect()
	ps, err := r.producers(connected, 2, 4, func() *load.Batch { return batchOf(r.size) })
	if err != nil {
		return sent, err
	}
	r.begin(0)
	if sent, err = publish(ctx, ps); err != nil {
		return sent, err
	}
	if err := r.holds(ctx, topic, 0, sent.Count); err != nil {
		return sent, err
	}
	r.end(sent.Count)
	return sent, nil
}

func runOverflowWrite(ctx context.Context, r *round) error {
	_, err := r.fill(ctx)
	return err
}

// runSub fills the channel and measures how it is emptied.
func runSub(ctx context.Context, r *round) error {
	sent, err := r.fill(ctx)
	if err != nil {
		return err
	}
	return r.drain(ctx, sent)
}

// drain measures how 2 consumers empty the channel of what was sent to it.
func (r *round) drain(ctx context.Context, sent load.Tally) error {
	g := load.NewGroup(ctx)
	defer g.Stop()
	gate := load.NewGate(0, 1)
	drained := make(chan struct{})
	drain := sync.OnceFunc(func() { close(drained) })
	r.begin(0)
	consumers, err := r.consumers(g, 2, func(c *load.Consumer) {
		c.Took = func(n int) {
			gate.Consumed(0, n)
			if gate.Total() >= sent.Count {
				drain()
			}
		}
	})
	if err != nil {
		return err
	}
	select {
	case <-drained:
	case <-g.Context().Done():
		return context.Cause(g.Context())
	case <-time.After(drainPatience):
		return errMissing(sent.Count - gate.Total())
	}
	r.end(gate.Total())
	if err := r.holds(g.Context(), topic, 0, 0); err != nil {
		return err
	}
	if err := g.Stop(); err != nil {
		return err
	}
	return compare(sent, finished(consumers), 1)
}

// consumers subscribes to the channel, with the largest RDY. What they do with
// messages is set before the first arrives; they run in g.
func (r *round) consumers(g *load.Group, n int, set func(*load.Consumer)) ([]*load.Consumer, error) {
	all := make([]*load.Consumer, n)
	for i := range all {
		c, err := load.Subscribe(g.Context(), r.server.TCP, r.layers, topic, channel, maxRDY)
		if err != nil {
			return nil, err
		}
		set(c)
		g.Run(func(context.Context) error { return c.Run() })
		all[i] = c
	}
	return all, nil
}

// circling is how many messages reqstorm requeues again and again.
const circling = 5000

func runRequeues(ctx context.Context, r *round) error {
	if err := r.createChannel(ctx, topic, channel); err != nil {
		return err
	}
	ps, err := r.producers(ctx, 1, 1, func() *load.Batch { return batchOf(r.size) })
	if err != nil {
		return err
	}
	missing := circling
	if err := ps[0].Run(func() bool { missing -= perBatch; return missing >= 0 }); err != nil {
		return err
	}
	sent := ps[0].Sent

	g := load.NewGroup(ctx)
	defer g.Stop()
	gate := load.NewGate(0, 1)
	var ending atomic.Bool
	var done atomic.Int64
	consumers, err := r.consumers(g, 2, func(c *load.Consumer) {
		c.Took = func(n int) { gate.Consumed(0, n) }
		c.Requeue = func(*wire.Message) bool {
			if !ending.Load() {
				return true
			}
			done.Add(1)
			return false
		}
	})
	if err != nil {
		return err
	}
	if err := r.sample(g.Context(), gate); err != nil {
		return err
	}
	ending.Store(true)
	if err := eventually(g.Context(), func() (bool, error) { return done.Load() == sent.Count, errMissing(sent.Count - done.Load()) }); err != nil {
		return err
	}
	if err := r.holds(g.Context(), topic, 0, 0); err != nil {
		return err
	}
	if err := g.Stop(); err != nil {
		return err
	}
	return compare(sent, finished(consumers), 1)
}
