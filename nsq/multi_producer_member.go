package nsq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// restTime is how long an nsqd that could not store a message is left alone.
const restTime = time.Second

// member is an nsqd that a MultiProducer publishes to.
type member struct {
	addr     string
	producer *Producer
	ctx      context.Context // ends connecting
	cancel   context.CancelFunc
	resting  atomic.Bool  // only if there is no other
	chosen   atomic.Int64 // calls that pick gave it to, and that have not returned from the producer
	got      atomic.Int64 // messages that it was chosen for, and those it is not to catch up with

	collecting sync.Once
	answers    chan *ProducerTransaction // those of the producer
	ended      chan struct{}             // closed when there will be no more

	given    bool      // by the program: it does not matter whether it is listed; not changed
	unlisted time.Time // since when no nsqlookupd lists it, zero if one does; guarded by MultiProducer.mu

	mu        sync.Mutex    // what follows
	next      *connectTry   // the one to connect that is under way, or else the next; nil if there is none
	lastErr   error         // of the last attempt
	pause     chan struct{} // of the pause before it, closed to end that; nil without a pause
	failed    ring[*flight] // to be published to others
	resending bool          // somebody does
}

// connectTry is one attempt to connect.
type connectTry struct {
	over atomic.Bool
}

func (p *MultiProducer) newMember(addr string) *member {
	m := &member{
		addr:     addr,
		producer: newProducer(addr, &p.config, p.about(addr)),
		answers:  make(chan *ProducerTransaction, 128),
		ended:    make(chan struct{}),
	}
	m.producer.member = true
	m.ctx, m.cancel = context.WithCancel(p.ctx)
	return m
}

func findMember(members []*member, addr string) *member {
	for _, m := range members {
		if m.addr == addr {
			return m
		}
	}
	return nil
}

// rest leaves the nsqd alone for a while.
func (m *member) rest() {
	if m.resting.CompareAndSwap(false, true) {
		time.AfterFunc(restTime, func() { m.resting.Store(false) })
	}
}

// connect makes m be connected to, at once, and returns the attempt that is under
// way. The caller must be known to p.open or p.loops.
func (p *MultiProducer) connect(m *member) *connectTry {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == nil {
		m.next = &connectTry{}
		p.loops.Go(func() { p.keepConnecting(m) })
	}
	if m.pause != nil {
		close(m.pause)
		m.pause = nil
	}
	return m.next
}

// whyNotConnected returns the error of the last attempt to connect.
func (m *member) whyNotConnected() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lastErr == nil {
		return ErrNotConnected // it was connected, for a moment
	}
	return m.lastErr
}

// keepConnecting makes attempts to connect until one succeeds. From then on the
// member's producer connects again itself.
func (p *MultiProducer) keepConnecting(m *member) {
	for n := 1; ; n++ {
		err := m.producer.PingContext(m.ctx)
		again := err != nil && m.ctx.Err() == nil
		pause := p.attempted(m, err, again)
		if !again {
			return
		}
		if sleepOrWake(m.ctx, jittered(growing(attemptInterval, n, maxReconnectPause)), pause) {
			n = 0
		}
		m.mu.Lock()
		m.pause = nil
		m.mu.Unlock()
	}
}

// attempted ends the attempt that was under way. If there will be another it
// returns what ends the pause before.
func (p *MultiProducer) attempted(m *member, err error, again bool) (pause <-chan struct{}) {
	m.mu.Lock()
	a := m.next
	m.lastErr = err
	m.next, m.pause = nil, nil
	if again {
		m.next, m.pause = &connectTry{}, make(chan struct{})
	}
	pause = m.pause
	m.mu.Unlock()
	a.over.Store(true)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.announceLocked()
	return pause
}
