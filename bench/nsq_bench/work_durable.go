package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/seed893f581e/nsq/internal/load"
)

// errNotDurable says that a server cannot do what a workload needs, which then is
// left out.
var errNotDurable = errors.New("it has no durable topics")

// durable makes the topic of a workload a durable one. nsqd has its defaults then:
// how much memory it needs is a figure.
func durable(durability, about string, w workload) workload {
	w.name += "-" + durability
	w.about = about
	w.durability = durability
	w.flags = nil
	return w
}

// createDurable creates the topic with a durability. An nsqd that knows of none
// takes no notice of it, so this asks what the topic has.
func (r *round) createDurable(ctx context.Context, durability string) error {
	if durability == "" {
		return nil
	}
	if err := r.server.Request(ctx, "POST", "/topic/create?topic="+topic+"&durability="+durability, "", nil); err != nil {
		return err
	}
	t, err := r.stats(ctx, topic)
	if err == nil && t.Durability != durability {
		err = errNotDurable
	}
	return err
}

// backlogged consumes what -backlog says waits.
var backlogged = workload{
	name:  "backlog",
	about: "2 consumers with RDY 2500 take 5,000,000 messages (-backlog) that lie in the memory of a channel",
	flags: func(r *round) []string { return []string{"--mem-queue-size=" + strconv.Itoa(r.backlog+2*backlog)} },
	run: func(ctx context.Context, r *round) error {
		sent, err := r.fillChannels(ctx, r.publishBacklog, channel)
		if err != nil {
			return err
		}
		return r.drain(ctx, sent)
	},
}

// waiting are the workloads in which many messages wait.
var waiting = []workload{
	backlogged,
	durable("disk", "backlog of a topic with durability=disk, at default settings", backlogged),
	durable("fsync", "backlog of a topic with durability=fsync, at default settings", backlogged),
	durable("disk", "pubsub-disk, alone and then by a channel that joins while another is 5,000,000 messages (-backlog) behind", workload{name: "behind", run: runBehind}),
	durable("disk", "mpub to a topic with durability=disk and 8 channels that nobody reads: what lies on disk", workload{name: "copies", run: runCopies}),
}

// publishBacklog publishes what is to wait, however long that takes.
func (r *round) publishBacklog(ctx context.Context, ps []*load.Producer) (load.Tally, error) {
	return publishMost(ctx, ps, r.backlog, ctx.Err)
}

// runBehind measures a flow twice: alone, and when its channel has joined anew while
// another, which nobody reads, is far behind.
func runBehind(ctx context.Context, r *round) error {
	if err := pubsub.run(ctx, r); err != nil {
		return err
	}
	r.extra = append(r.extra, figure{aloneRate, r.rate()})
	if r.before.server != unknown {
		r.extra = append(r.extra, figure{aloneCPU, r.serverCPU()})
	}
	if err := r.server.Request(ctx, "POST", "/channel/delete?topic="+topic+"&channel="+fmt.Sprint(channel, 0), "", nil); err != nil {
		return err
	}
	const behind = "behind"
	waits, err := r.fillChannels(ctx, r.publishBacklog, behind)
	if err != nil {
		return err
	}
	return pubsub.runBeside(ctx, r, func(ctx context.Context, sent load.Tally) error {
		return r.holdsEach(ctx, topic, 0, func(name string) int64 {
			if name == behind {
				return waits.Count + sent.Count
			}
			return 0
		})
	})
}

// copies is how many channels get each message.
const copies = 8

// runCopies measures what lies on disk for messages that wait in several channels.
func runCopies(ctx context.Context, r *round) error {
	channels := make([]string, copies)
	for i := range channels {
		channels[i] = fmt.Sprint(channel, i)
	}
	sent, err := r.fillChannels(ctx, r.publish, channels...)
	if err != nil {
		return err
	}
	size, err := filesBelow(r.dataPath)
	if err != nil {
		return err
	}
	r.extra = append(r.extra, figure{diskPerMessage, float64(size) / float64(sent.Count)})
	return nil
}
