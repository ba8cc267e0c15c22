package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// script is habits that are known beforehand: what becomes of each delivery, in turn.
type script []choice

func (s *script) choose(*rand.Rand) choice {
	next := (*s)[0]
	*s = (*s)[1:]
	return next
}

func (s *script) ready(*rand.Rand) (int, time.Duration) { return 1, time.Hour }

func (s *script) life(*rand.Rand) (time.Duration, bool, time.Duration) {
	return time.Hour, true, time.Second
}

// An exchange is what a session, with a time-out of a second, and nsqd say to each
// other about message 0.
type exchange struct {
	t  *testing.T
	s  *session
	at int64
}

func newExchange(t *testing.T, choices ...choice) *exchange {
	l := newLedger("topic", 0, newBodies(1), "channel")
	l.take(1)
	l.note(0, 1, acked, 0)
	return &exchange{t, &session{
		holder:  holder{0, time.Second},
		account: l.channels[0],
		habits:  (*script)(&choices),
		holds:   make(map[[wire.MessageIDLen]byte]*inHand),
		failed:  make(map[[wire.MessageIDLen]byte]bool),
	}, now()}
}

// says has nsqd send a frame.
func (x *exchange) says(frame []byte) {
	x.t.Helper()
	x.s.in = append(x.s.in, frame...)
	if err := x.s.frames(x.at); err != nil {
		x.t.Fatal(err)
	}
}

func (x *exchange) delivers(attempts uint16) {
	x.t.Helper()
	x.at = max(x.at, now()) // what the session has answered, it has by its own clock
	x.s.drained = x.at
	x.says(wire.AppendMessageFrame(nil, 0, attempts, 7, x.s.account.ledger.bodies.append(nil, 0, 0)))
}

// refuses has nsqd refuse a command.
func (x *exchange) refuses(code, command string) {
	x.t.Helper()
	desc := fmt.Sprintf("%s %s failed ID not in flight", command, wire.AppendID(nil, 7))
	x.says(wire.AppendError(nil, wire.NewError(code, desc, nil)))
}

// waits lets time go by, and the session do what is due.
func (x *exchange) waits(d time.Duration) {
	x.at += int64(d)
	x.s.doWhatIsDue(x.at)
}

// passes has nsqd answer all that the session has asked.
func (x *exchange) passes() {
	x.t.Helper()
	for x.waits(barrierEvery); len(x.s.barriers) > 0; {
		desc := fmt.Sprintf("TOUCH %s failed ID not in flight", barrierID(x.s.passed))
		x.says(wire.AppendError(nil, wire.NewError(wire.TouchFailed, desc, nil)))
	}
}

func TestSessionsKnowWhatBecameOfMessages(t *testing.T) {
	const late = 1200 * time.Millisecond
	finish, requeue, postpone, forget := choice{}, choice{act: actRequeue}, choice{actPostpone, 2 * time.Second}, choice{act: actForget}
	for name, c := range map[string]struct {
		choices []choice
		play    func(x *exchange)
		want    counts
		odd     int64
	}{
		"FIN": {[]choice{finish}, func(x *exchange) {
			x.delivers(1)
		}, counts{finishes: 1}, 0},
		"REQ": {[]choice{requeue, finish}, func(x *exchange) {
			x.delivers(1)
			x.passes()
			x.delivers(2)
		}, counts{finishes: 1, requeues: 1}, 0},
		"REQ, again before that is known": {[]choice{requeue, finish}, func(x *exchange) {
			x.delivers(1)
			x.delivers(2)
		}, counts{finishes: 1, requeues: 1}, 0},
		"FIN after the time-out": {[]choice{forget, finish}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.delivers(2)
		}, counts{finishes: 1, timeouts: 1}, 0},
		"FIN is too late": {[]choice{finish, finish}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.refuses(wire.FinFailed, "FIN")
			x.delivers(2)
		}, counts{finishes: 1, timeouts: 1}, 0},
		"FIN is too late and taken for the next delivery": {[]choice{finish, requeue}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.delivers(2)
			x.refuses(wire.FinFailed, "FIN")
		}, counts{finishes: 1, timeouts: 1}, 0},
		"REQ is too late": {[]choice{requeue, forget}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.delivers(2)
			x.refuses(wire.ReqFailed, "REQ")
		}, counts{finishes: 1, timeouts: 1}, 0},
		"REQ is too late and taken for the next delivery": {[]choice{requeue, requeue, finish}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.delivers(2)
			x.refuses(wire.FinFailed, "FIN")
			x.passes()
			x.delivers(3)
		}, counts{finishes: 1, requeues: 1, timeouts: 1}, 0},
		"TOUCH and FIN": {[]choice{postpone}, func(x *exchange) {
			x.delivers(1)
			x.waits(500 * time.Millisecond)
			x.waits(500 * time.Millisecond)
			x.waits(time.Second)
		}, counts{finishes: 1}, 0},
		"TOUCH and FIN are too late": {[]choice{postpone, finish}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.waits(time.Second)
			x.refuses(wire.TouchFailed, "TOUCH")
			x.refuses(wire.FinFailed, "FIN")
			x.delivers(2)
		}, counts{finishes: 1, timeouts: 1}, 0},
		"TOUCH is too late, which is told after the next delivery": {[]choice{postpone, finish}, func(x *exchange) {
			x.delivers(1)
			x.waits(late)
			x.delivers(2)
			x.refuses(wire.TouchFailed, "TOUCH")
		}, counts{finishes: 1, timeouts: 1}, 0},
		"FIN is refused twice": {[]choice{finish, finish}, func(x *exchange) {
			x.delivers(1)
			x.passes()
			x.refuses(wire.FinFailed, "FIN")
		}, counts{finishes: 1}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			x := newExchange(t, c.choices...)
			c.play(x)
			x.passes()
			if len(x.s.holds) > 0 || !x.s.settled() {
				t.Errorf("the session does not know all: %v", x.s.holds)
			}
			x.s.letGo()
			x.s.account.ledger.close()
			got := x.s.account.totals()
			if got.counts != c.want {
				t.Errorf("%+v, want %+v", got.counts, c.want)
			}
			if want := [faults]int64{unexplained: c.odd}; got.faults != want {
				t.Errorf("faults:\n%s", strings.Join(got.examples, "\n"))
			}
		})
	}
}

func TestSessionsAnswer(t *testing.T) {
	x := newExchange(t)
	x.says(wire.AppendFrame(nil, wire.FrameResponse, wire.Heartbeat))
	if got := string(x.s.out); got != "NOP\n" {
		t.Errorf("a heartbeat was answered %q", got)
	}
	for name, frame := range map[string][]byte{
		"a fatal error":       wire.AppendError(nil, wire.NewError(wire.Invalid, "TOUCH what", nil)),
		"a response":          wire.AppendFrame(nil, wire.FrameResponse, wire.OK),
		"a barrier not asked": wire.AppendError(nil, wire.NewError(wire.TouchFailed, "TOUCH "+barrierID(0)+" failed ID not in flight", nil)),
	} {
		x := newExchange(t)
		x.s.in = frame
		if err := x.s.frames(x.at); err == nil {
			t.Errorf("%s is taken as if nothing were wrong", name)
		}
	}
}
