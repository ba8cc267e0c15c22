package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/load"
)

// A paced run publishes at a steady rate and measures when messages arrive.
type paced struct {
	batches   []*load.Batch
	interval  time.Duration
	stamp     func(i int, due, now int64) int64
	consumers []*load.Consumer
}

// fromDue stamps messages with when they were due to be published.
func fromDue(_ int, due, _ int64) int64 { return due }

func runLatency(ctx context.Context, r *round) error {
	g := load.NewGroup(ctx)
	defer g.Stop()
	c, err := load.Subscribe(g.Context(), r.server.TCP, load.Settings{}, topic, channel, maxRDY)
	if err != nil {
		return err
	}
	p := paced{[]*load.Batch{singleOf(r.size)}, time.Second / 5000, fromDue, []*load.Consumer{c}}
	return p.run(g, r)
}

func runManyTopics(ctx context.Context, r *round) error {
	g := load.NewGroup(ctx)
	defer g.Stop()
	p := paced{interval: time.Second / 2000, stamp: fromDue}
	for i := range r.topics {
		name := fmt.Sprint(topic, i)
		c, err := load.Subscribe(g.Context(), r.server.TCP, load.Settings{Small: true}, name, channel, maxRDY)
		if err != nil {
			return err
		}
		p.consumers = append(p.consumers, c)
		p.batches = append(p.batches, load.Pubs(name, load.Bodies(1, r.size)))
	}
	return p.run(g, r)
}

// runDefer measures how late deferred messages arrive at a channel that exists for
// a while.
func runDefer(ctx context.Context, r *round, exists time.Duration) error {
	g := load.NewGroup(ctx)
	defer g.Stop()
	c, err := load.Subscribe(g.Context(), r.server.TCP, load.Settings{}, topic, channel, maxRDY)
	if err != nil {
		return err
	}
	if err := load.Sleep(ctx, exists); err != nil {
		return err
	}
	p := paced{interval: time.Second / 1000, consumers: []*load.Consumer{c}}
	rnd := rand.New(rand.NewPCG(3, 4))
	var delays []time.Duration
	for range 997 {
		delays = append(delays, time.Duration(50+rnd.IntN(200))*time.Millisecond)
		p.batches = append(p.batches, load.DPub(topic, delays[len(delays)-1], load.Bodies(1, r.size)[0]))
	}
	p.stamp = func(i int, _, now int64) int64 { return now + int64(delays[i%len(delays)]) }
	return p.run(g, r)
}

// run publishes for the time of a round and waits for what is still to come. What
// was due in the time before, when all is new, is not counted.
func (p *paced) run(g *load.Group, r *round) error {
	began := load.Now() + int64(5*time.Millisecond)
	counted := began + int64(r.warmUp())
	end := counted + int64(r.time)
	gate := load.NewGate(0, 1)
	times := make([]latency.Distribution, len(p.consumers))
	for i, c := range p.consumers {
		c.Timed = func(stamp, now int64) {
			if stamp >= counted {
				times[i].Add(now-stamp, 1)
			}
		}
		c.Took = func(n int) { gate.Consumed(0, n) }
		g.Run(func(context.Context) error { return c.Run() })
	}
	producer, err := load.Dial(g.Context(), r.server.TCP, load.Settings{})
	if err != nil {
		return err
	}
	pace := load.Pace{Batches: p.batches, Interval: p.interval, Stamp: p.stamp}
	r.begin(0)
	sent, err := pace.Run(g.Context(), producer, began, end)
	if err != nil {
		return err
	}
	if err := arrived(g.Context(), gate, sent.Count); err != nil {
		return err
	}
	r.end(sent.Count)
	if err := g.Stop(); err != nil {
		return err
	}
	for i := range times {
		r.latency.Merge(&times[i])
	}
	return compare(sent, finished(p.consumers), 1)
}
