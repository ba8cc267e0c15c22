package main

import (
	"context"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
)

// consumers are all that consume from channels which are accounted for.
type consumers struct {
	g    *load.Group
	quit chan struct{}
}

// consume starts the consumers: on every topic two that are steady, three that are
// rough, and one that is slow.
func (s *soak) consume(ctx context.Context) *consumers {
	c := &consumers{g: load.NewGroup(ctx), quit: make(chan struct{})}
	phase := max(time.Second, min(10*time.Second, s.length/20))
	for _, l := range s.ledgers {
		for i, all := range [][]habits{
			{steady{}, steady{}},
			{&rough{calm: &s.calm}, &rough{calm: &s.calm}, &rough{calm: &s.calm}},
			{&slow{calm: &s.calm, phase: phase}},
		} {
			for _, h := range all {
				c.g.Run(func(ctx context.Context) error { return s.consumeFrom(ctx, l.channels[i], h, c.quit) })
			}
		}
	}
	return c
}

// stop has all take leave and returns when they are gone.
func (c *consumers) stop() error {
	close(c.quit)
	return c.g.Wait()
}

// consumeFrom consumes from a channel over one connection after the other.
func (s *soak) consumeFrom(ctx context.Context, a *account, h habits, quit <-chan struct{}) error {
	rnd := s.random()
	for {
		select {
		case <-quit:
			return nil
		default:
		}
		in, leave := s.enter(ctx)
		if in == nil {
			return nil
		}
		length, politely, timeout := h.life(rnd)
		c, err := newSession(ctx, in.server.TCP, a, holder{in.incarnation, timeout}, h, rnd)
		if err == nil {
			if err = c.run(now()+int64(length), politely, quit); err != nil && !in.isStopping() && ctx.Err() == nil {
				a.odd(fmt.Sprintf("a connection ended: %v", err))
			}
			err = nil
		}
		leave()
		if err != nil && !in.isStopping() && ctx.Err() == nil {
			return fmt.Errorf("consuming from %s/%s: %w", a.ledger.topic, a.name, err)
		}
	}
}
