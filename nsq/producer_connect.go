package nsq

import (
	"context"
	"errors"
	"time"
)

const (
	// attemptInterval is the least time between a failed attempt of a producer to
	// connect and the next one, and the first pause of reconnecting.
	attemptInterval = 100 * time.Millisecond

	// maxReconnectPause is the longest pause of reconnecting.
	maxReconnectPause = 10 * time.Second
)

// pacing says when a producer may try to connect. It changes by what it is told
// of, and reads no clock.
type pacing struct {
	failed time.Time     // when the last attempt failed; zero if it did not
	pause  time.Duration // before the next attempt that no call asks for
}

// attemptFailed makes the next pause twice as long.
func (p *pacing) attemptFailed(now time.Time) {
	p.failed = now
	p.pause = min(max(2*p.pause, attemptInterval), maxReconnectPause)
}

// connectionLost begins with short pauses again. But a connection that ended soon
// and was of no use counts as an attempt that failed.
func (p *pacing) connectionLost(now, made time.Time, answered bool) {
	if !answered && now.Sub(made) < max(p.pause, attemptInterval) {
		p.attemptFailed(now)
		return
	}
	*p = pacing{pause: attemptInterval}
}

// wait returns how long to wait before the next attempt if no call asks for it.
func (p *pacing) wait() time.Duration {
	return jittered(p.pause)
}

// waitAsked returns how long it is too early for an attempt although a call asks
// for it. It is negative if it is not.
func (p *pacing) waitAsked(now time.Time) time.Duration {
	return p.failed.Add(attemptInterval).Sub(now)
}

// attempt is one attempt to connect. Any number of calls wait for it.
type attempt struct {
	asked  chan struct{} // closed when a call waits for it
	wanted bool          // asked is closed; guarded by the producer's mu
	done   chan struct{} // closed when err is set
	err    error
}

func newAttempt() *attempt {
	return &attempt{asked: make(chan struct{}), done: make(chan struct{})}
}

func (a *attempt) finish(err error) {
	a.err = err
	close(a.done)
}

// connection returns the connection, after waiting for one if there is none.
func (p *Producer) connection(ctx context.Context) (*producerConn, error) {
	for {
		if c := p.conn.Load(); c != nil {
			return c, nil
		}
		a, err := p.askToConnect()
		if err != nil {
			return nil, err
		}
		select {
		case <-a.done:
			if a.err != nil {
				return nil, a.err
			}
		case <-ctx.Done():
			return nil, interrupted(ctx, "connecting to "+p.addr)
		}
	}
}

// askToConnect returns the next attempt to connect, which it makes happen as soon
// as may be. One that has begun is not good enough: nsqd may have come since.
func (p *Producer) askToConnect() (*attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopped:
		return nil, ErrStopped
	case p.conn.Load() != nil:
		return connectedAlready, nil
	case p.next == nil:
		p.startAttemptLocked(newAttempt())
	}
	if !p.next.wanted {
		p.next.wanted = true
		close(p.next.asked)
	}
	return p.next, nil
}

// connectedAlready is an attempt that succeeded.
var connectedAlready = func() *attempt {
	a := newAttempt()
	a.finish(nil)
	return a
}()

func (p *Producer) startAttemptLocked(a *attempt) {
	p.next = a
	p.running.Go(func() { p.tryToConnect(a) })
}

// tryToConnect makes an attempt when it is due. A goroutine makes only one: it
// then starts what goes on, before it logs, as a logger may publish.
func (p *Producer) tryToConnect(a *attempt) {
	p.awaitTurn(a)
	following := newAttempt() // for calls that are made from now on
	p.mu.Lock()
	p.next = following
	failure := eventConnectFailed
	if !p.pacing.failed.IsZero() {
		failure = failure.at(LogLevelDebug) // no news
	}
	p.mu.Unlock()

	var c *producerConn
	p.counters.dials.Add(1)
	nc, err := p.dial(p.ctx, p.addr, &p.config)
	if err == nil {
		c = newProducerConn(nc, p.results.deliver)
	}
	err = p.attempted(a, following, c, err)
	switch {
	case err == nil:
		p.log(eventConnected)
		nc.logAuth(p.logging)
	case c != nil:
		nc.nc.Close() // stopped meanwhile
	case !errors.Is(err, ErrStopped):
		p.counters.dialFailures.Add(1)
		p.log(failure, err)
	}
}

// awaitTurn waits until an attempt is due: after a pause, which ends early if a
// call asks for the attempt.
func (p *Producer) awaitTurn(a *attempt) {
	p.mu.Lock()
	pacing := p.pacing
	p.mu.Unlock()
	select {
	case <-a.asked:
	case <-time.After(pacing.wait()):
	case <-p.ctx.Done():
	}
	select {
	case <-time.After(pacing.waitAsked(time.Now())):
	case <-p.ctx.Done():
	}
}

// attempted takes the outcome of an attempt, c or err, tells those who wait for
// it, and starts what comes next: to serve the connection or, unless there never
// was one and nobody asks, the following attempt. If the producer has stopped
// meanwhile, it returns ErrStopped.
func (p *Producer) attempted(a, following *attempt, c *producerConn, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		err = ErrStopped
	}
	again := false
	switch {
	case err == nil:
		p.connected = true
		p.conn.Store(c)
		p.serving = append(p.serving, c)
		p.running.Go(func() { p.router(c) })
	case !p.stopped:
		p.pacing.attemptFailed(time.Now())
		again = p.connected || following.wanted
	}
	a.finish(err)
	if again {
		p.startAttemptLocked(following)
		return err
	}
	p.next = nil
	following.finish(err)
	return err
}

// router matches what nsqd answers on a connection to the transactions waiting
// for it, first in first out, until the connection ends; it then ends those
// that are left, and has the connection made again.
func (p *Producer) router(c *producerConn) {
	err := c.serve(c)
	p.forget(c)
	for t := c.next(lost); t != nil; t = c.next(lost) {
		t.Error = ErrNotConnected
		p.results.deliver(t)
	}
	p.served(c)
	p.reconnect()
	if errors.Is(err, errDrained) {
		return
	}
	p.counters.losses.Add(1)
	event := eventConnectionLost
	if errors.Is(err, ErrDraining) {
		event = event.at(LogLevelInfo) // that is how nsqd refuses, on purpose
	}
	p.log(event, err)
}

// forget makes the next call connect anew.
func (p *Producer) forget(c *producerConn) {
	answered := c.wasAnswered()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn.CompareAndSwap(c, nil) {
		p.pacing.connectionLost(time.Now(), c.made, answered)
	}
}

// reconnect sees to it that there will be a connection again.
func (p *Producer) reconnect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn.Load() == nil && p.next == nil && !p.stopped {
		p.startAttemptLocked(newAttempt())
	}
}
