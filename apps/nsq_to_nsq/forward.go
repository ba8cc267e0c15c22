package main

import (
	"context"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/hostpool"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// forwarder publishes messages to destinations and answers them: it finishes what
// a destination has, in the mode all what every destination has, and requeues what
// none took.
//
// Every destination has a goroutine that publishes and one that takes its answers,
// so that one that hangs does not hold up the others. One more goroutine looks for
// those that hang. stop ends them all.
type forwarder struct {
	pool         *hostpool.Pool
	all          bool // every message goes to every destination
	most         int  // messages that may be on their way, over all topics
	status       *tool.Status
	destinations []*destination

	ctx     context.Context // ends with stop
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // what follows, and what is said to be guarded by it
	room     sync.Cond  // a destination may have room again, or stopping is set
	stopping bool       // soon no more messages come
}

// delivery is a message on its way.
type delivery struct {
	message *nsq.Message
	topic   string // to publish to
	body    []byte
	untouch func() // ends touching the message

	// Guarded by the forwarder's mu:
	missing int            // destinations that are yet to take it
	tried   []*destination // that failed to
	done    bool           // the message is answered, or needs no answer any more
}

// doneLocked ends a delivery.
func (d *delivery) doneLocked() {
	d.done = true
	d.untouch()
}

// newForwarder returns a forwarder that is yet to be started.
func newForwarder(o *options) (*forwarder, error) {
	addrs := *o.destinations
	pool, err := hostpool.New(o.mode, len(addrs))
	if err != nil {
		return nil, err
	}
	f := &forwarder{
		pool:   pool,
		all:    o.mode == hostpool.All,
		most:   o.maxInFlight * len(*o.topics),
		status: tool.NewStatus(o.statusEvery, addrs, log.Default()),
	}
	f.room.L = &f.mu
	for i, addr := range addrs {
		producer, err := nsq.NewProducer(addr, o.producer)
		if err != nil {
			return nil, err // as for the first: nothing to stop yet
		}
		f.destinations = append(f.destinations, newDestination(i, producer))
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

// start starts the forwarder. It connects nowhere before there is a message.
func (f *forwarder) start() {
	for _, to := range f.destinations {
		f.running.Go(func() { f.publish(to) })
		f.running.Go(func() { f.collect(to) })
	}
	f.running.Go(f.watch)
}

// startStopping says that soon no more messages come: from now on, none waits for
// room, or for a destination once that is known to hang.
func (f *forwarder) startStopping() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopping = true
	f.room.Broadcast()
}

// stop ends the connections and everything that the forwarder started. Messages
// that are still on their way then are not answered.
func (f *forwarder) stop() {
	var all sync.WaitGroup
	for _, to := range f.destinations {
		all.Go(to.producer.Stop)
	}
	all.Wait()
	f.cancel()
	f.running.Wait()
}

// forward has a message published, and answered afterwards. It waits while more
// messages are on their way than there should be, as when a source has delivered
// them again.
func (f *forwarder) forward(m *nsq.Message, topic string, body []byte) {
	d := &delivery{
		message: m,
		topic:   topic,
		body:    body,
		missing: 1,
		untouch: tool.KeepTouched(m.Timeout(), m.Touch),
	}
	if !f.begin(d) {
		d.untouch()
		m.RequeueWithoutBackoff(0) // for others on the channel
	}
}

// begin gives a delivery to the destinations that are to have it, once there is
// room. It returns false if there is none and the program is about to end.
func (f *forwarder) begin(d *delivery) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.beginLocked(d, time.Now()) {
		if f.stopping {
			return false
		}
		f.room.Wait()
	}
	return true
}

// beginLocked is begin that does not wait: it returns false if there is no room.
func (f *forwarder) beginLocked(d *delivery, now time.Time) bool {
	if f.all {
		if slices.ContainsFunc(f.destinations, func(to *destination) bool { return len(to.open) >= f.most }) {
			return false
		}
		d.missing = len(f.destinations)
		for _, to := range f.destinations {
			to.addLocked(d, now)
		}
		return true
	}
	share := f.shareLocked(now)
	to := f.chooseLocked(now, func(to *destination) bool {
		if share == 0 { // none is worse than the others
			return len(to.open) < f.most
		}
		return len(to.open) < to.limitLocked(now, share)
	})
	if to == nil {
		return false
	}
	to.addLocked(d, now)
	return true
}

// shareLocked returns how many messages a healthy destination may have on their
// way: more than its part, so that the order of the mode can be kept when one is
// slower for a while, but not so many that nothing is left for the others if it
// hangs. It is 0 if none is healthy.
func (f *forwarder) shareLocked(now time.Time) int {
	healthy := 0
	for _, to := range f.destinations {
		if to.healthyLocked(now) {
			healthy++
		}
	}
	if healthy == 0 {
		return 0
	}
	return max(1, f.most*(healthy+1)/(2*healthy))
}

// chooseLocked returns the destination that the mode calls for among those that fit,
// nil if none does.
func (f *forwarder) chooseLocked(now time.Time, fits func(*destination) bool) *destination {
	if !slices.ContainsFunc(f.destinations, fits) {
		return nil
	}
	for range f.destinations {
		if to := f.destinations[f.pool.Choose(now)[0]]; fits(to) {
			return to
		}
	}
	return f.destinations[slices.IndexFunc(f.destinations, fits)]
}

// failOverLocked gives a delivery to a destination that it was not given to. It
// returns false if there is none that may work.
func (f *forwarder) failOverLocked(d *delivery, from *destination, now time.Time) bool {
	if f.all {
		return false
	}
	if !slices.Contains(d.tried, from) {
		d.tried = append(d.tried, from)
	}
	to := f.chooseLocked(now, func(to *destination) bool { return !slices.Contains(d.tried, to) && to.healthyLocked(now) })
	if to == nil {
		to = f.chooseLocked(now, func(to *destination) bool { return !slices.Contains(d.tried, to) && !to.hangsLocked(now) })
	}
	if to == nil {
		return false
	}
	to.addLocked(d, now)
	return true
}

// next is what is to be done after an attempt.
type next int

const (
	nothing next = iota
	finish
	requeue
)

// answer takes the outcome of an attempt, and answers the message if it is clear
// what to.
func (f *forwarder) answer(a *attempt, err error) {
	now := time.Now()
	if err == nil {
		f.status.Took(a.to.number, now.Sub(a.began))
	}
	f.mu.Lock()
	next := f.settleLocked(a, err, now)
	f.mu.Unlock()
	switch next {
	case finish:
		a.message.Finish()
	case requeue:
		log.Printf("ERROR: failed to publish message %s to nsqd %s - %v", a.message.ID[:], a.to.producer, err)
		a.message.Requeue(-1)
	}
}

// settleLocked is answer without what is done to the message.
func (f *forwarder) settleLocked(a *attempt, err error, now time.Time) next {
	f.room.Broadcast()
	outcome := a.to.endLocked(a, err, now)
	if outcome != disturbed {
		f.pool.Report(a.to.number, now, now.Sub(a.began), outcome == failed)
	}
	switch {
	case a.done:
		return nothing
	case outcome == taken:
		if a.missing--; a.missing > 0 {
			return nothing
		}
		a.doneLocked()
		return finish
	case a.abandoned:
		return nothing
	case a.message.Context().Err() != nil:
		a.doneLocked() // the source is gone, and delivers it again
		return nothing
	case outcome == disturbed:
		a.to.addLocked(a.delivery, now)
		return nothing
	case f.failOverLocked(a.delivery, a.to, now): // one that does not want it may have another limit than others
		return nothing
	}
	a.doneLocked()
	return requeue
}

// refused reports whether an nsqd answered that something is wrong with a message,
// not with itself or with who publishes it.
func refused(err error) bool {
	answer, ok := err.(nsq.ErrProtocol) //nolint:errorlint // inside another error it is about the connection
	if !ok {
		return false
	}
	switch answer.Code() {
	case nsq.CodeBadMessage, nsq.CodeBadBody, nsq.CodeBadTopic:
		return true
	}
	return false
}
