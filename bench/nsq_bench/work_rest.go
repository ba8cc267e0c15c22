package main

import (
	"context"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
)

// heartbeats is how often nsqd sends each connection a heartbeat by default.
const heartbeats = 30 * time.Second

// runIdle measures what connections cost that do nothing: memory, and the CPU for
// one heartbeat each, which at the default is all that happens in 30 s.
func runIdle(ctx context.Context, r *round) error {
	if err := r.createChannel(ctx, topic, channel); err != nil {
		return err
	}
	before, err := r.restingMemory(ctx)
	if err != nil {
		return err
	}
	g := load.NewGroup(ctx)
	defer g.Stop()
	interval := max(r.time, time.Second) // nsqd's least
	for range r.connections {
		c, err := load.Subscribe(g.Context(), r.server.TCP, load.Settings{Small: true, Heartbeat: interval}, topic, channel, 1)
		if err != nil {
			return err
		}
		g.Run(func(context.Context) error { return c.Run() })
	}
	connected := func() (bool, error) {
		t, err := r.stats(ctx, topic)
		if err != nil {
			return false, err
		}
		n := t.Channels[0].Clients
		return n == r.connections, fmt.Errorf("nsqd counts %d of %d connections", n, r.connections)
	}
	if err := eventually(ctx, connected); err != nil {
		return err
	}
	after, err := r.restingMemory(ctx)
	if err != nil {
		return err
	}
	if err := load.Sleep(ctx, r.warmUp()); err != nil { // what that woke comes to rest
		return err
	}
	r.begin(0)
	if err := load.Sleep(ctx, interval); err != nil {
		return err
	}
	r.end(0)
	r.extra = append(r.extra, figure{kibPerConnection, float64(after-before) / 1024 / float64(r.connections)})
	if r.before.server != unknown {
		busy := r.after.server - r.before.server
		r.extra = append(r.extra, figure{cpuPerSecond, busy.Seconds() * 1e3 / heartbeats.Seconds()})
	}
	ok, err := connected()
	if !ok {
		return err
	}
	return nil
}

// runMemory measures what messages take that wait in memory.
func runMemory(ctx context.Context, r *round) error {
	if err := r.createChannel(ctx, topic, channel); err != nil {
		return err
	}
	before, err := r.restingMemory(ctx)
	if err != nil {
		return err
	}
	sent, err := r.fill(ctx)
	if err != nil {
		return err
	}
	after, err := r.restingMemory(ctx)
	if err != nil {
		return err
	}
	r.before, r.after = reading{}, reading{at: time.Time{}} // publishing has workloads of its own
	r.extra = append(r.extra, figure{bytesPerMessage, float64(after-before) / float64(sent.Count)})
	return nil
}
