package nsq

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// reportInterval is how often dropped messages are logged.
const reportInterval = 5 * time.Second

// Consumer receives the messages of a channel from any number of nsqds and
// gives them to handlers. Add the handlers first, then connect. Its methods may
// be called from any goroutine.
type Consumer struct {
	*logging
	topic, channel string
	config         Config

	// StopChan is closed when the consumer has stopped.
	StopChan chan int

	counters   consumerCounters
	backingOff atomic.Bool // the level of backoff is not 0; changed under mu

	queue     messageQueue
	freed     chan struct{} // has room for one: slots may be free that others wait for
	discovery *discovery
	handlers  sync.WaitGroup
	loops     sync.WaitGroup // one for every nsqd, and tickLoop

	ctx      context.Context // ends connecting and reconnecting when the consumer stops
	cancel   context.CancelFunc
	handling context.Context // ends when handlers are not waited for any more
	abandon  context.CancelCauseFunc
	stopErr  error // of StopContext; set before StopChan is closed

	mu           sync.Mutex // what follows
	handlerCount int
	connecting   bool             // an attempt to connect was made: no more handlers
	nsqds        map[string]*nsqd // by address, connected or not
	avoided      map[string]bool  // nsqds the program disconnected from: only itself connects again
	conns        []*consumerConn  // those who get messages, when there are few, before those who wait
	maxInFlight  int
	backoff      backoff
	backoffs     uint64      // how many pauses there were
	rotation     *time.Timer // when a turn, the wait for an answer, or the pause of backoff ends
	stopped      bool
}

// ConsumerStats counts what a Consumer did.
type ConsumerStats struct {
	MessagesReceived uint64
	MessagesFinished uint64
	MessagesRequeued uint64
	Connections      int
}

// NewConsumer returns a consumer of a channel. It fails if a name or config is
// not valid, and connects nowhere.
func NewConsumer(topic, channel string, config *Config) (*Consumer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if !IsValidTopicName(topic) {
		return nil, ErrInvalidTopicName
	}
	if !IsValidChannelName(channel) {
		return nil, ErrInvalidChannelName
	}
	r := &Consumer{
		logging:     newLogging(fmt.Sprintf("[%s/%s]", topic, channel), slog.String("topic", topic), slog.String("channel", channel)),
		topic:       topic,
		channel:     channel,
		config:      *config,
		StopChan:    make(chan int),
		nsqds:       map[string]*nsqd{},
		avoided:     map[string]bool{},
		maxInFlight: config.MaxInFlight,
		freed:       make(chan struct{}, 1),
		rotation:    time.NewTimer(config.RDYRedistributeInterval),
	}
	r.config.BackoffStrategy = strategyFor(config.BackoffStrategy, &r.config)
	r.queue.init()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.handling, r.abandon = context.WithCancelCause(context.Background())
	r.discovery = newDiscovery(r.ctx, r.logging, &r.config, topic, r)
	return r, nil
}

// Stats returns what the consumer has done so far.
func (r *Consumer) Stats() *ConsumerStats {
	r.mu.Lock()
	connections := len(r.conns)
	r.mu.Unlock()
	finished, requeued := r.counters.finished.Load(), r.counters.requeued.Load()
	queue, _ := r.queue.state() // last, so that no more are answered than received
	return &ConsumerStats{
		MessagesReceived: queue.received,
		MessagesFinished: finished,
		MessagesRequeued: requeued,
		Connections:      connections,
	}
}

// tickLoop does what is to be done from time to time.
func (r *Consumer) tickLoop() {
	report := time.NewTicker(reportInterval)
	defer report.Stop()
	for {
		select {
		case <-r.rotation.C:
			now := time.Now()
			r.resume(now)
			r.rotate(now)
		case <-r.freed:
			r.handOn()
		case <-report.C:
			r.logDropped()
		case <-r.ctx.Done():
			return
		}
	}
}

// logDropped tells that handlers are too slow for what they are sent.
func (r *Consumer) logDropped() {
	if n := r.queue.dropped(); n > 0 {
		r.log(eventDropped, n)
	}
}
