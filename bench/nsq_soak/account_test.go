package main

import (
	"strings"
	"testing"
	"time"
)

const second = int64(time.Second)

// A history is what happens to message 0 of a topic with one channel, step by step.
type history struct {
	t    *testing.T
	l    *ledger
	a    *account
	at   int64
	last *delivery
}

func newHistory(t *testing.T, channels ...string) *history {
	l := newLedger("topic", 0, newBodies(1), append([]string{"channel"}, channels...)...)
	l.take(100)
	return &history{t: t, l: l, a: l.channels[0], at: 100 * second}
}

// after lets time go by.
func (h *history) after(d time.Duration) *history { h.at += int64(d); return h }

func (h *history) publish(o outcome) *history {
	h.l.note(0, 1, o, 0)
	return h
}

func (h *history) deferred(d time.Duration) *history {
	h.l.deferred(0, h.at+int64(d))
	return h.publish(acked)
}

// receive receives it on a connection with a time-out of a second.
func (h *history) receive(attempts uint16) *history {
	h.last = h.a.receive(holder{0, time.Second}, h.l.bodies.append(nil, 0, 0), attempts, h.at, h.at)
	return h
}

func (h *history) finish() *history { h.a.finish(h.last); return h }

func (h *history) requeue(delay time.Duration) *history {
	h.a.requeue(h.last, h.at+int64(delay))
	return h
}

func (h *history) confirm() *history { h.a.confirm([]*delivery{h.last}); return h }

// fail is the refusal of an answer.
func (h *history) fail() *history { h.a.fail(h.last, h.at, "E_FIN_FAILED"); return h }

// end ends the connection.
func (h *history) end() *history { h.a.end([]*delivery{h.last}, h.at); return h }

// done is a FIN that nsqd obeys.
func (h *history) done() *history { return h.finish().confirm() }

// late has f done to the delivery before the last one.
func (h *history) late(of *delivery, f func()) *history {
	last := h.last
	h.last = of
	f()
	h.last = last
	return h
}

// closed closes the ledger and compares its faults.
func (h *history) closed(want map[fault]int64) *totals {
	h.t.Helper()
	h.l.close()
	got := h.a.totals()
	for f, name := range faultNames {
		if got.faults[f] != want[fault(f)] {
			h.t.Errorf("%d faults of the kind %q, want %d:\n%s", got.faults[f], name, want[fault(f)], strings.Join(got.examples, "\n"))
		}
	}
	return got
}

func TestFaultsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		play func(h *history)
		want fault
	}{
		"a message is lost":                       {func(h *history) { h.publish(acked) }, missing},
		"it is received and not finished":         {func(h *history) { h.publish(acked).receive(1) }, missing},
		"it is requeued and does not come again":  {func(h *history) { h.publish(acked).receive(1).requeue(0).confirm() }, missing},
		"it times out and does not come again":    {func(h *history) { h.publish(acked).receive(1).after(time.Second).fail() }, missing},
		"it goes with a connection":               {func(h *history) { h.publish(acked).receive(1).end() }, missing},
		"one that was refused is there":           {func(h *history) { h.publish(refused).receive(1).done() }, neverSent},
		"it comes twice":                          {func(h *history) { h.publish(acked).receive(1).done().receive(2) }, again},
		"it comes to two at once":                 {func(h *history) { h.publish(acked).receive(1).receive(2).done() }, again},
		"it times out too early":                  {func(h *history) { h.publish(acked).receive(1).after(400 * time.Millisecond).receive(2).done() }, again},
		"a published deferral is too short":       {func(h *history) { h.deferred(time.Second).after(990 * time.Millisecond).receive(1).done() }, early},
		"a requeued one comes too early":          {func(h *history) { h.publish(acked).receive(1).requeue(time.Second).confirm().receive(2).done() }, early},
		"attempts are not counted":                {func(h *history) { h.publish(acked).receive(1).requeue(0).confirm().receive(1).done() }, attempt},
		"attempts are counted twice":              {func(h *history) { h.publish(acked).receive(1).requeue(0).confirm().receive(3).done() }, attempt},
		"attempts begin at 0":                     {func(h *history) { h.publish(acked).receive(0).done() }, attempt},
		"FIN is refused and its time is not over": {func(h *history) { h.publish(acked).receive(1).finish().fail().receive(2).done() }, unexplained},
		"an error about something else":           {func(h *history) { h.publish(acked).receive(1).done().a.odd("E_INVALID") }, unexplained},
		"FIN is obeyed, and it came again meanwhile": {func(h *history) {
			first := h.publish(acked).receive(1).finish().last
			h.after(2*time.Second).receive(2).late(first, func() { h.confirm() }).done()
		}, again},
		"REQ is obeyed, and it came before its time": {func(h *history) {
			first := h.publish(acked).receive(1).requeue(time.Minute).last
			h.after(2*time.Second).receive(2).late(first, func() { h.confirm() }).done()
		}, early},
		"it came again too early, and then the connection ended": {func(h *history) {
			first := h.publish(acked).receive(1).finish().last
			h.receive(2).late(first, func() { h.end() }).done()
		}, again},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			c.play(h)
			h.closed(map[fault]int64{c.want: 1})
		})
	}
}

func TestOtherMessagesAreFound(t *testing.T) {
	h := newHistory(t)
	h.publish(acked).receive(1).done()
	at := holder{0, time.Second}
	if d := h.a.receive(at, []byte("not one of ours"), 1, 0, 0); d != nil {
		t.Error("it is taken for one of ours")
	}
	if d := h.a.receive(at, h.l.bodies.append(nil, 0, 100), 1, 0, 0); d != nil {
		t.Error("it is taken for one that was published")
	}
	h.closed(map[fault]int64{altered: 1, neverSent: 1})
}

// What was published to all channels or none may not be on one of two.
func TestAHalfPublishIsFound(t *testing.T) {
	h := newHistory(t, "other")
	h.publish(doubtful).receive(1).done()
	h.closed(nil)
	if other := h.l.channels[1].totals(); other.faults[half] != 1 {
		t.Errorf("the other channel has the faults %v", other.faults)
	}
}

func TestReasonsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		play   func(h *history)
		again  [causes]int64
		counts counts
	}{
		"finished":                    {func(h *history) { h.publish(acked).receive(1).done() }, [causes]int64{}, counts{finishes: 1}},
		"not answered, not there":     {func(h *history) { h.publish(doubtful) }, [causes]int64{}, counts{}},
		"not answered, there":         {func(h *history) { h.publish(doubtful).receive(1).done() }, [causes]int64{}, counts{finishes: 1}},
		"received before it is acked": {func(h *history) { h.receive(1).done().publish(acked) }, [causes]int64{}, counts{finishes: 1}},
		"deferred":                    {func(h *history) { h.deferred(time.Second).after(time.Second).receive(1).done() }, [causes]int64{}, counts{finishes: 1}},
		"requeued": {func(h *history) {
			h.publish(acked).receive(1).requeue(time.Second).confirm().after(time.Second).receive(2).done()
		}, [causes]int64{requeue: 1}, counts{finishes: 1, requeues: 1}},
		"requeued, confirmed when it has come again": {func(h *history) {
			first := h.publish(acked).receive(1).requeue(0).last
			h.receive(2).late(first, func() { h.confirm() }).done()
		}, [causes]int64{requeue: 1}, counts{finishes: 1, requeues: 1}},
		"timed out": {func(h *history) {
			h.publish(acked).receive(1).after(time.Second).receive(2).done()
		}, [causes]int64{timeOut: 1}, counts{finishes: 1, timeouts: 1}},
		"timed out, and FIN refused before it comes again": {func(h *history) {
			h.publish(acked).receive(1).after(time.Second).finish().fail().receive(2).done()
		}, [causes]int64{timeOut: 1}, counts{finishes: 1, timeouts: 1}},
		"timed out, and FIN refused when it has come again": {func(h *history) {
			first := h.publish(acked).receive(1).after(time.Second).finish().last
			h.receive(2).late(first, func() { h.fail() }).done()
		}, [causes]int64{timeOut: 1}, counts{finishes: 1, timeouts: 1}},
		"the connection was lost": {func(h *history) {
			h.publish(acked).receive(1).end().receive(2).done()
		}, [causes]int64{lostConnection: 1}, counts{finishes: 1}},
		"lost with a FIN that had counted": {func(h *history) {
			h.publish(acked).receive(1).finish().end()
		}, [causes]int64{}, counts{finishes: 1}},
		"lost with a FIN that had not": {func(h *history) {
			h.publish(acked).receive(1).finish().end().receive(2).done()
		}, [causes]int64{lostConnection: 1}, counts{finishes: 1}},
		"lost with a REQ": {func(h *history) {
			h.publish(acked).receive(1).requeue(time.Minute).end().receive(2).done()
		}, [causes]int64{lostConnection: 1}, counts{finishes: 1, maybeRequeues: 1}},
		"lost when it may have timed out": {func(h *history) {
			h.publish(acked).receive(1).after(time.Second).end().receive(2).done()
		}, [causes]int64{lostConnection: 1}, counts{finishes: 1, maybeTimeouts: 1}},
		"lost before we saw it": {func(h *history) {
			h.publish(acked).a.end(nil, h.at)
			h.receive(2).done()
		}, [causes]int64{}, counts{finishes: 1, maybeTimeouts: 1}},
		"again on the same connection": {func(h *history) {
			first := h.publish(acked).receive(1).finish().after(time.Second).last
			h.receive(2)
			if s, _ := h.a.sameConnection(first); s != timedOut {
				h.t.Errorf("the first has the state %d", s)
			}
			h.done()
		}, [causes]int64{timeOut: 1}, counts{finishes: 1, timeouts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			c.play(h)
			got := h.closed(nil)
			if got.again != c.again || got.counts != c.counts {
				t.Errorf("again %v, %+v; want %v, %+v", got.again, got.counts, c.again, c.counts)
			}
		})
	}
}
