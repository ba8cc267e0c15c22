package nsq

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestMessageQueue(t *testing.T) {
	var q messageQueue
	q.init()
	c := &consumerConn{nsqdConn: newNSQDConn(nil, "", nil), nsqd: &nsqd{}}
	start := time.Now()
	add := func(d delivery, limit int) error {
		d.m, d.c = &Message{Attempts: uint16(c.inFlight.Load() + 1)}, c
		return q.push([]delivery{d}, start, limit)
	}

	// In order.
	for range 10 {
		if err := add(delivery{}, 10); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.inFlight.Load(); n != 10 {
		t.Errorf("%d messages in flight, want the 10 that are in the queue", n)
	}
	next := uint16(1)
	take := func() {
		t.Helper()
		if d, ok := q.pop(); !ok || d.m.Attempts != next {
			t.Fatalf("got message %d, %v; want %d", d.m.Attempts, ok, next)
		}
		next++
	}
	for range 10 {
		take()
	}

	// Those that nsqd has given up on are dropped by pop and by push.
	c.inFlight.Store(0)
	next = 2 // the third, as the first is dropped before it is numbered
	for _, expires := range []time.Time{start.Add(-1), start.Add(-1), start.Add(time.Hour)} {
		if err := add(delivery{expires: expires}, 2); err != nil {
			t.Errorf("the queue holds nothing of use, but: %v", err)
		}
	}
	if err := add(delivery{expires: start.Add(time.Hour)}, 1); !errors.Is(err, errTooMany) {
		t.Errorf("beyond the limit: %v", err)
	}
	if n := c.inFlight.Load(); n != 2 {
		t.Errorf("%d messages in flight, want the one that waits and the one that was refused", n)
	}
	take()

	// Those of a lost connection as well, but not their last delivery.
	if err := add(delivery{}, 2); err != nil {
		t.Fatal(err)
	}
	next = uint16(c.inFlight.Load()) + 1
	if err := add(delivery{expires: start.Add(-1), last: true}, 2); err != nil {
		t.Fatal(err)
	}
	if err := add(delivery{last: true}, 2); !errors.Is(err, errTooMany) {
		t.Errorf("beyond the limit, on the last delivery: %v", err)
	}
	c.lost.Store(true)
	q.close()
	if n := q.lastOf(c.nsqd); n != 1 {
		t.Errorf("%d messages wait on their last delivery, want 1", n)
	}
	take()
	if d, ok := q.pop(); ok {
		t.Errorf("got message %d of a lost connection", d.m.Attempts)
	}
	if c.queued != 0 || q.lastOf(c.nsqd) != 0 {
		t.Errorf("the queue is empty and counts %d messages, %d of them on their last delivery", c.queued, q.lastOf(c.nsqd))
	}
	if n, m := q.dropped(), q.dropped(); n != 3 || m != 0 {
		t.Errorf("dropped %d, then %d; want 3 once", n, m)
	}
}

// What expires while it waits is not handed out, whichever expires first.
func TestExpiredWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q messageQueue
		q.init()
		c := &consumerConn{nsqdConn: newNSQDConn(nil, "", nil), nsqd: &nsqd{}}
		push := func(timeouts ...time.Duration) {
			for _, timeout := range timeouts {
				now := time.Now()
				d := delivery{m: &Message{Body: []byte(timeout.String())}, c: c, expires: now.Add(timeout)}
				if err := q.push([]delivery{d}, now, 100); err != nil {
					t.Error(err)
				}
			}
		}
		pop := func(want string) {
			t.Helper()
			if d, ok := q.pop(); !ok || string(d.m.Body) != want {
				t.Errorf("got %+v, %v; want the message of %s", d.m, ok, want)
			}
		}
		push(time.Second)
		pop("1s")
		push(3*time.Second, time.Second, 4*time.Second)
		<-time.After(2 * time.Second)
		pop("3s")
		pop("4s") // as that of 1s has expired
		push(time.Second, 5*time.Second)
		pop("1s")
		push(time.Second)
		<-time.After(2 * time.Second)
		pop("5s")
		q.close()
		if d, ok := q.pop(); ok {
			t.Errorf("got %s, which has expired", d.m.Body)
		}
		if n := q.dropped(); n != 2 {
			t.Errorf("dropped %d messages, want 2", n)
		}
	})
}
