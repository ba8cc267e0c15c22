package main

import (
	"context"
	"time"
)

// bucket holds tokens, of which every message takes one: a new one comes every
// 1/rate seconds, and at most as many are kept as come in a second.
type bucket struct {
	interval time.Duration // between two tokens
	next     time.Time     // when the next token that nobody took has come, or will
}

// newBucket returns a bucket with one token.
func newBucket(rate int64, now time.Time) *bucket {
	return &bucket{interval: time.Second / time.Duration(rate), next: now}
}

// take takes a token and returns how long to wait until it is there. A nil
// bucket has a token for everybody.
func (b *bucket) take(now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	if oldest := now.Add(b.interval - time.Second); b.next.Before(oldest) {
		b.next = oldest
	}
	wait := b.next.Sub(now)
	b.next = b.next.Add(b.interval)
	return max(0, wait)
}

// sleep waits for a while, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
