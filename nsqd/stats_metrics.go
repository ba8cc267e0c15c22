package nsqd

import (
	"encoding/binary"
	"time"

	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A metricsFilter asks for what is at /metrics only, and has what is needed for that.
type metricsFilter struct {
	now   time.Time
	sizes map[string]int64 // bytes on disk, by queue; nil where they are not known
}

// metricsSnapshot takes a snapshot for /metrics: of all topics and channels, but not
// of clients one by one. It reads the data path: its directory, and the head of each
// queue that has nothing in memory.
func (n *NSQD) metricsSnapshot() stats.Stats {
	m := &metricsFilter{now: time.Now()}
	sizes, err := n.env.disk.Sizes()
	if err != nil {
		n.log.Debug("METRICS: the sizes of queues are not known", "error", err)
	}
	m.sizes = sizes
	return n.stats(statsFilter{metrics: m})
}

// metricsStats returns what is no topic's, and counters of topics that are no more.
func (n *NSQD) metricsStats(m *metricsFilter, deleted stats.Totals) *stats.Metrics {
	clients := n.clients.all()
	s := &stats.Metrics{
		Connections:     len(clients),
		Accepted:        n.env.accepted.Load(),
		Totals:          deleted,
		Ready:           n.Ready() == nil,
		DrainWaiting:    n.drain.current().waiting(),
		PublishLatency:  n.env.publishLatency.Counts(),
		PublishFailures: n.env.publishFailures.Load(),
		Disk:            n.diskStats(m),
	}
	noE2E.MergeInto(&s.Totals.E2E)
	for _, c := range clients {
		if c.hasPublished() {
			s.Producers++
		}
	}
	s.Lookupds, s.LookupdsConnected = n.lookups.count()
	return s
}

// diskStats returns nil where the disk cannot be asked.
func (n *NSQD) diskStats(m *metricsFilter) *stats.Disk {
	free, size, err := diskspace.Free(n.opts.DataPath)
	if err != nil || m.sizes == nil {
		return nil
	}
	s := &stats.Disk{Free: free, Size: size, Reserve: n.env.disk.KeptFree()}
	for _, bytes := range m.sizes {
		s.Queues += bytes
	}
	for _, t := range n.topics.all() {
		if t.log != nil {
			s.Queues += t.log.bytes()
		}
	}
	return s
}

// waiting says more about what waits in a queue.
func (m *metricsFilter) waiting(q *queue) stats.Waiting {
	s := stats.Waiting{Bytes: m.sizes[q.name]}
	switch published, ok := q.oldest(); {
	case !ok:
		s.Age = -1
	case published != 0:
		s.Age = max(0, m.now.Sub(time.Unix(0, published)))
	}
	return s
}

// waitingInTopic says more about what waits in a topic, of which that is so many
// messages. Of a durable one the size is that of its log, which has what waits in
// channels, too.
func (m *metricsFilter) waitingInTopic(t *topic, depth int64) stats.Waiting {
	if t.log == nil {
		return m.waiting(t.queue)
	}
	s := stats.Waiting{Bytes: t.log.bytes()}
	if depth > 0 {
		s.Age = -1
	}
	return s
}

// oldest returns when the message that is next was published, in nanoseconds since
// the Unix epoch, 0 if none waits. If it is the first on disk it is read from there;
// ok is false where that has no answer. It keeps no put or take waiting for the disk.
func (q *queue) oldest() (published int64, ok bool) {
	q.mu.Lock()
	if q.mem.spans > 0 {
		published = q.mem.ring[q.mem.head].b.time
	}
	if q.log != nil && q.log.ahead.spans > 0 {
		published = q.log.ahead.ring[q.log.ahead.head].b.time
	}
	q.mu.Unlock()
	if q.log != nil {
		return published, published != 0 || q.log.depth() == 0
	}
	if published != 0 || q.disk == nil || q.disk.Depth() == 0 {
		return published, true
	}
	header, ok, err := q.disk.Head()
	if !ok || err != nil {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(header)), true // which is plausible, so it is not 0
}
