package nsq

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// Producer publishes to one nsqd. It connects with the first call that needs a
// connection. When the connection is lost, it is made again in the background,
// with pauses that grow from about 100 ms to 10 s while nsqd stays away. A call
// cuts such a pause short, but for an nsqd that cannot be reached there are no
// more than about ten attempts a second, shared by all calls. A call fails with
// the error of the first attempt that began after the call did; so the first one
// after nsqd is back succeeds.
//
// Its methods may be called from any number of goroutines; calls made at the same
// time share writes, and nsqd's answers are matched to them in order. A body may
// be reused or changed as soon as a method it was given to returned.
//
// What waits has a variant with a context. When that ends, the call returns at
// once, and other calls are not affected. The error says what was waited for, and
// errors.Is finds that of the context in it.
type Producer struct {
	*logging
	addr    string
	config  Config
	dial    func(context.Context, string, *Config) (*nsqdConn, error)
	results *results
	member  bool // of a MultiProducer: it publishes on the connection it has, or fails with errUnsent

	ctx     context.Context // ends dialling when the producer stops
	cancel  context.CancelFunc
	running sync.WaitGroup // goroutines that connect or serve

	stop         sync.Once
	last         *producerConn // the connection there was when it stopped, or nil
	disconnected chan struct{} // closed when it is stopped and nothing is running
	ended        chan struct{} // closed when results are delivered as well

	conn atomic.Pointer[producerConn] // nil while there is none; changed under mu

	counters producerCounters

	mu        sync.Mutex // what follows
	next      *attempt   // what calls wait for; nil while nobody is about to connect
	pacing    pacing
	serving   []*producerConn // those whose router has not ended
	past      publishCounts   // of all that were serving
	connected bool            // there was a connection once
	stopped   bool
}

// NewProducer returns a producer for the nsqd at addr, host:port. It does not
// connect, and fails only if config is not valid.
func NewProducer(addr string, config *Config) (*Producer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return newProducer(addr, config, newLogging("("+addr+")", slog.String("nsqd", addr))), nil
}

// newProducer returns a producer that logs to log. config must be valid.
func newProducer(addr string, config *Config, log *logging) *Producer {
	p := &Producer{
		logging:      log,
		addr:         addr,
		config:       *config,
		dial:         dial,
		results:      newResults(),
		disconnected: make(chan struct{}),
		ended:        make(chan struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// String returns the address of the nsqd.
func (p *Producer) String() string { return p.addr }

// load returns how many transactions nsqd has not answered, and whether there is
// a connection at all. It takes no lock.
func (p *Producer) load() (pending int, connected bool) {
	c := p.conn.Load()
	if c == nil {
		return 0, false
	}
	return int(c.load.Load()), true
}

// Ping connects if needed and sends a command that nsqd does not answer: it
// shows that nsqd can be reached and written to.
func (p *Producer) Ping() error { return p.PingContext(context.Background()) }

// PingContext is Ping that waits no longer than until ctx ends.
func (p *Producer) PingContext(ctx context.Context) error {
	c, err := p.begin(ctx)
	if err != nil {
		return err
	}
	c.queued = wire.AppendNop(c.queued)
	c.commit()
	return c.flush(ctx)
}

// Publish publishes a message and waits until nsqd has it. The error is that of
// connecting, ErrStopped, an ErrProtocol if nsqd refused the message,
// ErrInvalidTopicName for a topic that cannot be sent, or ErrNotConnected if the
// connection was lost before nsqd answered: then nsqd may or may not have the
// message.
func (p *Producer) Publish(topic string, body []byte) error {
	return p.PublishContext(context.Background(), topic, body)
}

// PublishContext is Publish that waits no longer than until ctx ends. If it then
// waits for nsqd's answer, which the error says, nsqd may have the message or get
// it yet. Otherwise it was not sent.
func (p *Producer) PublishContext(ctx context.Context, topic string, body []byte) error {
	return p.call(ctx, publication{verb: pub, topic: topic, body: body})
}

// MultiPublish publishes several messages, of which nsqd takes all or none, as
// Publish does one.
func (p *Producer) MultiPublish(topic string, body [][]byte) error {
	return p.MultiPublishContext(context.Background(), topic, body)
}

// MultiPublishContext is to MultiPublish what PublishContext is to Publish.
func (p *Producer) MultiPublishContext(ctx context.Context, topic string, body [][]byte) error {
	return p.call(ctx, publication{verb: mpub, topic: topic, bodies: body})
}

// DeferredPublish is Publish for a message that is delivered after delay, in
// whole milliseconds.
func (p *Producer) DeferredPublish(topic string, delay time.Duration, body []byte) error {
	return p.DeferredPublishContext(context.Background(), topic, delay, body)
}

// DeferredPublishContext is to DeferredPublish what PublishContext is to Publish.
func (p *Producer) DeferredPublishContext(ctx context.Context, topic string, delay time.Duration, body []byte) error {
	return p.call(ctx, publication{verb: dpub, topic: topic, delay: delay, body: body})
}

// PublishAsync publishes a message without waiting for nsqd's answer: that is
// sent to doneChan as a transaction that holds args. It waits while it connects
// and while more than a megabyte is waiting to be written; if it returns an
// error, the message was not sent, and nothing is sent to doneChan.
//
// A doneChan may be nil, unbuffered, and shared between calls. Answers for one
// that is not received from are kept, and do not delay those for others. But
// about 10,000 of them make further calls with that doneChan wait until some are
// received, and about 100,000 in all make every call with a doneChan wait; so
// whoever publishes more must not leave receiving for later. After Stop, answers
// are dropped when nobody receives for a second, and calls that wait return
// ErrStopped.
func (p *Producer) PublishAsync(topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.PublishAsyncContext(context.Background(), topic, body, doneChan, args...)
}

// PublishAsyncContext is PublishAsync that waits no longer than until ctx ends.
// Once it has returned, ctx has no say any more: the answer comes as it would
// without.
func (p *Producer) PublishAsyncContext(ctx context.Context, topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.submitAsync(ctx, publication{verb: pub, topic: topic, body: body}, doneChan, args)
}

// MultiPublishAsync is to MultiPublish what PublishAsync is to Publish.
func (p *Producer) MultiPublishAsync(topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.MultiPublishAsyncContext(context.Background(), topic, body, doneChan, args...)
}

// MultiPublishAsyncContext is to MultiPublishAsync what PublishAsyncContext is to
// PublishAsync.
func (p *Producer) MultiPublishAsyncContext(ctx context.Context, topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.submitAsync(ctx, publication{verb: mpub, topic: topic, bodies: body}, doneChan, args)
}

// DeferredPublishAsync is to DeferredPublish what PublishAsync is to Publish.
func (p *Producer) DeferredPublishAsync(topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.DeferredPublishAsyncContext(context.Background(), topic, delay, body, doneChan, args...)
}

// DeferredPublishAsyncContext is to DeferredPublishAsync what PublishAsyncContext
// is to PublishAsync.
func (p *Producer) DeferredPublishAsyncContext(ctx context.Context, topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.submitAsync(ctx, publication{verb: dpub, topic: topic, delay: delay, body: body}, doneChan, args)
}

// Stop sends what is queued, waits up to a second for nsqd's answers, and
// closes the connection. Transactions without an answer then end with
// ErrNotConnected, and calls made after Stop with ErrStopped. It returns when
// everything has ended, and may be called again.
func (p *Producer) Stop() {
	p.startStopping()
	if c := p.last; c != nil {
		_ = c.flush(context.Background()) // if it fails, the connection is gone
		timeout := time.AfterFunc(drainTimeout, func() { c.close(os.ErrDeadlineExceeded) })
		defer timeout.Stop()
	}
	<-p.ended
}

// StopContext is Stop that waits for nsqd's answers, and for transactions to be
// received, until ctx ends. It then closes the connection and returns an error
// at once, while the rest ends as it does with Stop: without an answer, with
// ErrNotConnected. Stop may be called to wait for that.
func (p *Producer) StopContext(ctx context.Context) error {
	p.startStopping()
	select {
	case <-p.disconnected:
	case <-ctx.Done():
		if p.last != nil {
			p.last.close(context.Cause(ctx))
		}
		return interrupted(ctx, "stopping without all answers of nsqd")
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return interrupted(ctx, "stopping before all transactions are received")
	}
}

// startStopping lets no call in any more and ends those that wait, but for those
// that wait for nsqd's answers.
func (p *Producer) startStopping() {
	p.stop.Do(func() {
		p.mu.Lock()
		p.stopped = true
		p.last = p.conn.Load()
		p.mu.Unlock()

		p.cancel()
		if p.last != nil {
			p.last.drain()
		}
		p.results.release()   // not before: who waited finds the connection draining
		go p.finishStopping() // whoever calls Stop waits for it
	})
}

func (p *Producer) finishStopping() {
	defer close(p.ended)
	if p.last != nil {
		p.last.closeIfAnswered()
	}
	p.running.Wait()
	close(p.disconnected)
	p.results.close()
	p.log(eventStopped)
}
