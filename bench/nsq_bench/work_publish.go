package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/seed893f581e/nsq/internal/load"
)

// publishing are the workloads that only publish, to a topic that nobody reads and
// that keeps all in memory. Messages count when they are confirmed, and nsqd must
// say that it has them. A round ends early when 400 MiB or 2,000,000 messages are there.
var publishing = []workload{
	pub1,
	durable("disk", "pub1 to a topic with durability=disk", pub1),
	durable("fsync", "pub1 to a topic with durability=fsync; before and after it one writer appends 4 KiB and waits for fdatasync, again and again, then overwrites zeros so", besideSyncs(pub1)),
	publishes("pubpipe", "2 producers of single PUBs, which write 200 at a time and have at most 800 without OK", 2, 4, pipelineOf),
	publishes("mpub", "2 producers of MPUB with 200 messages, with at most 4 without OK", 2, 4, batchOf),
	sized(1000, publishes("mpub1k", "mpub with messages of 1,000 bytes", 2, 4, batchOf)),
	{
		name:  "httppub",
		about: "16 connections that POST /pub, each of which waits for its answer",
		flags: keepAll,
		run: func(ctx context.Context, r *round) error {
			return runHTTPPublish(ctx, r, 16, func() *load.Batch { return load.HTTPPub(topic, load.Bodies(1, r.size)[0]) })
		},
	},
	{
		name:  "httpmpub",
		about: "4 connections that POST /mpub?binary=true with 200 messages, each of which waits for its answer",
		flags: keepAll,
		run: func(ctx context.Context, r *round) error {
			return runHTTPPublish(ctx, r, 4, func() *load.Batch { return load.HTTPMPub(topic, load.Bodies(perBatch, r.size)) })
		},
	},
}

const pub1Producers = 16

var pub1 = publishes("pub1", "16 producers of single PUBs, each of which waits for its OK", pub1Producers, 1, singleOf)

func publishes(name, about string, producers, window int, batch func(size int) *load.Batch) workload {
	return workload{
		name:  name,
		about: about,
		flags: keepAll,
		run: func(ctx context.Context, r *round) error {
			ps, err := r.producers(ctx, producers, window, func() *load.Batch { return batch(r.size) })
			if err != nil {
				return err
			}
			return runPublish(ctx, r, ps)
		},
	}
}

func sized(size int, w workload) workload {
	w.size = size
	return w
}

// producers connects producers, each with a batch of its own. Their connections
// last as long as ctx.
func (r *round) producers(ctx context.Context, n, window int, batch func() *load.Batch) ([]*load.Producer, error) {
	all := make([]*load.Producer, n)
	for i := range all {
		c, err := load.Dial(ctx, r.server.TCP, r.layers)
		if err != nil {
			return nil, err
		}
		all[i] = load.NewProducer(c, batch(), window, i)
	}
	return all, nil
}

func runHTTPPublish(ctx context.Context, r *round, producers int, batch func() *load.Batch) error {
	var all []*load.Producer
	for i := range producers {
		nc, err := net.Dial("tcp", r.server.HTTP)
		if err != nil {
			return err
		}
		defer nc.Close()
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		defer stop()
		all = append(all, load.NewHTTPProducer(nc, batch(), i))
	}
	return runPublish(ctx, r, all)
}

func runPublish(ctx context.Context, r *round, ps []*load.Producer) error {
	r.begin(0)
	sent, err := r.publish(ctx, ps)
	if err != nil {
		return err
	}
	r.end(sent.Count)
	return r.holds(ctx, topic, sent.Count, 0)
}

// publish has the producers publish for the time of a round or until there is
// enough. It returns what was confirmed, which is all that was sent.
func (r *round) publish(ctx context.Context, ps []*load.Producer) (sent load.Tally, err error) {
	timed, cancel := context.WithTimeout(ctx, r.time)
	defer cancel()
	return publishMost(ctx, ps, r.kept(), timed.Err)
}

// publishMost has the producers publish until so many messages are there or over
// returns an error, and returns what was confirmed, which is all that was sent.
func publishMost(ctx context.Context, ps []*load.Producer, most int, over func() error) (sent load.Tally, err error) {
	var begun atomic.Int64
	g := load.NewGroup(ctx)
	for _, p := range ps {
		g.Run(func(context.Context) error {
			return p.Run(func() bool { return over() == nil && begun.Add(int64(p.Len())) <= int64(most) })
		})
	}
	if err := g.Wait(); err != nil {
		return sent, err
	}
	for _, p := range ps {
		if c := p.Confirmed.Load(); c != p.Sent.Count {
			return sent, fmt.Errorf("%d messages were sent and %d confirmed", p.Sent.Count, c)
		}
		sent.Merge(p.Sent, 1)
	}
	return sent, nil
}
