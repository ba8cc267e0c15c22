package nsqlookupd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A waiting is a call of wait that runs.
type waiting struct {
	done   chan struct{}
	answer *lookupAnswer
	after  time.Duration
	cancel context.CancelFunc
}

func startWait(t testing.TB, db *database, topic, tag string) *waiting {
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiting{done: make(chan struct{}), cancel: cancel}
	start := time.Now()
	go func() {
		defer close(w.done)
		answer, err := db.wait(ctx, topic, tag)
		if err != nil {
			t.Errorf("wait: %v", err)
		}
		w.answer, w.after = answer, time.Since(start)
	}()
	return w
}

// over reports whether the call has returned.
func (w *waiting) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// end cancels and waits.
func (w *waiting) end() {
	w.cancel()
	<-w.done
}

// Thousands may wait for a topic: waking them, and what they then ask for, is not
// part of the critical section.
func TestWaitersWakeAfterTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(testTimeout, testLifetime)
		p := db.identify(testInfo(1, "a"))
		w := startWait(t, db, "t", unknownTopicTag)
		synctest.Wait()
		db.change(func(r *registry) {
			if err := r.register(p, "t", ""); err != nil {
				t.Error(err)
			}
			runtime.Gosched() // for a waiter that would be awake
			watched, _ := db.watches.byTopic.Load("t")
			if n := watched.(*watch).waiters.Load(); n != 1 || len(db.ended) == 0 {
				t.Errorf("%d wait, %d periods are to be ended: want 1 and some", n, len(db.ended))
			}
			for _, p := range db.ended {
				select {
				case <-p.over:
					t.Error("a period is over before the change is made")
				default:
				}
			}
		})
		synctest.Wait()
		if !w.over() {
			t.Error("still waits")
		}
		w.end()
	})
}

// Whatever changes the producers of a topic wakes who waits for it, and nobody
// else; what changes nothing wakes nobody.
func TestWaitReturnsWhenProducersChange(t *testing.T) {
	type nsqds struct{ a, b *producer }
	for name, test := range map[string]struct {
		change func(db *database, p nsqds)
		want   bool
	}{
		"a producer more":               {func(db *database, p nsqds) { db.register(p.b, "t", "") }, true},
		"with a channel":                {func(db *database, p nsqds) { db.register(p.b, "t", "d") }, true},
		"again":                         {func(db *database, p nsqds) { db.register(p.a, "t", "c") }, false},
		"a channel more":                {func(db *database, p nsqds) { db.register(p.a, "t", "d") }, false},
		"a channel created":             {func(db *database, p nsqds) { db.createChannel("t", "d") }, false},
		"a channel less":                {func(db *database, p nsqds) { db.unregister(p.a, "t", "c") }, false},
		"a channel deleted":             {func(db *database, p nsqds) { db.deleteChannel("t", "c") }, false},
		"a topic that is there":         {func(db *database, p nsqds) { db.createTopic("t") }, false},
		"another topic":                 {func(db *database, p nsqds) { db.register(p.a, "u", "") }, false},
		"unregistered":                  {func(db *database, p nsqds) { db.unregister(p.a, "t", "") }, true},
		"disconnected":                  {func(db *database, p nsqds) { db.disconnect(p.a) }, true},
		"another disconnected":          {func(db *database, p nsqds) { db.disconnect(p.b) }, false},
		"deleted":                       {func(db *database, p nsqds) { db.deleteTopic("t") }, true},
		"tombstoned":                    {func(db *database, p nsqds) { db.tombstone("t", "host-0.example.com:4151") }, true},
		"tombstoned for another topic":  {func(db *database, p nsqds) { db.tombstone("u", "host-0.example.com:4151") }, false},
		"another node tombstoned":       {func(db *database, p nsqds) { db.tombstone("t", "host-1.example.com:4151") }, false},
		"PING":                          {func(db *database, p nsqds) { db.ping(p.a) }, false},
		"reconnected, as the same nsqd": {func(db *database, p nsqds) { db.register(db.identify(p.a.info), "t", ""); db.disconnect(p.a) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := newDatabase(testTimeout, testLifetime)
				producers := (fleet{producers: 2}).connect(db)
				p := nsqds{producers[0], producers[1]}
				db.register(p.a, "t", "c")
				var w *waiting
				if strings.HasPrefix(name, "reconnected") { // one connection more for a moment is a change
					before := db.lookup("t").tag
					test.change(db, p)
					w = startWait(t, db, "t", before)
				} else {
					w = startWait(t, db, "t", db.lookup("t").tag)
					synctest.Wait()
					test.change(db, p)
				}
				synctest.Wait()
				if w.over() != test.want {
					t.Errorf("returned: %v, want %v", w.over(), test.want)
				}
				w.end()
				now := db.lookup("t")
				if w.answer.tag != now.tag || w.answer.found != now.found || now.found && string(w.answer.JSON()) != string(now.JSON()) {
					t.Errorf("got %s, /lookup says %s", w.answer.JSON(), now.JSON())
				}
				noneWaits(t, db)
			})
		})
	}
}

// noneWaits checks that no waiter leaves anything behind.
func noneWaits(t *testing.T, db *database) {
	t.Helper()
	if n := db.watches.waiting.Load(); n != 0 {
		t.Errorf("%d are still waiting", n)
	}
	db.watches.byTopic.Range(func(topic, _ any) bool {
		t.Errorf("%v is still watched", topic)
		return true
	})
}

func TestWaitReturnsWhenATopicAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(testTimeout, testLifetime)
		w := startWait(t, db, "t", unknownTopicTag)
		synctest.Wait()
		db.createTopic("t")
		<-w.done
		if !w.answer.found || len(w.answer.producers) != 0 {
			t.Errorf("got %s", w.answer.JSON())
		}
	})
}

// What time changes is told in time, to the nanosecond.
func TestWaitReturnsWhenTimeChangesProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(testTimeout, testLifetime)
		producers := (fleet{producers: 2}).connect(db)
		a, b := producers[0], producers[1]
		db.register(a, "t", "")
		db.register(b, "t", "")
		check := func(what string, want time.Duration, then ...*producer) {
			t.Helper()
			w := startWait(t, db, "t", db.lookup("t").tag)
			<-w.done
			if w.after != want || fmt.Sprint(w.answer.producers) != fmt.Sprint(then) {
				t.Errorf("%s: returned after %v with %d producers, want %v and %d", what, w.after, len(w.answer.producers), want, len(then))
			}
		}
		db.tombstone("t", "host-0.example.com:4151")
		check("a tombstone expires", testLifetime, a, b)

		db.ping(b)
		check("one is silent", testTimeout-testLifetime+1, b)

		time.AfterFunc(time.Minute, func() { db.ping(a) })
		check("the other, too", testLifetime)
		check("the first is heard of again", time.Minute-testLifetime, a)

		db.ping(a)
		db.ping(b)
		check("both are", testTimeout+1)

		// Pings of all move the time on while somebody waits.
		db.ping(a)
		db.ping(b)
		for i := range 20 {
			time.AfterFunc(time.Duration(i+1)*15*time.Second, func() { db.ping(a); db.ping(b) })
		}
		check("silent after pings", 20*15*time.Second+testTimeout+1)
		noneWaits(t, db)
	})
}

// Many wait for one topic, and one for each of many topics; what happens to one
// topic is no matter of the others.
func TestManyWait(t *testing.T) {
	const many = 10_000
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase(testTimeout, testLifetime)
		p := db.identify(testInfo(1, "a"))
		db.createTopic("t")
		var crowd, others []*waiting
		for n := range many {
			topic := fmt.Sprintf("t%d", n)
			db.createTopic(topic)
			crowd = append(crowd, startWait(t, db, "t", db.lookup("t").tag))
			others = append(others, startWait(t, db, topic, db.lookup(topic).tag))
		}
		synctest.Wait()
		db.register(p, "t", "")
		synctest.Wait()
		for _, w := range crowd {
			if !w.over() || w.answer != crowd[0].answer {
				t.Fatal("a waiter did not get the answer that all share")
			}
		}
		for _, w := range others {
			if w.over() {
				t.Fatal("a waiter for another topic has returned")
			}
		}
		db.register(p, "t7", "")
		<-others[7].done
		for _, w := range others {
			w.cancel()
		}
		for _, w := range others {
			<-w.done
		}
		noneWaits(t, db)
	})
}

func TestTooManyWait(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	db.watches.waiting.Store(maxWaiting)
	if _, err := db.wait(t.Context(), "t", unknownTopicTag); err != errTooManyWaiting {
		t.Errorf("got %v, want %v", err, errTooManyWaiting)
	}
	if n := db.watches.waiting.Load(); n != maxWaiting {
		t.Errorf("%d are waiting, want %d", n, maxWaiting)
	}
}

// No change is missed between reading a tag and beginning to wait: clients that
// only wait, each time with the tag they got last, all see the last change.
func TestNoChangeIsMissed(t *testing.T) {
	const topics, watchers, changes = 3, 8, 3_000
	db := newDatabase(testTimeout, testLifetime)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var watching, changing sync.WaitGroup
	var last [topics]string                       // the tag after the last change
	var waitsWith [topics * watchers]atomic.Value // the tag that a watcher got last
	for n := range waitsWith {
		watching.Go(func() {
			tag := unknownTopicTag
			for ctx.Err() == nil {
				waitsWith[n].Store(tag)
				a, err := db.wait(ctx, fmt.Sprint("t", n%topics), tag)
				if err != nil {
					t.Error(err)
					return
				}
				if tag = a.tag; n%2 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for topic := range topics {
		changing.Go(func() {
			name := fmt.Sprint("t", topic)
			p := db.identify(testInfo(topic, name))
			for range changes {
				switch rand.IntN(4) {
				case 0:
					db.register(p, name, "")
				case 1:
					db.unregister(p, name, "")
				case 2:
					db.tombstone(name, name+":4151")
				case 3:
					db.deleteTopic(name)
				}
				if rand.IntN(8) == 0 {
					runtime.Gosched()
				}
			}
			db.register(p, name+".other", "")
			db.deleteTopic(name)
			db.register(p, name, "")
			db.register(db.identify(testInfo(100+topic, "last")), name, "") // a tag that was not there before
			last[topic] = db.lookup(name).tag
			db.createTopic(name) // changes nothing
		})
	}
	changing.Wait()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := range waitsWith {
		for waitsWith[n].Load() != last[n%topics] && ctx.Err() == nil {
			<-tick.C
		}
		if got := waitsWith[n].Load(); got != last[n%topics] {
			t.Errorf("a change of topic %d after %v was missed", n%topics, got)
		}
	}
	cancel()
	watching.Wait()
	noneWaits(t, db)
}

// What changes while an answer is made is not missed: the topic has so many
// producers that most changes fall into that time.
func TestNoChangeIsMissedMeanwhile(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	producers := (fleet{producers: 2_000}).connect(db)
	for _, p := range producers[1:] {
		db.register(p, "t", "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	begin := time.Now()
	tag := db.lookup("t").tag
	took := time.Since(begin)
	for round := range 500 {
		var change sync.WaitGroup
		change.Go(func() {
			for start := time.Now(); time.Since(start) < rand.N(2*took); {
				runtime.Gosched()
			}
			if round%2 == 0 {
				db.register(producers[0], "t", "")
			} else {
				db.unregister(producers[0], "t", "")
			}
		})
		a, _ := db.wait(ctx, "t", tag)
		change.Wait()
		if tag = db.lookup("t").tag; a.tag != tag || ctx.Err() != nil {
			t.Fatalf("round %d: got %s (%v), want %s", round, a.tag, ctx.Err(), tag)
		}
	}
}

// A producer that comes back by a PING just when somebody looks is not missed.
func TestNoReturnIsMissed(t *testing.T) {
	db := newDatabase(time.Hour, time.Minute)
	p := db.identify(testInfo(1, "a"))
	db.register(p, "t", "")
	active := db.lookup("t").tag
	db.createTopic("u")
	none := db.lookup("u").tag
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 2000 {
		p.lastUpdate.Store(db.now().Add(-2 * time.Hour).UnixNano())
		var ping sync.WaitGroup
		ping.Go(func() { db.ping(p) })
		if a, _ := db.wait(ctx, "t", none); a.tag != active || ctx.Err() != nil {
			t.Fatalf("got %s (%v), want %s", a.tag, ctx.Err(), active)
		}
		ping.Wait()
	}
}
