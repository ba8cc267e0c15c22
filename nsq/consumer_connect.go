package nsq

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// firstReconnect is the pause before the first attempt to reconnect; every
// further one is twice as long as the one before.
const firstReconnect = 100 * time.Millisecond

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

// ConnectToNSQD connects to the nsqd at addr, host:port, and returns when that
// succeeded or failed. A connection that is lost later is made again until Stop
// or DisconnectFromNSQD; one that could not be made at all is not. The error for an
// nsqd that was found by an nsqlookupd before is ErrAlreadyConnected, but from now
// on it is kept connected whether it is listed or not.
func (r *Consumer) ConnectToNSQD(addr string) error {
	return r.ConnectToNSQDContext(context.Background(), addr)
}

// ConnectToNSQDContext is ConnectToNSQD, except that it gives up when ctx ends.
// Once it has returned, ctx does not matter to the connection.
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
			c.disconnect()
		}
	}
	r.balanceLocked()
	return nil
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

// connect makes a connection to n, until ctx ends, and takes it into the consumer.
func (r *Consumer) connect(ctx context.Context, n *nsqd) (*consumerConn, error) {
	r.counters.dials.Add(1)
	nc, err := dial(ctx, n.addr, &r.config)
	if err != nil && ctx.Err() == nil {
		r.counters.dialFailures.Add(1)
	}
	if r.ctx.Err() != nil && err != nil {
		err = ErrConsumerStopped
	}
	if err != nil {
		return nil, err
	}
	c := &consumerConn{nsqdConn: nc, consumer: r, nsqd: n, made: time.Now()}
	maxInFlight, err := r.add(c)
	if err != nil {
		nc.close(err)
		return nil, err
	}
	n.log(eventConnected)
	nc.logAuth(n.logging)
	if c.maxRDY() < maxInFlight {
		n.log(eventMaxRDYTruncates, c.maxRDY(), maxInFlight)
	}
	return c, nil
}

// discoverNSQD connects to an nsqd that an nsqlookupd found, and keeps it
// connected.
func (r *Consumer) discoverNSQD(n *nsqd) {
	c, err := r.connect(n.ctx, n)
	close(n.tried)
	if err != nil && n.ctx.Err() == nil {
		n.log(eventConnectFailed, err)
	}
	r.keepConnected(n, c)
}

// keepConnected serves a connection, and those that replace it when it is lost,
// until nobody wants to be connected to n any more. Without a connection, nil, it
// begins as after a lost one.
func (r *Consumer) keepConnected(n *nsqd, c *consumerConn) {
	defer r.unregister(n)
	attempts := 0 // since a connection was of use
	for {
		if c == nil {
			if c = r.reconnect(n, &attempts); c == nil {
				return
			}
		}
		err := c.serve(c)
		c.ended(err)
		r.remove(c)
		r.discovery.askNow()
		if n.ctx.Err() != nil {
			n.log(eventConnectionClosed)
			return
		}
		r.counters.losses.Add(1)
		n.log(eventConnectionLost, err)
		if c.subscribed {
			attempts = 0
		}
		c = nil
	}
}

// reconnect tries to connect until it succeeds, and returns nil once nobody
// wants to be connected to n any more. The pause before each attempt grows up to
// LookupdPollInterval; it ends early when an nsqlookupd says that n is there.
func (r *Consumer) reconnect(n *nsqd, attempts *int) *consumerConn {
	failure := eventReconnectFailed
	for {
		*attempts++
		pause := growing(firstReconnect, *attempts, r.config.LookupdPollInterval)
		if sleepOrWake(n.ctx, jittered(pause), n.retry) {
			*attempts = 0
		}
		if n.ctx.Err() != nil {
			return nil
		}
		c, err := r.connect(n.ctx, n)
		if err == nil {
			return c
		}
		if n.ctx.Err() != nil {
			return nil
		}
		n.log(failure, err)
		failure = failure.at(LogLevelDebug) // no news
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
