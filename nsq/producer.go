package nsq

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// Producer publishes to one nsqd. It connects with the first call that needs a
// connection, and again with the first call after it was lost. Its methods may
// be called from any number of goroutines; calls made at the same time share
// writes, and nsqd's answers are matched to them in order.
//
// A body may be reused or changed as soon as a method it was given to returned.
type Producer struct {
	*logging
	addr   string
	config Config

	ctx     context.Context // ends dialling when the producer stops
	cancel  context.CancelFunc
	routers sync.WaitGroup
	results *results
	stop    sync.Once

	conn atomic.Pointer[producerConn] // nil while there is none

	counters producerCounters

	mu      sync.Mutex      // what follows
	dialing *producerDial   // nil while nobody dials
	serving []*producerConn // those whose router has not ended
	past    publishCounts   // of all that were serving
	stopped bool
}

// producerDial is one attempt to connect, which any number of calls wait for.
type producerDial struct {
	done chan struct{} // closed when err is set
	err  error
}

// ProducerTransaction is the outcome of one asynchronous call.
type ProducerTransaction struct {
	Error error // nil once nsqd has the message
	Args  []any // what the call was given for this purpose

	doneChan chan *ProducerTransaction // nil if nobody wants to know
}

// publication is what a transaction asks of nsqd.
type publication struct {
	verb   verb
	topic  string
	body   []byte        // not for mpub
	bodies [][]byte      // for mpub
	delay  time.Duration // for dpub
}

type verb uint8

const (
	pub verb = iota
	mpub
	dpub
	verbs // how many there are
)

func (v verb) String() string { return [...]string{"pub", "mpub", "dpub"}[v] }

func (p *publication) appendTo(b []byte) []byte {
	switch p.verb {
	case mpub:
		return wire.AppendMPub(b, p.topic, p.bodies)
	case dpub:
		return wire.AppendDPub(b, p.topic, p.delay, p.body)
	}
	return wire.AppendPub(b, p.topic, p.body)
}

// NewProducer returns a producer for the nsqd at addr, host:port. It does not
// connect, and fails only if config is not valid.
func NewProducer(addr string, config *Config) (*Producer, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	p := &Producer{
		logging: newLogging("("+addr+")", slog.String("nsqd", addr)),
		addr:    addr,
		config:  *config,
		results: newResults(),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
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
func (p *Producer) Ping() error {
	for {
		c, err := p.connected()
		if err != nil {
			return err
		}
		if c.begin() != nil {
			p.forget(c)
			continue
		}
		c.queued = wire.AppendNop(c.queued)
		c.commit()
		return c.flush()
	}
}

// Publish publishes a message and waits until nsqd has it. The error is that of
// connecting, ErrStopped, an ErrProtocol if nsqd refused the message, or
// ErrNotConnected if the connection was lost before nsqd answered.
func (p *Producer) Publish(topic string, body []byte) error {
	return p.call(publication{verb: pub, topic: topic, body: body})
}

// MultiPublish publishes several messages, of which nsqd takes all or none, as
// Publish does one.
func (p *Producer) MultiPublish(topic string, body [][]byte) error {
	return p.call(publication{verb: mpub, topic: topic, bodies: body})
}

// DeferredPublish is Publish for a message that is delivered after delay, in
// whole milliseconds.
func (p *Producer) DeferredPublish(topic string, delay time.Duration, body []byte) error {
	return p.call(publication{verb: dpub, topic: topic, delay: delay, body: body})
}

// PublishAsync publishes a message without waiting for nsqd's answer: that is
// sent to doneChan as a transaction that holds args. It waits while it connects
// and while more than a megabyte is waiting to be written; if it returns an
// error, nothing is sent to doneChan.
//
// A doneChan may be nil, unbuffered, and shared between calls. Answers for one
// that is not received from are kept, and do not delay those for others. But
// about 10,000 of them make further calls with that doneChan wait until some are
// received, and about 100,000 in all make every call with a doneChan wait; so
// whoever publishes more must not leave receiving for later. After Stop, answers
// are dropped when nobody receives for a second, and calls that wait return
// ErrStopped.
func (p *Producer) PublishAsync(topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.submitAsync(publication{verb: pub, topic: topic, body: body}, doneChan, args)
}

// MultiPublishAsync is to MultiPublish what PublishAsync is to Publish.
func (p *Producer) MultiPublishAsync(topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.submitAsync(publication{verb: mpub, topic: topic, bodies: body}, doneChan, args)
}

// DeferredPublishAsync is to DeferredPublish what PublishAsync is to Publish.
func (p *Producer) DeferredPublishAsync(topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error {
	return p.submitAsync(publication{verb: dpub, topic: topic, delay: delay, body: body}, doneChan, args)
}

// Stop sends what is queued, waits up to a second for nsqd's answers, and
// closes the connection. Transactions without an answer then end with
// ErrNotConnected, and calls made after Stop with ErrStopped. It returns when
// everything has ended, and may be called again.
func (p *Producer) Stop() {
	first := false
	p.stop.Do(func() {
		first = true
		p.mu.Lock()
		p.stopped = true
		c := p.conn.Load()
		p.mu.Unlock()

		p.results.release()
		p.cancel()
		if c != nil {
			c.shutdown()
		}
		p.routers.Wait()
		p.results.close()
	})
	if first {
		p.log(eventStopped)
	}
}

// waiters holds transactions of calls that wait, with room for the answer in
// their doneChan.
var waiters = sync.Pool{New: func() any {
	return &ProducerTransaction{doneChan: make(chan *ProducerTransaction, 1)}
}}

func (p *Producer) call(pb publication) error {
	t := waiters.Get().(*ProducerTransaction)
	err := p.submit(pb, t)
	if err == nil {
		<-t.doneChan
		err = t.Error
	}
	t.Error = nil
	waiters.Put(t)
	return err
}

func (p *Producer) submitAsync(pb publication, doneChan chan *ProducerTransaction, args []any) error {
	p.results.awaitRoom(doneChan)
	return p.submit(pb, &ProducerTransaction{Args: args, doneChan: doneChan})
}

// submit queues a publication on the current connection, or on a new one. If it
// fails, the transaction is not used.
func (p *Producer) submit(pb publication, t *ProducerTransaction) error {
	for {
		c, err := p.connected()
		if err != nil {
			return err
		}
		if c.beginWhenRoom() != nil {
			p.forget(c) // nothing of this call was sent: connect anew
			continue
		}
		c.queued = pb.appendTo(c.queued)
		c.push(pb.pending(t))
		c.commit()
		return nil
	}
}

// connected returns the connection, after connecting if there is none.
func (p *Producer) connected() (*producerConn, error) {
	for {
		if c := p.conn.Load(); c != nil {
			return c, nil
		}
		p.mu.Lock()
		c, d, stopped := p.conn.Load(), p.dialing, p.stopped
		dial := c == nil && d == nil && !stopped
		if dial {
			d = &producerDial{done: make(chan struct{})}
			p.dialing = d
			p.routers.Add(1) // for dialling, and then for the router
		}
		p.mu.Unlock()

		switch {
		case stopped:
			return nil, ErrStopped
		case c != nil:
			return c, nil
		case dial:
			p.dial(d)
		}
		<-d.done
		if d.err != nil {
			return nil, d.err
		}
	}
}

func (p *Producer) dial(d *producerDial) {
	var c *producerConn
	p.counters.dials.Add(1)
	nc, err := dial(p.ctx, p.addr, &p.config)
	if err == nil {
		c = &producerConn{nsqdConn: nc, finish: p.results.deliver}
	}

	p.mu.Lock()
	if p.stopped && err == nil {
		nc.close(ErrStopped)
	}
	if p.stopped {
		err = ErrStopped
	}
	if err == nil {
		p.conn.Store(c)
		p.serving = append(p.serving, c)
	}
	p.dialing, d.err = nil, err
	close(d.done)
	p.mu.Unlock()

	if err != nil {
		p.routers.Done()
		if !errors.Is(err, ErrStopped) {
			p.counters.dialFailures.Add(1)
			p.log(eventConnectFailed, err)
		}
		return
	}
	go p.router(c) // first: a logger may publish, and wait for the answer
	p.log(eventConnected)
	nc.logAuth(p.logging)
}

// forget makes the next call connect anew.
func (p *Producer) forget(c *producerConn) { p.conn.CompareAndSwap(c, nil) }

// router matches what nsqd answers on a connection to the transactions waiting
// for it, first in first out, until the connection ends; it then ends those
// that are left.
func (p *Producer) router(c *producerConn) {
	defer p.routers.Done()
	err := c.serve(c)
	p.forget(c)
	for t := c.next(lost); t != nil; t = c.next(lost) {
		t.Error = ErrNotConnected
		p.results.deliver(t)
	}
	p.served(c)
	if !errors.Is(err, errDrained) {
		p.counters.losses.Add(1)
		p.log(eventConnectionLost, err)
	}
}

// producerConn is a connection with the transactions nsqd has not answered.
type producerConn struct {
	*nsqdConn
	finish  func(...*ProducerTransaction) // must not wait for their doneChans
	load    atomic.Int64                  // pending.n, for who does not want to lock
	pending ring[pendingPublication]      // guarded by nsqdConn.mu, so that its order is that of the commands
	counts  publishCounts                 // of what was pending, guarded by the same

	// For the goroutine that serves:
	accepted int                    // how many OKs came for transactions still pending
	ended    []*ProducerTransaction // to be finished; empty but while that is done
}

// shutdown closes the connection after nsqd has answered what it was sent, and
// at once if there is nothing to answer.
func (c *producerConn) shutdown() {
	c.mu.Lock()
	idle := c.pending.n == 0 && len(c.queued) == 0 && c.done == c.taken
	c.endLocked(errDrained)
	c.mu.Unlock()
	if idle {
		c.close(errDrained)
	}
}

// push makes a publication wait for the answer to the command that was queued last. The
// queue of commands must be locked.
func (c *producerConn) push(pp pendingPublication) {
	c.pending.push(pp)
	c.load.Store(int64(c.pending.n))
}

// next removes the publication that was pending longest, whose result is known
// now, and returns its transaction, or nil if there is none.
func (c *producerConn) next(r publishResult) *ProducerTransaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	pp, ok := c.pending.pop()
	if ok {
		c.counts.add(&pp, r)
	}
	c.load.Store(int64(c.pending.n))
	return pp.t
}

func (c *producerConn) onResponse(data []byte) error {
	if string(data) != wire.OK {
		return unexpected(FrameTypeResponse, data)
	}
	c.accepted++
	return nil
}

// onPause ends the transactions that nsqd has accepted.
func (c *producerConn) onPause() error {
	missing := c.takeAccepted()
	c.finish(c.ended...)
	clear(c.ended) // they belong to their doneChans now
	c.ended = c.ended[:0]
	if missing {
		return unexpected(FrameTypeResponse, []byte(wire.OK))
	}
	return nil
}

// takeAccepted moves the transactions that nsqd has accepted from pending to
// ended, and reports whether nsqd has said OK to more than there are.
func (c *producerConn) takeAccepted() (missing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; c.accepted > 0; c.accepted-- {
		pp, ok := c.pending.pop()
		if !ok {
			missing = true
			continue
		}
		c.counts.add(&pp, published)
		c.ended = append(c.ended, pp.t)
	}
	c.load.Store(int64(c.pending.n))
	return missing
}

// onError ends the connection, as nsqd does: every error a publisher is told is
// fatal. The transactions behind the refused one are lost with it.
func (c *producerConn) onError(data []byte) error {
	if err := c.onPause(); err != nil { // first in, first out
		return err
	}
	t := c.next(refused)
	if t == nil {
		return unexpected(FrameTypeError, data)
	}
	err := ErrProtocol{string(data)}
	c.end(err) // first, so that the caller's next call does not find this connection
	t.Error = err
	c.finish(t)
	return err
}

func (c *producerConn) onMessage(*Message) error {
	return detailed(ErrInvalidResponse, "unexpected message")
}

func unexpected(frameType int32, data []byte) error {
	return detailed(ErrInvalidResponse, "unexpected response type=%d len=%d data[:32]=0x%x", frameType, len(data), data[:min(len(data), 32)])
}
