package main

import (
	"context"
	"slices"
	"strconv"

	"github.com/seed893f581e/nsq/internal/load"
)

// A workload is one way of using nsqd. Each round of it gets a server of its own.
type workload struct {
	name       string
	about      string                // what is sent over how many connections, and what counts as a message
	size       int                   // of the bodies, where it is not what -msg-size says
	flags      func(*round) []string // for nsqd, nil for its defaults
	relay      bool                  // runs against the relay, not an nsqd
	durability string                // of the topic, which is there before run is called; empty for nsqd's default
	run        func(ctx context.Context, r *round) error
}

// The names of what is published, and its sizes.
const (
	topic    = "bench"
	channel  = "ch"
	perBatch = 200  // messages of an MPUB, or PUBs written at once
	maxRDY   = 2500 // what nsqd allows by default

	// backlog is the most messages that are published and not yet consumed where
	// both goes on at the same time: they fit into the memory of a topic and of a
	// channel, which is for 10,000 messages.
	backlog = 8000
)

// keepBytes bounds how much is published where nobody consumes.
const keepBytes = 400 << 20

// kept returns how many messages are published at most where nobody consumes.
func (r *round) kept() int { return min(keepBytes/r.size, 2_000_000) }

// keepAll makes nsqd keep in memory all that is published.
func keepAll(r *round) []string {
	return []string{"--mem-queue-size=" + strconv.Itoa(r.kept()+2*backlog)}
}

func batchOf(size int) *load.Batch    { return load.MPub(topic, load.Bodies(perBatch, size)) }
func pipelineOf(size int) *load.Batch { return load.Pubs(topic, load.Bodies(perBatch, size)) }
func singleOf(size int) *load.Batch   { return load.Pubs(topic, load.Bodies(1, size)) }

// workloads are all there are, in the order in which they run.
var workloads = slices.Concat(
	[]workload{{
		name:  "limit",
		about: "what the network alone costs: the bytes of pubsub pass through a relay that reads and writes them and does nothing else, over as many connections",
		relay: true,
		run:   runLimit,
	}, {
		name:  "limit1",
		about: "what the network alone costs pub1: a relay reads its PUBs and answers them, and does nothing else",
		relay: true,
		run:   runLimit1,
	}},
	publishing,
	[]workload{{
		name:  "sub",
		about: "2 consumers with RDY 2500 take what lies in the memory of a channel",
		flags: keepAll,
		run:   runSub,
	}},
	flows,
	waiting,
	[]workload{{
		name:  "reqstorm",
		about: "2 consumers with RDY 2500 requeue, at once, every message that they get, of 5,000 that circle; a requeue counts",
		run:   runRequeues,
	}, {
		name:  "overflow-write",
		about: "2 producers of MPUB with 200 messages; a channel nobody reads, so that all but 20,000 messages at most go to its disk queue; counted when the channel has them",
		run:   runOverflowWrite,
	}, {
		name:  "overflow-drain",
		about: "2 consumers with RDY 2500 take what overflow-write left",
		run:   runSub,
	}, {
		name:  "latency",
		about: "from the time that each of 5,000 messages per second is due to be published to its receipt, at default settings: 1 producer that does not wait for answers, 1 consumer with RDY 2500",
		run:   runLatency,
	}, {
		name:  "manytopics",
		about: "latency with 1,000 topics (-topics), a channel and a consumer of each, and 2,000 messages per second, to the topics in turn",
		run:   runManyTopics,
	}, {
		name:  "defer",
		about: "how much later than due messages arrive that are deferred by 50 to 250 ms, 1,000 per second, on a channel that exists for a while (-settle)",
		run:   func(ctx context.Context, r *round) error { return runDefer(ctx, r, r.settle) },
	}, {
		name:  "defer-new",
		about: "defer on a channel that was created just before",
		run:   func(ctx context.Context, r *round) error { return runDefer(ctx, r, 0) },
	}, {
		name:  "idle",
		about: "5,000 connections (-connections) that subscribed to one channel on which nothing happens: memory for each, and CPU per second for all, with the heartbeats that are due every 30 s: a round is as long as one heartbeat for each takes",
		run:   runIdle,
	}, {
		name:  "memory",
		about: "how much memory nsqd takes for each message that waits in a channel, after a garbage collection",
		flags: keepAll,
		run:   runMemory,
	}},
)
