package nsq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// MultiProducer publishes to several nsqds, each message to one of them. The nsqds
// are given to NewMultiProducer, found by nsqlookupds, or both. Its methods may be
// called from any number of goroutines.
//
// A message goes to the connected nsqd with the fewest messages to answer, so that
// equal ones get equal shares, a slow one gets less, and one that hangs gets no
// more than it has. An nsqd that could not store a message, or drains
// (ErrDraining), is left alone for a second unless there is no other.
//
// When an nsqd is lost before it answered, cannot be connected to or cannot store
// the message (CodePubFailed, CodeMPubFailed, CodeDPubFailed), the message is
// published to another one, to each at most once. It was then perhaps taken twice:
// a message is published at least once, as it is delivered at least once. What an
// nsqd refuses for what it is, such as an invalid topic name, is not tried
// elsewhere.
//
// Connecting begins with the first call, which waits for the first nsqd that can
// be reached. A connection that is lost is made again in the background, and an
// nsqd that is back gets its share.
//
// A body may be reused or changed as soon as a method it was given to returned.
type MultiProducer struct {
	*logging
	config Config

	ctx       context.Context // ends with Stop: connecting, discovery
	cancel    context.CancelFunc
	cut       context.Context // ends when nothing is drained any more
	cutNow    context.CancelFunc
	discovery *discovery
	results   *results
	loops     sync.WaitGroup
	open      openCalls
	stop      sync.Once

	disconnected chan struct{} // closed when all connections have ended, after Stop
	ended        chan struct{} // closed when everything has

	members atomic.Pointer[[]*member] // those that messages go to; replaced under mu

	mu      sync.Mutex    // what follows
	leaving []*member     // those that are drained
	changed chan struct{} // closed and replaced when an attempt to connect ended, or members are others
	recheck *time.Timer   // looks for members that have not been listed for long; nil before the first
	stopped bool          // members do not change any more
}

// NewMultiProducer returns a producer for the nsqds at addrs, host:port, of which
// there may be none if ConnectToNSQLookupd is called. It does not connect, and
// fails only if config is not valid. Two ways to write the address of one nsqd are
// two nsqds to it.
func NewMultiProducer(addrs []string, config *Config) (*MultiProducer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	p := &MultiProducer{
		logging: newLogging("[multi]"),
		config:  *config,
		results: newResults(),
		changed: make(chan struct{}),

		disconnected: make(chan struct{}),
		ended:        make(chan struct{}),
	}
	p.open.drained = make(chan struct{}, 1)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.cut, p.cutNow = context.WithCancel(context.Background())
	p.discovery = newDiscovery(p.ctx, p.logging, &p.config, "", p)
	members := make([]*member, 0, len(addrs))
	for _, addr := range addrs {
		if findMember(members, addr) != nil {
			continue
		}
		m := p.newMember(addr)
		m.given = true
		members = append(members, m)
	}
	p.members.Store(&members)
	return p, nil
}

// Ping succeeds when one of the nsqds can be reached and written to. It connects if
// needed.
func (p *MultiProducer) Ping() error { return p.PingContext(context.Background()) }

// PingContext is Ping that waits no longer than until ctx ends.
func (p *MultiProducer) PingContext(ctx context.Context) error {
	return p.try(ctx, func(m *member) error { return m.producer.PingContext(ctx) })
}

// Publish publishes a message to one of the nsqds and waits until it has it. The
// error is an ErrProtocol if an nsqd refused the message, ErrStopped after Stop,
// ErrInvalidTopicName for a topic that cannot be sent, ErrNoNSQD if there is no nsqd,
// or it names every nsqd that was tried and what each
// of them failed with, which errors.Is and errors.As find. If that is
// ErrNotConnected for one of them, it may have the message.
func (p *MultiProducer) Publish(topic string, body []byte) error {
	return p.PublishContext(context.Background(), topic, body)
}

// PublishContext is Publish that waits no longer than until ctx ends. The nsqd whose
// answer it was waiting for may have the message then.
func (p *MultiProducer) PublishContext(ctx context.Context, topic string, body []byte) error {
	return p.call(ctx, publication{verb: pub, topic: topic, body: body})
}

// MultiPublish publishes several messages to one nsqd, which takes all or none, as
// Publish does one.
func (p *MultiProducer) MultiPublish(topic string, body [][]byte) error {
	return p.MultiPublishContext(context.Background(), topic, body)
}

// MultiPublishContext is to MultiPublish what PublishContext is to Publish.
func (p *MultiProducer) MultiPublishContext(ctx context.Context, topic string, body [][]byte) error {
	return p.call(ctx, publication{verb: mpub, topic: topic, bodies: body})
}

// DeferredPublish is Publish for a message that is delivered after delay, in
// whole milliseconds.
func (p *MultiProducer) DeferredPublish(topic string, delay time.Duration, body []byte) error {
	return p.DeferredPublishContext(context.Background(), topic, delay, body)
}

// DeferredPublishContext is to DeferredPublish what PublishContext is to Publish.
func (p *MultiProducer) DeferredPublishContext(ctx context.Context, topic string, delay time.Duration, body []byte) error {
	return p.call(ctx, publication{verb: dpub, topic: topic, delay: delay, body: body})
}

// PublishAsync publishes a message without waiting for the answer of an nsqd: that
// is sent to doneChan as a transaction that holds args, after other nsqds were tried
// where that is called for. It waits while no nsqd is connected, and while more
// than a megabyte is waiting to be written to the one that was chosen. If it
// returns an error, nothing is sent to doneChan; otherwise, exactly one transaction
// is. Those of one nsqd come in the order of publishing.
//
// What Producer.PublishAsync says of doneChan is true here as well.
func (p *MultiProducer) PublishAsync(topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.PublishAsyncContext(context.Background(), topic, body, doneChan, args...)
}

// PublishAsyncContext is PublishAsync, whose waiting ends with ctx. What was
// accepted before is not affected.
func (p *MultiProducer) PublishAsyncContext(ctx context.Context, topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.callAsync(ctx, publication{verb: pub, topic: topic, body: body}, doneChan, args)
}

// MultiPublishAsync is to MultiPublish what PublishAsync is to Publish.
func (p *MultiProducer) MultiPublishAsync(topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.MultiPublishAsyncContext(context.Background(), topic, body, doneChan, args...)
}

// MultiPublishAsyncContext is to MultiPublishAsync what PublishAsyncContext is to
// PublishAsync.
func (p *MultiProducer) MultiPublishAsyncContext(ctx context.Context, topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.callAsync(ctx, publication{verb: mpub, topic: topic, bodies: body}, doneChan, args)
}

// DeferredPublishAsync is to DeferredPublish what PublishAsync is to Publish.
func (p *MultiProducer) DeferredPublishAsync(topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.DeferredPublishAsyncContext(context.Background(), topic, delay, body, doneChan, args...)
}

// DeferredPublishAsyncContext is to DeferredPublishAsync what PublishAsyncContext
// is to PublishAsync.
func (p *MultiProducer) DeferredPublishAsyncContext(ctx context.Context, topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.callAsync(ctx, publication{verb: dpub, topic: topic, delay: delay, body: body}, doneChan, args)
}

// changes returns what is closed when it is worth looking at the members again.
func (p *MultiProducer) changes() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *MultiProducer) announceLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}
