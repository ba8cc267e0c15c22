package nsq

import "time"

// outcome is what an answer to a message says about the health of what its
// handler works with.
type outcome int

const (
	failed    outcome = iota // requeued
	succeeded                // finished
	undecided                // requeued without back-off
)

// backoff is how far a consumer has backed off. At level 0 it has not. At any
// other it pauses first, then asks for one message at a time: the outcome of that
// decides where it goes from there. It is a value: two that are equal are the
// same state.
type backoff struct {
	level int
	until time.Time // when the pause ends; zero if there is none
}

// after returns the state that follows an outcome. What was under way when a
// pause began is not counted: it failed, or not, with what caused the pause. A
// level whose pause would be longer than longest is not entered.
func (b backoff) after(o outcome, now time.Time, s BackoffStrategy, longest time.Duration) backoff {
	if b.paused() {
		return b
	}
	next := backoff{level: b.level}
	switch {
	case o == failed && s.Calculate(b.level+1) <= longest:
		next.level++
	case o == succeeded && b.level > 0:
		next.level--
	}
	if next.level > 0 {
		next.until = now.Add(min(max(0, s.Calculate(next.level)), longest))
	}
	return next
}

// resumed returns the state at now: without its pause, if that is over.
func (b backoff) resumed(now time.Time) backoff {
	if b.paused() && !now.Before(b.until) {
		b.until = time.Time{}
	}
	return b
}

func (b backoff) paused() bool { return !b.until.IsZero() }

// limit returns how many of maxInFlight messages may be in flight.
func (b backoff) limit(maxInFlight int) int {
	switch {
	case b.paused():
		return 0
	case b.level > 0:
		return min(1, maxInFlight)
	}
	return maxInFlight
}
