package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/seed893f581e/nsq/internal/load"
)

// A flow is publishing and consuming at the same time. A message counts each time
// that it was delivered and finished.
type flow struct {
	producers, window   int
	batch               func(size int) *load.Batch
	channels, consumers int // consumers of each channel
	rdy                 int
}

var pubsub = flow{producers: 2, window: 4, batch: batchOf, channels: 1, consumers: 2, rdy: maxRDY}

// flows are the workloads that are flows.
var flows = []workload{
	pubsub.workload("pubsub", "2 producers of MPUB with 200 messages, 2 consumers with RDY 2500; no more than 8,000 messages are under way"),
	durable("disk", "pubsub with durability=disk", pubsub.workload("pubsub", "")),
	durable("fsync", "pubsub with durability=fsync", pubsub.workload("pubsub", "")),
	flow{2, 4, pipelineOf, 1, 2, maxRDY}.workload("pubsub1", "pubsub with single PUBs, written 200 at a time"),
	flow{32, 1, batchOf, 1, 64, 100}.workload("wide", "pubsub with 32 producers, 64 consumers and RDY 100"),
	flow{2, 4, batchOf, 8, 1, maxRDY}.workload("fanout", "pubsub with 8 channels of 1 consumer each; a delivery counts"),
	flow{1, 1, batchOf, 1, 16, 1}.workload("rdy1", "pubsub with 1 producer, and 16 consumers with RDY 1"),
	withTLS(pubsub.workload("tls", "pubsub over TLS")),
	withLayers(load.Settings{Snappy: true}, pubsub.workload("snappy", "pubsub over snappy")),
	withLayers(load.Settings{Deflate: 6}, pubsub.workload("deflate", "pubsub over deflate, level 6")),
}

func (f flow) workload(name, about string) workload {
	return workload{name: name, about: about, run: f.run}
}

func withLayers(s load.Settings, w workload) workload {
	run := w.run
	w.run = func(ctx context.Context, r *round) error {
		r.layers = s
		return run(ctx, r)
	}
	return w
}

func withTLS(w workload) workload {
	w.flags = func(r *round) []string {
		return []string{"--tls-cert=" + r.certificate.file, "--tls-key=" + r.certificate.keyFile}
	}
	run := w.run
	w.run = func(ctx context.Context, r *round) error {
		r.layers = load.Settings{TLS: &tls.Config{RootCAs: r.certificate.roots, ServerName: "127.0.0.1"}}
		return run(ctx, r)
	}
	return w
}

func (f flow) run(ctx context.Context, r *round) error {
	return f.runBeside(ctx, r, func(ctx context.Context, _ load.Tally) error { return r.holds(ctx, topic, 0, 0) })
}

// runBeside is run where nsqd holds other messages in the end. When the flow's own
// are finished, left must find what else is there.
func (f flow) runBeside(ctx context.Context, r *round, left func(ctx context.Context, sent load.Tally) error) error {
	consuming := load.NewGroup(ctx)
	defer consuming.Stop()
	gate := load.NewGate(backlog, f.channels)
	consumers, err := f.subscribe(consuming, r, gate)
	if err != nil {
		return err
	}
	ps, err := r.producers(consuming.Context(), f.producers, f.window, func() *load.Batch { return f.batch(r.size) })
	if err != nil {
		return err
	}
	sent, err := r.steady(consuming.Context(), ps, gate)
	if err != nil {
		return err
	}
	if err := arrived(consuming.Context(), gate, sent.Count*int64(f.channels)); err != nil {
		return err
	}
	if err := left(consuming.Context(), sent); err != nil {
		return err
	}
	if err := consuming.Stop(); err != nil {
		return err
	}
	return compare(sent, finished(consumers), f.channels)
}

// subscribe connects the consumers, which run in g, as many at a time as there
// are channels.
func (f flow) subscribe(g *load.Group, r *round, gate *load.Gate) ([]*load.Consumer, error) {
	var all []*load.Consumer
	for ch := range f.channels {
		for range f.consumers {
			c, err := load.Subscribe(g.Context(), r.server.TCP, r.layers, topic, fmt.Sprint(channel, ch), f.rdy)
			if err != nil {
				return nil, err
			}
			c.Took = func(n int) { gate.Consumed(ch, n) }
			g.Run(func(context.Context) error { return c.Run() })
			all = append(all, c)
		}
	}
	return all, nil
}

// steady publishes through the gate, measures the middle of it, and returns what
// was sent.
func (r *round) steady(ctx context.Context, ps []*load.Producer, gate *load.Gate) (sent load.Tally, err error) {
	publishing := load.NewGroup(ctx)
	stopped, stop := context.WithCancel(publishing.Context())
	defer stop()
	for _, p := range ps {
		publishing.Run(func(context.Context) error {
			return p.Run(func() bool { return gate.Pass(stopped, p.Len()) })
		})
	}
	err = r.sample(publishing.Context(), gate)
	stop()
	if err2 := publishing.Wait(); err == nil {
		err = err2
	}
	for _, p := range ps {
		sent.Merge(p.Sent, 1)
	}
	return sent, err
}

// sample measures a while of what goes on, when it has begun and warmed up. There is
// something to measure in it, however short it was to be.
func (r *round) sample(ctx context.Context, gate *load.Gate) error {
	if err := load.Sleep(ctx, r.warmUp()); err != nil {
		return err
	}
	if err := arrived(ctx, gate, 1); err != nil {
		return err
	}
	r.begin(gate.Total())
	if err := load.Sleep(ctx, r.time); err != nil {
		return err
	}
	if err := arrived(ctx, gate, r.before.messages+1); err != nil {
		return err
	}
	r.end(gate.Total())
	return nil
}

// arrived waits until so many messages have passed the gate's consumers.
func arrived(ctx context.Context, gate *load.Gate, n int64) error {
	return eventually(ctx, func() (bool, error) {
		total := gate.Total()
		return total >= n, errMissing(n - total)
	})
}

// finished returns what consumers, which have ended, have finished.
func finished(consumers []*load.Consumer) (t load.Tally) {
	for _, c := range consumers {
		t.Merge(c.Finished, 1)
	}
	return t
}
