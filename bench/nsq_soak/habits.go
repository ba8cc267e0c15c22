package main

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// A choice is what a consumer does with a message.
type choice struct {
	act   act
	delay time.Duration
}

type act int

const (
	actFinish   act = iota
	actRequeue      // to come again after delay
	actPostpone     // finished after delay, touched until then
	actForget       // left to time out
)

// habits are how a consumer behaves. choose and ready are called by its goroutine.
type habits interface {
	// choose decides what becomes of a message.
	choose(*rand.Rand) choice

	// ready decides how many messages the consumer takes, and for how long.
	ready(*rand.Rand) (rdy int, next time.Duration)

	// life decides how long a connection lasts, whether it takes leave then, and its
	// time-out for messages.
	life(*rand.Rand) (length time.Duration, politely bool, timeout time.Duration)
}

const (
	longTimeout  = time.Minute
	shortTimeout = time.Second // the shortest that nsqd grants
)

// between returns a duration at random.
func between(rnd *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rnd.Int64N(int64(most-least)))
}

// steady consumers finish everything at once.
type steady struct{}

func (steady) choose(*rand.Rand) choice { return choice{} }

func (steady) ready(rnd *rand.Rand) (int, time.Duration) {
	return []int{50, 500, 2500}[rnd.IntN(3)], between(rnd, time.Second, 5*time.Second)
}

func (steady) life(rnd *rand.Rand) (time.Duration, bool, time.Duration) {
	return between(rnd, 10*time.Second, 60*time.Second), true, longTimeout
}

// rough consumers do all that a consumer can do, and some die of it.
type rough struct {
	calm  *atomic.Bool // it is time to finish
	short bool         // time-out
}

func (r *rough) choose(rnd *rand.Rand) choice {
	if r.calm.Load() {
		return choice{}
	}
	switch n := rnd.IntN(1000); {
	case n < 20:
		return choice{actRequeue, 0}
	case n < 40:
		return choice{actRequeue, between(rnd, 0, 3*time.Second)}
	case n < 60:
		return choice{actPostpone, between(rnd, 0, 3*time.Second)}
	case n < 65 && r.short:
		return choice{actForget, 0}
	}
	return choice{}
}

func (r *rough) ready(rnd *rand.Rand) (int, time.Duration) {
	if r.calm.Load() {
		return 500, time.Second
	}
	switch rnd.IntN(6) {
	case 0:
		return 0, between(rnd, 0, 300*time.Millisecond)
	case 1:
		return 1, between(rnd, 0, 300*time.Millisecond)
	}
	return 1 + rnd.IntN(2500), between(rnd, 0, 2*time.Second)
}

func (r *rough) life(rnd *rand.Rand) (time.Duration, bool, time.Duration) {
	length, politely := between(rnd, 300*time.Millisecond, 10*time.Second), rnd.IntN(3) == 0
	if r.calm.Load() {
		length, politely = 10*time.Second, true
	}
	if r.short = rnd.IntN(2) == 0; r.short {
		return length, politely, shortTimeout
	}
	return length, politely, longTimeout
}

// slow consumers fall behind for a while and then catch up, so that the channel's
// backlog goes to disk and comes back.
type slow struct {
	calm  *atomic.Bool
	phase time.Duration
}

func (s *slow) isSlow() bool { return !s.calm.Load() && now()/int64(s.phase)%2 == 0 }

func (s *slow) choose(rnd *rand.Rand) choice {
	if s.isSlow() {
		return choice{actPostpone, between(rnd, 0, 50*time.Millisecond)}
	}
	return choice{}
}

func (s *slow) ready(*rand.Rand) (int, time.Duration) {
	if s.isSlow() {
		return 2, 100 * time.Millisecond
	}
	return 1000, 100 * time.Millisecond
}

func (s *slow) life(rnd *rand.Rand) (time.Duration, bool, time.Duration) {
	return between(rnd, 5*time.Second, 30*time.Second), rnd.IntN(2) == 0, longTimeout
}
