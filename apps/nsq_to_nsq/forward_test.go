package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/hostpool"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// answers notes how messages are answered. It is a delegate of theirs.
type answers struct {
	finished, requeued, returned int
	ctx                          context.Context // of every message
}

func (a *answers) OnFinish(*nsq.Message) { a.finished++ }
func (a *answers) OnTouch(*nsq.Message)  {}
func (a *answers) OnRequeue(_ *nsq.Message, _ time.Duration, backoff bool) {
	if backoff {
		a.requeued++
	} else {
		a.returned++
	}
}
func (a *answers) Context(*nsq.Message) context.Context { return a.ctx }

func (a *answers) expect(t *testing.T, finished, requeued, returned int) {
	t.Helper()
	if a.finished != finished || a.requeued != requeued || a.returned != returned {
		t.Errorf("%d messages finished, %d requeued, %d returned, want %d, %d, %d", a.finished, a.requeued, a.returned, finished, requeued, returned)
	}
}

// testForwarder is a forwarder whose destinations are played by the test.
func testForwarder(t *testing.T, mode string, destinations, most int) (*forwarder, *answers) {
	t.Helper()
	o := &options{
		topics:       &tool.List{"t"},
		maxInFlight:  most,
		destinations: &tool.List{"a:1", "b:1", "c:1"},
		mode:         mode,
		producer:     nsq.NewConfig(),
	}
	*o.destinations = (*o.destinations)[:destinations]
	f, err := newForwarder(o)
	if err != nil {
		t.Fatal(err)
	}
	return f, &answers{ctx: t.Context()}
}

// give gives n messages to the forwarder, which must have room for them.
func (a *answers) give(t *testing.T, f *forwarder, n int) {
	t.Helper()
	for range n {
		m := nsq.NewMessage(nsq.MessageID([]byte("0123456789abcdef")), nil)
		m.Delegate = a
		m.DisableAutoResponse()
		f.forward(m, "t", nil)
	}
}

// opened returns how many messages are on their way to each destination.
func (f *forwarder) opened() (n []int) {
	for _, to := range f.destinations {
		n = append(n, len(to.open))
	}
	return n
}

func expectOpen(t *testing.T, f *forwarder, want ...int) {
	t.Helper()
	if got := f.opened(); !slices.Equal(got, want) {
		t.Errorf("%v messages are on their way, want %v", got, want)
	}
}

// end ends an attempt at a destination.
func (f *forwarder) end(t *testing.T, destination int, err error) {
	t.Helper()
	for a := range f.destinations[destination].open {
		f.answer(a, err)
		return
	}
	t.Fatalf("nothing is on its way to destination %d", destination)
}

// silence makes a destination look as if it had said nothing for long.
func (f *forwarder) silence(destination int) {
	f.destinations[destination].heard = time.Now().Add(-answerTimeout)
}

var (
	errDial    = errors.New("dial tcp a:1: refused")
	errRefused = nsq.ErrProtocol{Reason: "E_BAD_MESSAGE PUB message too big"}
	errStore   = nsq.ErrProtocol{Reason: "E_PUB_FAILED no space"}
	errAuth    = nsq.ErrProtocol{Reason: `E_UNAUTHORIZED AUTH failed for PUB on "t" ""`}
)

func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		mode         string
		destinations int
		outcomes     []error // in this order, of whatever is on its way
		want         answers
	}{
		"taken":                          {hostpool.RoundRobin, 2, []error{nil}, answers{finished: 1}},
		"one fails, another takes it":    {hostpool.RoundRobin, 2, []error{errDial, nil}, answers{finished: 1}},
		"one is full, another takes it":  {hostpool.RoundRobin, 2, []error{errStore, nil}, answers{finished: 1}},
		"a lost connection":              {hostpool.FailOver, 3, []error{nsq.ErrNotConnected, nsq.ErrNotConnected, nil}, answers{finished: 1}},
		"all fail":                       {hostpool.EpsilonGreedy, 3, []error{errDial, errDial, errDial}, answers{requeued: 1}},
		"the only one fails":             {hostpool.FailOver, 1, []error{errDial}, answers{requeued: 1}},
		"one refuses, another takes it":  {hostpool.FailOver, 2, []error{errRefused, nil}, answers{finished: 1}},
		"all refuse":                     {hostpool.FailOver, 3, []error{errRefused, errRefused, errRefused}, answers{requeued: 1}},
		"no authorization to publish":    {hostpool.RoundRobin, 2, []error{errAuth, nil}, answers{finished: 1}},
		"no authorization to connect":    {hostpool.FailOver, 2, []error{errors.Join(nsq.ErrAuthenticating, errRefused), nil}, answers{finished: 1}},
		"all take it":                    {hostpool.All, 2, []error{nil, nil}, answers{finished: 1}},
		"one of all fails":               {hostpool.All, 3, []error{nil, errDial, nil}, answers{requeued: 1}},
		"one of all refuses, then fails": {hostpool.All, 2, []error{errRefused, errDial}, answers{requeued: 1}},
		"one of all has not answered":    {hostpool.All, 2, []error{nil}, answers{}},
	} {
		t.Run(name, func(t *testing.T) {
			f, got := testForwarder(t, c.mode, c.destinations, 10)
			got.give(t, f, 1)
			for _, err := range c.outcomes {
				f.end(t, slices.IndexFunc(f.destinations, func(to *destination) bool { return len(to.open) > 0 }), err)
			}
			got.expect(t, c.want.finished, c.want.requeued, c.want.returned)
		})
	}
}

// What is lost with the connection on which nsqd refused a message is sent again
// to the same destination. Later, a lost connection is a failure.
func TestDisturbedBesideARefusedMessage(t *testing.T) {
	f, got := testForwarder(t, hostpool.FailOver, 1, 10)
	got.give(t, f, 3)
	f.end(t, 0, errRefused)
	f.end(t, 0, nsq.ErrNotConnected)
	f.end(t, 0, nsq.ErrNotConnected)
	got.expect(t, 0, 1, 0)
	expectOpen(t, f, 2)
	f.end(t, 0, nil)
	f.destinations[0].refused = time.Now().Add(-aftermath)
	f.end(t, 0, nsq.ErrNotConnected)
	got.expect(t, 1, 2, 0)
}

func TestShares(t *testing.T) {
	f, got := testForwarder(t, hostpool.RoundRobin, 2, 100)
	got.give(t, f, 100)
	expectOpen(t, f, 50, 50)
	for range 50 {
		f.end(t, 0, nil)
	}
	got.give(t, f, 50) // the second does not answer any more: it gets some, not all
	expectOpen(t, f, 25, 75)
	for range 25 {
		f.end(t, 0, nil)
	}
	got.give(t, f, 75)
	expectOpen(t, f, 75, 75)
}

// Who does not find room waits for it, but not for the end of the program.
func TestWaitingForRoom(t *testing.T) {
	for name, c := range map[string]struct {
		wake func(f *forwarder)
		want answers
	}{
		"a message is taken":          {func(f *forwarder) { f.end(t, 0, nil) }, answers{finished: 1}},
		"a message fails":             {func(f *forwarder) { f.end(t, 0, errDial) }, answers{requeued: 1}},
		"the program is about to end": {(*forwarder).startStopping, answers{returned: 1}},
	} {
		for _, mode := range []string{hostpool.RoundRobin, hostpool.All} {
			t.Run(name+", "+mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, got := testForwarder(t, mode, 1, 2)
					got.give(t, f, 2)
					waits := true
					go func() {
						got.give(t, f, 1)
						waits = false
					}()
					synctest.Wait()
					if !waits {
						t.Error("there was room for more than that")
					}
					c.wake(f)
					synctest.Wait()
					if waits {
						t.Error("it still waits")
					}
					got.expect(t, c.want.finished, c.want.requeued, c.want.returned)
				})
			})
		}
	}
}

// A destination that fails gets one message at a time, but when all do they are
// equal.
func TestFailingDestination(t *testing.T) {
	f, got := testForwarder(t, hostpool.RoundRobin, 2, 100)
	got.give(t, f, 1)
	f.end(t, 1, errDial) // and the first has it now
	got.give(t, f, 20)
	expectOpen(t, f, 20, 1)
	f.end(t, 1, nil)
	got.give(t, f, 20)
	expectOpen(t, f, 30, 10)

	for i := range 2 {
		for len(f.destinations[i].open) > 0 {
			f.end(t, i, errDial)
		}
	}
	for len(f.destinations[0].open) > 0 {
		f.end(t, 0, errDial)
	}
	got.expect(t, 1, 40, 0)
	got.give(t, f, 20)
	expectOpen(t, f, 10, 10)
}

// The others get what a destination that hangs does not answer, and it gets no
// more. If it does answer, that counts as well.
func TestHangingDestination(t *testing.T) {
	f, got := testForwarder(t, hostpool.RoundRobin, 2, 100)
	got.give(t, f, 20)
	f.silence(0)
	f.relieve(f.destinations[0], time.Now())
	expectOpen(t, f, 10, 20)
	f.relieve(f.destinations[0], time.Now()) // once is enough
	expectOpen(t, f, 10, 20)
	got.give(t, f, 10)
	expectOpen(t, f, 10, 30)
	f.end(t, 0, nil) // also makes it healthy again
	got.expect(t, 1, 0, 0)
	for range 30 {
		f.end(t, 1, nil)
	}
	got.expect(t, 30, 0, 0)
	for range 9 {
		f.end(t, 0, nsq.ErrNotConnected)
	}
	got.expect(t, 30, 0, 0)
	expectOpen(t, f, 0, 0)
}

func TestEveryDestinationHangs(t *testing.T) {
	for _, mode := range hostpool.Modes {
		f, got := testForwarder(t, mode, 2, 100)
		got.give(t, f, 20)
		before := f.opened()
		f.silence(0)
		f.silence(1)
		now := time.Now()
		for _, to := range f.destinations {
			f.relieve(to, now)
		}
		expectOpen(t, f, before...)
		got.expect(t, 0, 0, 0)
		f.startStopping()
		for _, to := range f.destinations {
			f.relieve(to, now)
		}
		got.expect(t, 0, 0, 20)
		for i, to := range f.destinations { // too late
			for len(to.open) > 0 {
				f.end(t, i, nil)
			}
		}
		got.expect(t, 0, 0, 20)
	}
}

// Messages of a source that is gone are not passed around: it delivers them again.
func TestSourceIsGone(t *testing.T) {
	f, got := testForwarder(t, hostpool.RoundRobin, 2, 100)
	ctx, cancel := context.WithCancel(t.Context())
	got.ctx = ctx
	got.give(t, f, 4)
	cancel()
	f.end(t, 0, errDial)
	expectOpen(t, f, 1, 2)
	for a := range f.destinations[0].open {
		if !f.dropPointless(a) {
			t.Error("a message that was not sent yet would be")
		}
	}
	f.silence(1)
	f.relieve(f.destinations[1], time.Now())
	expectOpen(t, f, 0, 2)
	got.expect(t, 0, 0, 0)
}
