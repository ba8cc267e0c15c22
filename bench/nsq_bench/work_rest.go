package main

import (
	"context"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
)

// runIdle measures what connections cost that do nothing.
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
	for range r.connections {
		if _, err := load.Subscribe(g.Context(), r.server.TCP, load.Settings{Small: true}, topic, channel, 1); err != nil {
			return err
		}
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
	if err := load.Sleep(ctx, r.time); err != nil {
		return err
	}
	r.end(0)
	r.extra = append(r.extra, figure{kibPerConnection, float64(after-before) / 1024 / float64(r.connections)})
	if r.before.server != unknown {
		busy := (r.after.server - r.before.server).Seconds() / r.after.at.Sub(r.before.at).Seconds()
		r.extra = append(r.extra, figure{cpuPerSecond, busy * 1e3})
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
