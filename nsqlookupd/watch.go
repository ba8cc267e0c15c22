package nsqlookupd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting is how many requests wait at a time. Each is a connection with two
// goroutines, about 20 KiB.
const maxWaiting = 50_000

var errTooManyWaiting = errors.New("too many waiting requests")

// watches are the topics that somebody waits for. A change looks here while it
// holds the mutex of the database, so there is no lock that many waiters take:
// when all of a topic wake up they must not stand in the way of registrations.
type watches struct {
	limit   int64 // of waiting; set before the first
	waiting atomic.Int64
	byTopic sync.Map // topic string to *watch
}

// A watch is one topic that somebody waits for.
type watch struct {
	topic    string
	waiters  atomic.Int64           // -1: it is out of byTopic for ever
	revision atomic.Uint64          // goes up when /lookup shows something else of the topic
	period   atomic.Pointer[period] // ends when it shows other producers

	mu       sync.Mutex // answer, answered, timer; taken before the mutex of the database
	answer   *lookupAnswer
	answered uint64 // the revision that was seen before answer was made
	timer    *time.Timer
}

// A period is the time between two changes of a topic's producers.
type period struct{ over chan struct{} }

func newPeriod() *period { return &period{over: make(chan struct{})} }

// end wakes who waits for the end of the period, of which there may be none.
func (p *period) end() {
	if p != nil {
		close(p.over)
	}
}

// changed is called after each change, in its critical section. It returns the
// period that is over by that, if one is: to be ended when nobody has to wait
// for the mutex any more.
func (ws *watches) changed(topic string, producers bool) *period {
	if ws.waiting.Load() == 0 {
		return nil // who comes later takes its snapshot later, too
	}
	if w, ok := ws.byTopic.Load(topic); ok {
		return w.(*watch).changed(producers)
	}
	return nil
}

// changed lets the answer be made anew and, if its producers may be others,
// begins a period. It returns the one before.
func (w *watch) changed(producers bool) *period {
	w.revision.Add(1)
	if !producers {
		return nil
	}
	return w.period.Swap(newPeriod())
}

// wait returns what /lookup shows of a topic as soon as its tag is another than
// the given one, or ctx has ended. The error means that too many wait already.
func (db *database) wait(ctx context.Context, topic, tag string) (*lookupAnswer, error) {
	w, err := db.watches.join(topic)
	if err != nil {
		return nil, err
	}
	defer db.watches.leave(w)
	for {
		period := w.period.Load() // before the answer: what changes after it ends this period
		if a := db.answer(w); a.tag != tag {
			return a, nil
		}
		select {
		case <-period.over:
		case <-ctx.Done():
			return db.answer(w), nil
		}
	}
}

// join finds or makes the watch of a topic. The caller must leave it.
func (ws *watches) join(topic string) (*watch, error) {
	if ws.waiting.Add(1) > ws.limit {
		ws.waiting.Add(-1)
		return nil, errTooManyWaiting
	}
	for {
		found, ok := ws.byTopic.Load(topic)
		if !ok {
			w := &watch{topic: topic}
			w.period.Store(newPeriod())
			found, _ = ws.byTopic.LoadOrStore(topic, w)
		}
		if w := found.(*watch); w.enter() {
			return w, nil
		}
	}
}

// enter counts a waiter, unless the watch is out of byTopic or about to be.
func (w *watch) enter() bool {
	for {
		n := w.waiters.Load()
		if n < 0 {
			return false
		}
		if w.waiters.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave ends what join began. The last waiter removes the watch.
func (ws *watches) leave(w *watch) {
	ws.waiting.Add(-1)
	if w.waiters.Add(-1) > 0 || !w.waiters.CompareAndSwap(0, -1) {
		return
	}
	ws.byTopic.CompareAndDelete(w.topic, w)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// answer returns what /lookup shows of the topic now. Its waiters share it until
// something changes, and it makes sure that they wake up when time alone does.
func (db *database) answer(w *watch) *lookupAnswer {
	w.mu.Lock()
	defer w.mu.Unlock()
	view := db.view()
	revision := w.revision.Load() // before the snapshot: what changes after it makes the answer stale
	if w.answer != nil && w.answered == revision && view.now.UnixNano() < w.answer.until {
		return w.answer
	}
	w.answer, w.answered = db.snapshot().lookup(w.topic, view), revision
	if wait := time.Duration(w.answer.until - view.now.UnixNano()); w.timer == nil {
		w.timer = time.AfterFunc(wait, func() { w.changed(true).end() })
	} else {
		w.timer.Reset(wait)
	}
	return w.answer
}
