package nsq

import (
	"math/rand/v2"
	"time"
)

// noteOutcome takes the outcome of a message into account. It must be called before
// the answer is sent: nsqd is to know of RDY 0 before it has room for another
// message.
func (r *Consumer) noteOutcome(o outcome) {
	if r.config.MaxBackoffDuration == 0 || o != failed && !r.backingOff.Load() {
		return
	}
	for r.ctx.Err() == nil {
		now, was := time.Now(), r.currentBackoff()
		// Without the lock, as the strategy may be the program's.
		next := was.after(o, now, r.config.BackoffStrategy, r.config.MaxBackoffDuration)
		if next == was {
			return
		}
		share, ok := r.changeBackoff(was, next)
		if !ok {
			continue // another message was answered meanwhile
		}
		if next.level == 0 {
			r.log(eventBackoffExited, share)
		} else {
			r.log(eventBackingOff, next.until.Sub(now), next.level)
		}
		return
	}
}

func (r *Consumer) currentBackoff() backoff {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.backoff
}

// changeBackoff goes from was to next, unless was is past. It returns what a
// connection gets outside of back-off.
func (r *Consumer) changeBackoff(was, next backoff) (share int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.backoff != was {
		return 0, false
	}
	r.backoff = next
	r.backingOff.Store(next.level > 0)
	if next.paused() {
		r.backoffs++
	}
	r.balanceLocked()
	return evenShare(len(r.openLocked()), r.maxInFlight), true
}

// resume ends a pause that is over.
func (r *Consumer) resume(now time.Time) {
	c, resumed := r.endPause(now)
	switch {
	case c != nil:
		c.nsqd.log(eventResumed)
	case resumed:
		r.log(eventResumedLater)
	}
}

// endPause reports whether a pause is over, and which connection was asked for a
// message; nil if none may be asked yet.
func (r *Consumer) endPause(now time.Time) (first *consumerConn, resumed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.backoff.resumed(now)
	if next == r.backoff {
		return nil, false
	}
	r.backoff = next
	if open := r.openLocked(); len(open) > 0 && r.maxInFlight > 0 {
		first = open[rand.IntN(len(open))]
		r.moveToFrontLocked(first)
	}
	r.balanceLocked()
	if first != nil && first.rdy.Load() == 0 {
		first = nil // what is in flight comes first
	}
	return first, true
}
