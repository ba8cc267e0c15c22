package nsq

import (
	"context"
	"math/rand/v2"
	"time"
)

// growing returns the pause before the nth attempt to do something again: each is
// twice as long as the one before, up to longest.
func growing(first time.Duration, n int, longest time.Duration) time.Duration {
	return min(first<<min(n-1, 20), longest)
}

// jittered returns a pause between half of d and d: those that failed at the same
// time are not to try again at the same time.
func jittered(d time.Duration) time.Duration {
	if d < 2 {
		return d
	}
	return d/2 + rand.N(d/2)
}

// sleep reports whether d went by before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		sleepOrWake(ctx, d, nil)
	}
	return ctx.Err() == nil
}

// sleepOrWake waits until d went by, ctx ended, or something came from wake, which
// it reports.
func sleepOrWake(ctx context.Context, d time.Duration, wake <-chan struct{}) (woken bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// wake makes the next, or the present, sleepOrWake on ch end. The channel has room
// for one.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default: // it will
	}
}
