package nsqd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// defaultDrainTime is how long a drain lasts at most where nobody says. What is in
// flight at its beginning is answered, or has timed out, by then.
const defaultDrainTime = time.Minute

// A drain gets the broker ready to stop: it is not ready for probes any more, the
// nsqlookupds are told of none of its topics, publishing is refused, and consumers
// are served until there is nothing left that they could get, or a time is over.
// Then it is drained, and goes on just so until it is stopped, or the drain is
// cancelled.
//
// What consumers cannot get is not waited for (drain_left.go): it is there again
// after a restart.
//
// It is safe for concurrent use. Its zero value is of no use before init.
type drain struct {
	n        *NSQD
	looks    atomic.Int64 // at what is left, of all drains
	watchers sync.WaitGroup

	mu     sync.Mutex // what follows; and that the phase and the nsqlookupds follow it
	run    *drainRun  // nil while nothing is drained
	closed bool
}

// A drainRun is a drain that was asked for, until it is asked for anew, with
// another time, or cancelled.
type drainRun struct {
	since   time.Time // of the first that was asked for
	until   time.Time
	ctx     context.Context // ends when it is replaced, cancelled, or nsqd stops
	stop    context.CancelFunc
	drained chan struct{} // closed when there is nothing more to wait for, or the time is over
	waits   atomic.Int64  // messages that it waited for when it last looked
	late    atomic.Bool   // the time was over before the end
}

func (d *drain) init(n *NSQD) { d.n = n }

// start begins a drain that lasts timeout at most; one that runs already goes on
// with that time from now on. It returns nil when nsqd stops.
func (d *drain) start(timeout time.Duration) *drainRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	now := time.Now()
	r := &drainRun{since: now, until: now.Add(timeout), drained: make(chan struct{})}
	r.ctx, r.stop = context.WithCancel(context.Background())
	if d.run != nil {
		d.run.stop()
		r.since = d.run.since
		r.waits.Store(d.run.waits.Load())
	} else {
		r.waits.Store(-1)
	}
	d.run = r // first: whoever is refused finds the node not ready
	d.n.lookups.hide(true)
	d.n.env.setPhase(phaseDraining)
	d.watchers.Go(func() { d.watch(r) })
	return r
}

// cancel has the broker work as before.
func (d *drain) cancel() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.run == nil || d.closed {
		return
	}
	d.run.stop()
	d.n.env.setPhase(phaseServing)
	d.n.lookups.hide(false)
	d.run = nil
	d.n.log.Info("DRAIN: cancelled, publishing is possible again")
}

// close ends the waiting; what is refused stays refused.
func (d *drain) close() {
	d.mu.Lock()
	d.closed = true
	if d.run != nil {
		d.run.stop()
	}
	d.mu.Unlock()
	d.watchers.Wait()
}

// current returns the drain that was asked for, or nil.
func (d *drain) current() *drainRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run
}

const (
	// drainLook is the least time between two looks at what is left. They take no
	// more than a tenth of the time.
	drainLook = 25 * time.Millisecond

	// emptyLooks is how many looks in a row have to find nothing: a message that goes
	// from one place to the next just then may escape one of them.
	emptyLooks = 3
)

// watch waits until there is nothing to wait for, or the time is over.
func (d *drain) watch(r *drainRun) {
	end := time.NewTimer(time.Until(r.until))
	defer end.Stop()
	for empty := 0; ; {
		began := time.Now()
		left := d.n.left(r.until)
		d.looks.Add(1)
		if r.waits.Swap(left.waits) < 0 {
			d.n.log.Info("DRAIN: publishing is refused, consumers are waited for",
				"messages", left.waits, "stay", left.stay(), "until", r.until.Format(time.RFC3339))
		}
		if empty++; left.waits > 0 {
			empty = 0
		}
		if empty == emptyLooks {
			d.finish(r, &left)
			return
		}
		select {
		case <-time.After(max(drainLook, 9*time.Since(began))):
		case <-end.C:
			r.late.Store(left.waits > 0)
			d.finish(r, &left)
			return
		case <-r.ctx.Done():
			return
		}
	}
}

// finish tells that the broker may be stopped.
func (d *drain) finish(r *drainRun, left *drainLeft) {
	text, log := "DRAIN: drained", d.n.log.Info
	if r.late.Load() {
		text, log = "DRAIN: the time is over, what consumers did not get comes again after a restart", d.n.log.Warn
	}
	log(text, "after", time.Since(r.since).Round(time.Millisecond), "messages", left.waits, "stay", left.stay())
	for _, s := range left.Staying {
		d.n.log.Info("DRAIN: messages stay", "topic", s.Topic, "channel", s.Channel, "messages", s.Messages, "because", s.Because)
	}
	close(r.drained)
}

// isDrained reports whether there is nothing more to wait for.
func (r *drainRun) isDrained() bool {
	select {
	case <-r.drained:
		return true
	default:
		return false
	}
}

// state is what probes, statistics and operators are told.
func (r *drainRun) state() string {
	switch {
	case r == nil:
		return ""
	case r.isDrained():
		return stateDrained
	default:
		return "draining"
	}
}

const stateDrained = "drained"

// waiting returns how many messages it waited for when it last looked.
func (r *drainRun) waiting() int64 {
	if r == nil {
		return 0
	}
	return max(0, r.waits.Load())
}

// Error says why the broker is not ready.
func (r *drainRun) Error() string {
	switch waits := r.waits.Load(); {
	case r.isDrained() && r.late.Load():
		return fmt.Sprintf("drained: the time was over with %d messages left", waits)
	case r.isDrained():
		return stateDrained
	case waits < 0:
		return "draining"
	default:
		return fmt.Sprintf("draining: %d messages are waited for", waits)
	}
}

// StartDrain begins a drain as POST /drain does without a time.
func (n *NSQD) StartDrain() { n.drain.start(n.drainTime()) }

// drainTime is how long a drain lasts where nobody says.
func (n *NSQD) drainTime() time.Duration {
	if n.opts.DrainOnTerm > 0 {
		return n.opts.DrainOnTerm
	}
	return defaultDrainTime
}

// Drain begins a drain that lasts --drain-on-term, unless that is 0, and returns
// when nsqd is drained, the drain is cancelled or nsqd stopped, or ctx ends. Exit
// may follow at any time.
func (n *NSQD) Drain(ctx context.Context) {
	if n.opts.DrainOnTerm == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, n.opts.DrainOnTerm)
	defer cancel()
	r := n.drain.start(n.opts.DrainOnTerm)
	for r != nil && !r.isDrained() {
		select {
		case <-r.drained:
		case <-ctx.Done():
			return
		case <-r.ctx.Done():
			r = n.drain.current()
			if r != nil && r.ctx.Err() != nil {
				return
			}
		}
	}
}
