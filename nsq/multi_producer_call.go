package nsq

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
)

// openCalls counts calls that have not returned and transactions that have not
// been handed over.
type openCalls struct {
	n        atomic.Int64
	stopping atomic.Bool
	drained  chan struct{} // has room for one: perhaps there are no more, when stopping
}

// enter counts a call. It fails once stopping.
func (o *openCalls) enter() error {
	o.n.Add(1)
	if o.stopping.Load() {
		o.leave()
		return ErrStopped
	}
	return nil
}

func (o *openCalls) leave() {
	if o.n.Add(-1) == 0 && o.stopping.Load() {
		wake(o.drained)
	}
}

// wait waits until there are none, or ctx ends.
func (o *openCalls) wait(ctx context.Context) {
	for o.n.Load() > 0 {
		select {
		case <-o.drained:
		case <-ctx.Done():
			return
		}
	}
}

// call publishes and waits for the answer.
func (p *MultiProducer) call(ctx context.Context, pb publication) error {
	return p.try(ctx, func(m *member) error { return m.producer.call(ctx, pb) })
}

// try does something at one member after the other until that succeeds, or fails in
// a way that others cannot help with.
func (p *MultiProducer) try(ctx context.Context, do func(*member) error) error {
	if err := p.open.enter(); err != nil {
		return err
	}
	defer p.open.leave()
	var tried failures
	for {
		m, err := p.choose(ctx, tried)
		if err != nil {
			return err
		}
		err = do(m)
		m.chosen.Add(-1)
		switch {
		case err == nil:
			return nil
		case err == errUnsent: //nolint:errorlint // it is not wrapped
			continue // that member is not connected any more
		case !elsewhere(err):
			return err
		}
		tried = append(tried, p.failedAt(m, err))
		if ctx.Err() != nil || p.cut.Err() != nil {
			return tried.join(nil)
		}
	}
}

// errLeft says that an nsqd was given up before it was sent anything.
var errLeft = errors.New("no nsqlookupd lists it any more")

// failedAt takes note of a failure that is no reason not to publish the message to
// another member.
func (p *MultiProducer) failedAt(m *member, err error) failure {
	switch {
	case isStoreFailure(err):
		m.rest()
	case errors.Is(err, ErrStopped) && p.ctx.Err() == nil:
		err = errLeft
	case errors.Is(err, ErrNotConnected):
		p.discovery.askNow() // it may have moved
	}
	return failure{m, err}
}

// flight is an asynchronous call whose answer has not come.
type flight struct {
	tx    ProducerTransaction // what the program gets
	pb    publication
	tried failures
	self  [1]any // the arguments of transactions with members: the flight
}

func (p *MultiProducer) callAsync(ctx context.Context, pb publication, doneChan chan *ProducerTransaction, args []any) error {
	if err := pb.check(); err != nil {
		return err // before so much is copied
	}
	if err := p.open.enter(); err != nil {
		return err
	}
	err := p.results.awaitRoom(ctx, doneChan)
	if err == nil {
		f := &flight{pb: pb.clone(), tx: ProducerTransaction{Args: args, doneChan: doneChan}}
		f.self[0] = f
		err = p.launch(ctx, f)
	}
	if err != nil {
		p.open.leave()
	}
	return err
}

// launch submits f to a member. If it fails, f has ended.
func (p *MultiProducer) launch(ctx context.Context, f *flight) error {
	for {
		m, err := p.choose(ctx, f.tried)
		if err != nil {
			return err
		}
		if again, err := p.launchAt(ctx, m, f); !again {
			return err
		}
	}
}

// launchAt submits f to m. If that fails, again is whether others may be tried.
func (p *MultiProducer) launchAt(ctx context.Context, m *member, f *flight) (again bool, err error) {
	m.collecting.Do(func() { p.loops.Go(func() { p.collect(m) }) })
	err = m.producer.submitAsync(ctx, f.pb, m.answers, f.self[:])
	m.chosen.Add(-1)
	switch err {
	case nil:
		return false, nil
	case errUnsent: // it is not connected any more
		return true, nil
	}
	f.tried = append(f.tried, p.failedAt(m, err))
	return ctx.Err() == nil, f.tried.join(nil)
}

// collect takes the answers of a member until there are no more.
func (p *MultiProducer) collect(m *member) {
	for {
		select {
		case t := <-m.answers:
			p.landed(m, t)
		case <-m.ended:
			for {
				select {
				case t := <-m.answers:
					p.landed(m, t)
				default:
					return
				}
			}
		}
	}
}

// landed ends a flight, or has it go on to another member. It does not wait.
func (p *MultiProducer) landed(m *member, t *ProducerTransaction) {
	f := t.Args[0].(*flight)
	if t.Error == nil || !elsewhere(t.Error) {
		p.finish(f, t.Error)
		return
	}
	f.tried = append(f.tried, p.failedAt(m, t.Error))
	if p.cut.Err() != nil {
		p.finish(f, f.tried.join(nil))
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed.push(f)
	if !m.resending {
		m.resending = true
		p.loops.Go(func() { p.resend(m) })
	}
}

func (p *MultiProducer) finish(f *flight, err error) {
	f.pb, f.tried = publication{}, nil // the program may keep the transaction
	f.tx.Error = err
	p.results.deliver(&f.tx)
	p.open.leave()
}

// resend publishes what m has failed with to others, until there is no more. It
// waits for a connection once for all that has failed so far: when that was in
// vain for one, those behind it are published only if somebody is connected.
func (p *MultiProducer) resend(m *member) {
	for {
		batch := m.takeFailed()
		if batch.n == 0 {
			return
		}
		relaunch := p.launch
		for f, ok := batch.pop(); ok; f, ok = batch.pop() {
			if err := relaunch(p.cut, f); err != nil {
				p.finish(f, err)
				relaunch = p.launchNow
			}
		}
	}
}

// launchNow is launch without waiting for a connection.
func (p *MultiProducer) launchNow(ctx context.Context, f *flight) error {
	for {
		m := p.pick(f.tried)
		if m == nil {
			return p.unreachable(f.tried)
		}
		if again, err := p.launchAt(ctx, m, f); !again {
			return err
		}
	}
}

// takeFailed returns what is to be published to others. If that is nothing, it
// ends resending.
func (m *member) takeFailed() ring[*flight] {
	m.mu.Lock()
	defer m.mu.Unlock()
	batch := m.failed
	m.failed = ring[*flight]{}
	m.resending = batch.n > 0
	return batch
}

// clone returns a publication that shares no memory with what the program gave.
func (p publication) clone() publication {
	p.body = slices.Clone(p.body)
	if p.bodies == nil {
		return p
	}
	all, bodies := make([]byte, 0, p.bytes()), make([][]byte, len(p.bodies))
	for i, body := range p.bodies {
		all = append(all, body...)
		bodies[i] = all[len(all)-len(body):]
	}
	p.bodies = bodies
	return p
}
