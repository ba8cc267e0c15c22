package nsqtest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen. A loaded machine may
// need most of it.
const Patience = 30 * time.Second

// Within fails the test if f does not return within Patience.
func Within(tb testing.TB, what string, f func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	Receive(tb, what, done)
}

// Receive waits for a value, or for the channel to be closed, and fails the test
// if neither comes within Patience.
func Receive[T any](tb testing.TB, what string, ch <-chan T) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Patience):
		tb.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// Eventually waits until the condition holds and fails the test if it does not
// within Patience. It is for what another goroutine or process does.
func Eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	EventuallyWithin(tb, Patience, what, condition)
}

// EventuallyWithin is Eventually for what may take longer, or must be faster.
func EventuallyWithin(tb testing.TB, limit time.Duration, what string, condition func() bool) {
	tb.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("after %s still waiting: %s", limit, what)
		}
	}
}
