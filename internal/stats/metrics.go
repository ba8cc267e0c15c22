package stats

import "github.com/seed893f581e/nsq/internal/histogram"

// Metrics is what is at /metrics only, beside the rest of the snapshot.
type Metrics struct {
	Connections int    // that speak the protocol
	Accepted    uint64 // of them since the start
	Producers   int    // connections that have published
	Totals      Totals

	Ready        bool  // to be published to
	DrainWaiting int64 // messages that a drain waits for

	PublishLatency  histogram.Counts // from the arrival of a publish to its OK
	PublishFailures uint64           // publishes that could not be kept

	Disk              *Disk // nil where it cannot be asked
	Lookupds          int   // configured addresses of nsqlookupds
	LookupdsConnected int   // of them those where everybody is connected to whom they lead
}

// Disk is the file system of the data path, in bytes.
type Disk struct {
	Free    int64
	Size    int64
	Reserve int64 // what queues leave free
	Queues  int64 // what they take
}

// Totals are the counters of all topics and channels together. They never go down:
// those of what was deleted are in them.
type Totals struct {
	Published      uint64
	PublishedBytes uint64
	Received       uint64 // by channels
	Delivered      uint64
	Finished       uint64
	Requeues       uint64
	Timeouts       uint64
	E2E            histogram.Counts
}

// addTopic adds what a topic and its channels count.
func (t *Totals) addTopic(topic *Topic) {
	t.Published += topic.Messages
	t.PublishedBytes += topic.Bytes
	if topic.Deleted != nil {
		t.Merge(topic.Deleted)
	}
	for i := range topic.Channels {
		ch := &topic.Channels[i]
		t.Received += ch.Messages
		t.Delivered += ch.Delivered
		if ch.Finished != nil {
			t.Finished += *ch.Finished
		}
		t.Requeues += ch.Requeues
		t.Timeouts += ch.Timeouts
		t.E2E.Merge(&ch.Latencies)
	}
}

// AddTopics adds what topics and their channels count.
func (t *Totals) AddTopics(topics []Topic) {
	for i := range topics {
		t.addTopic(&topics[i])
	}
}

// Merge adds other to t.
func (t *Totals) Merge(other *Totals) {
	t.Published += other.Published
	t.PublishedBytes += other.PublishedBytes
	t.Received += other.Received
	t.Delivered += other.Delivered
	t.Finished += other.Finished
	t.Requeues += other.Requeues
	t.Timeouts += other.Timeouts
	t.E2E.Merge(&other.E2E)
}

// Raise makes no counter of t lower than that of before.
func (t *Totals) Raise(before *Totals) {
	t.Published = max(t.Published, before.Published)
	t.PublishedBytes = max(t.PublishedBytes, before.PublishedBytes)
	t.Received = max(t.Received, before.Received)
	t.Delivered = max(t.Delivered, before.Delivered)
	t.Finished = max(t.Finished, before.Finished)
	t.Requeues = max(t.Requeues, before.Requeues)
	t.Timeouts = max(t.Timeouts, before.Timeouts)
	t.E2E.Raise(&before.E2E)
}
