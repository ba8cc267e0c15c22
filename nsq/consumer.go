package nsq

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// stopTimeout is how long handlers may take to answer what is in flight after
// Stop or DisconnectFromNSQD.
const stopTimeout = 30 * time.Second

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
	rotation     *time.Timer // when a turn, or the pause of backoff, ends
	stopped      bool
}

// nsqd is an address the consumer was told to connect to, by the program or by
// an nsqlookupd.
type nsqd struct {
	*logging
	addr   string
	ctx    context.Context // ends with the wish to be connected
	cancel context.CancelFunc
	tried  chan struct{} // closed after the first attempt, if nsqlookupd found it
	retry  chan struct{} // has room for one: do not wait any longer to connect again

	given     bool // by the program: the wish does not end by itself; guarded by Consumer.mu
	connected bool // guarded by Consumer.mu

	highestRDY atomic.Int64 // ever sent
	lastQueued int          // messages that wait on their last delivery; guarded by the messageQueue
	held       bool         // there are too many of these: no more are asked for; guarded by Consumer.mu
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
		rotation:    time.NewTimer(config.RDYRedistributeInterval),
	}
	r.config.BackoffStrategy = strategyFor(config.BackoffStrategy, &r.config)
	r.queue.init()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.handling, r.abandon = context.WithCancelCause(context.Background())
	r.discovery = newDiscovery(r.ctx, r.logging, &r.config, topic, r)
	return r, nil
}

// AddHandler adds a handler that is called for one message at a time. It panics
// once the consumer was told to connect.
func (r *Consumer) AddHandler(handler Handler) {
	r.AddConcurrentHandlers(handler, 1)
}

// AddConcurrentHandlers adds a handler that is called for up to concurrency
// messages at a time. It panics once the consumer was told to connect.
func (r *Consumer) AddConcurrentHandlers(handler Handler, concurrency int) {
	r.addWorkers(concurrency, func() { r.handle(handler) })
}

// addWorkers calls work from n goroutines.
func (r *Consumer) addWorkers(n int, work func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connecting {
		panic("already connected")
	}
	if r.stopped {
		return
	}
	for range n {
		r.handlerCount++
		r.handlers.Go(work)
	}
}

// ConnectToNSQD connects to the nsqd at addr, host:port, and returns when that
// succeeded or failed. A connection that is lost later is made again until Stop
// or DisconnectFromNSQD; one that could not be made at all is not. The error for an
// nsqd that was found by an nsqlookupd before is ErrAlreadyConnected, but from now
// on it is kept connected whether it is listed or not.
func (r *Consumer) ConnectToNSQD(addr string) error {
	return r.ConnectToNSQDContext(context.Background(), addr)
}

// ConnectToNSQDContext is ConnectToNSQD, except that it gives up when ctx ends.
// Once it has returned, ctx is of no matter to the connection.
func (r *Consumer) ConnectToNSQDContext(ctx context.Context, addr string) error {
	what := "connecting to nsqd " + addr
	if ctx.Err() != nil {
		return interrupted(ctx, what)
	}
	n, err := r.register(addr)
	if err != nil {
		return err
	}
	dialing, cancel := context.WithCancel(n.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	c, err := r.connect(dialing, n)
	if ended := !stop(); ended && err != nil && r.ctx.Err() == nil {
		err = interrupted(ctx, what)
	}
	if err != nil {
		r.unregister(n)
		r.discovery.notify() // an nsqlookupd may list it
		return err
	}
	go r.keepConnected(n, c)
	return nil
}

// ConnectToNSQDs calls ConnectToNSQD for every address, up to the first that
// fails.
func (r *Consumer) ConnectToNSQDs(addresses []string) error {
	return r.ConnectToNSQDsContext(context.Background(), addresses)
}

// ConnectToNSQDsContext is ConnectToNSQDs, except that it gives up when ctx ends.
// Connections that were made until then stay.
func (r *Consumer) ConnectToNSQDsContext(ctx context.Context, addresses []string) error {
	for _, addr := range addresses {
		if err := r.ConnectToNSQDContext(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

// DisconnectFromNSQD ends the connection to addr, or the attempts to make one.
// It does not wait: messages in flight may still be answered, for 30 seconds.
// An nsqlookupd that lists the address does not make the consumer connect to it
// again; ConnectToNSQD does. The error is ErrNotConnected for an address the
// consumer does not know.
func (r *Consumer) DisconnectFromNSQD(addr string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.nsqds[addr]
	if n == nil {
		return ErrNotConnected
	}
	delete(r.nsqds, addr)
	r.avoided[addr] = true
	n.cancel()
	for _, c := range r.conns {
		if c.nsqd == n {
			c.startClose()
		}
	}
	r.balanceLocked()
	return nil
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

// Stop makes every nsqd stop sending, and returns at once. Handlers go on until
// they have answered what is in flight; then the connections are closed, and
// StopChan. After 30 seconds StopChan is closed in any case. Calling Stop again
// does nothing.
func (r *Consumer) Stop() {
	if r.startStop() {
		r.log(eventStopping)
		go r.finishStop()
	}
}

// startStop reports whether it was the first to be called.
func (r *Consumer) startStop() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.stopped = true
	for _, c := range r.conns {
		c.startClose()
	}
	r.queue.hurry()
	r.cancel()
	return true
}

// StopContext is Stop, and waits until StopChan is closed. When ctx ends, or after
// 30 seconds, that is at once: connections are closed, what still waits is dropped,
// and what handlers have not answered reaches nobody. The error is an ErrAbandoned
// then, and says why; every caller gets it. A handler that calls StopContext would
// wait for itself.
func (r *Consumer) StopContext(ctx context.Context) error {
	r.Stop()
	select {
	case <-r.StopChan:
	case <-ctx.Done():
		r.abandon(interrupted(ctx, "waiting for handlers"))
		<-r.StopChan
	}
	return r.stopErr
}

var errStopTimeout = fmt.Errorf("waited for handlers for %v", stopTimeout)

// finishStop closes StopChan when everything has ended, or took too long.
func (r *Consumer) finishStop() {
	defer close(r.StopChan)
	timeout := time.AfterFunc(stopTimeout, func() { r.abandon(errStopTimeout) })
	defer timeout.Stop()
	ended := make(chan struct{})
	go func() { // outlives StopChan only with a handler that does not return
		defer close(ended)
		r.discovery.loops.Wait()
		r.loops.Wait() // ends in time: startClose sees to it
		r.queue.close()
		r.handlers.Wait()
		r.logDropped()
	}()
	select {
	case <-ended:
		r.abandon(ErrConsumerStopped) // nobody is waited for
		r.log(eventStopped)
	case <-r.handling.Done():
		r.queue.abandon() // no handler gets anything after StopChan is closed
		r.closeConns()
		r.stopErr = fmt.Errorf("%w: %w", ErrAbandoned, context.Cause(r.handling))
		r.log(eventAbandoned)
	}
}

// closeConns closes the connections at once.
func (r *Consumer) closeConns() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.close(errCloseTimeout)
	}
}

// handle gives messages to handler until the queue is closed.
func (r *Consumer) handle(handler Handler) {
	failed, _ := handler.(FailedMessageLogger)
	for {
		d, ok := r.queue.pop()
		if !ok {
			return
		}
		if d.last {
			r.holdIfBehind(d.c.nsqd)
		}
		m := d.m
		if r.givenUp(m, failed) {
			continue
		}
		err := handler.HandleMessage(m)
		if err != nil {
			r.counters.handlerErrors.Add(1)
			r.log(eventHandlerFailed, verbatim{err}, &m.ID)
		}
		if m.IsAutoResponseDisabled() {
			continue
		}
		if err != nil {
			m.Requeue(-1)
		} else {
			m.Finish()
		}
	}
}

// givenUp reports whether m was attempted too often, and is finished for that.
func (r *Consumer) givenUp(m *Message, failed FailedMessageLogger) bool {
	if r.config.MaxAttempts == 0 || m.Attempts <= r.config.MaxAttempts {
		return false
	}
	r.counters.givenUp.Add(1)
	r.log(eventGivenUp, &m.ID, m.Attempts)
	if failed != nil {
		failed.LogFailedMessage(m)
	}
	m.Finish()
	return true
}

// register notes the program's wish to be connected to addr.
func (r *Consumer) register(addr string) (*nsqd, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.beginLocked(); err != nil {
		return nil, err
	}
	delete(r.avoided, addr)
	if n := r.nsqds[addr]; n != nil {
		n.given = true
		return nil, ErrAlreadyConnected
	}
	n := r.newNSQDLocked(addr)
	n.given = true
	return n, nil
}

// beginLocked prepares for connecting.
func (r *Consumer) beginLocked() error {
	switch {
	case r.stopped:
		return ErrConsumerStopped
	case r.handlerCount == 0:
		return ErrNoHandlers
	}
	if !r.connecting {
		r.connecting = true
		r.loops.Go(r.tickLoop)
	}
	return nil
}

// newNSQDLocked returns an nsqd to connect to, and unregister later.
func (r *Consumer) newNSQDLocked(addr string) *nsqd {
	n := &nsqd{logging: r.about(addr), addr: addr, tried: make(chan struct{}), retry: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancel(r.ctx)
	r.nsqds[addr] = n
	r.loops.Add(1)
	return n
}

// unregister takes register back.
func (r *Consumer) unregister(n *nsqd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.cancel()
	if r.nsqds[n.addr] == n {
		delete(r.nsqds, n.addr)
	}
	r.loops.Done()
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

// add takes a new connection into the consumer: it subscribes, and messages are
// shared out anew. It returns how many there are to share out, and fails if
// nobody wants the connection any more.
func (r *Consumer) add(c *consumerConn) (maxInFlight int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return 0, ErrConsumerStopped
	}
	if c.nsqd.ctx.Err() != nil {
		return 0, ErrNotConnected
	}
	c.handling, c.abandon = context.WithCancelCause(r.handling)
	r.conns = append(r.conns, c)
	c.nsqd.connected = true
	c.subscribe(r.topic, r.channel)
	r.balanceLocked()
	return r.maxInFlight, nil
}

// remove takes a connection that has ended out of the consumer.
func (r *Consumer) remove(c *consumerConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = slices.DeleteFunc(r.conns, func(other *consumerConn) bool { return other == c })
	c.nsqd.connected = false
	r.balanceLocked()
}
