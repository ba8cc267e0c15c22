package nsqlookupd

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Polls between changes share a snapshot, and a change makes a new one.
func TestSnapshotsAreShared(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	p := db.identify(testInfo(1, "a"))
	for name, test := range map[string]struct {
		do   func()
		same bool
	}{
		"nothing":              {func() {}, true},
		"PING":                 {func() { db.ping(p) }, true},
		"REGISTER":             {func() { db.register(p, "t", "c") }, false},
		"a topic":              {func() { db.createTopic("u") }, false},
		"nobody is tombstoned": {func() { db.tombstone("v", "a:4151") }, true},
		"unknown":              {func() { db.deleteTopic("v"); db.unregister(p, "v", "") }, true},
	} {
		before := db.snapshot()
		test.do()
		if same := db.snapshot() == before; same != test.same {
			t.Errorf("%s: the same snapshot: %v", name, same)
		}
	}
}

// Between changes nobody who asks stands in the way of a registration: that needs
// the mutex, and what is asked for needs none.
func TestAnswersBetweenChangesNeedNoMutex(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	db.register(db.identify(testInfo(1, "a")), "t", "c")
	db.snapshot()

	db.mu.Lock()
	defer db.mu.Unlock()
	answered := make(chan int, 1)
	go func() { answered <- len(db.lookup("t").producers) }()
	select {
	case n := <-answered:
		if n != 1 {
			t.Errorf("%d producers, want 1", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("/lookup waits for the mutex")
	}
}

// A stalledClient reads nothing until it is released.
type stalledClient struct {
	reached  chan struct{} // closed with the first piece
	released chan struct{}
	once     sync.Once
}

func (c *stalledClient) Write(b []byte) (int, error) {
	c.once.Do(func() { close(c.reached) })
	<-c.released
	return len(b), nil
}

// Whoever reads an answer slowly, or not at all, holds up nothing.
func TestStalledAnswersHoldUpNothing(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	f := fleet{producers: 20, topics: 100, same: false}
	producers := f.connect(db)
	f.register(t, db, producers)
	released := make(chan struct{})
	var wg sync.WaitGroup
	for _, a := range []answer{db.topics(), db.nodes(), db.debug()} {
		c := &stalledClient{reached: make(chan struct{}), released: released}
		wg.Go(func() { a.writeTo(c) })
		<-c.reached
	}
	db.register(producers[0], "late", "c") // would wait for ever
	db.deleteTopic(f.topic(1, 1))
	db.disconnect(producers[2])
	if a := db.lookup("late"); len(a.producers) != 1 {
		t.Errorf("%d producers of the topic that was registered meanwhile", len(a.producers))
	}
	close(released)
	wg.Wait()
}

// A failed write ends an answer.
func TestAnswersEndWithTheirClient(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	f := fleet{producers: 20, topics: 100, same: false}
	f.register(t, db, f.connect(db))
	r, w := io.Pipe()
	r.Close()
	for name, a := range map[string]answer{"topics": db.topics(), "nodes": db.nodes(), "debug": db.debug()} {
		if err := a.writeTo(w); err != io.ErrClosedPipe {
			t.Errorf("%s: %v, want %v", name, err, io.ErrClosedPipe)
		}
	}
}

// Producers, administrators, readers and waiters all at once; in the end there
// is what the producers left.
func TestDatabaseIsSafeForConcurrentUse(t *testing.T) {
	db := newDatabase(testTimeout, testLifetime)
	ctx, cancel := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	topic := func() string { return fmt.Sprintf("t%d", rand.IntN(5)) }
	for _, read := range []func(){
		func() { db.topics().writeTo(io.Discard) },
		func() { db.channels(topic()).writeTo(io.Discard) },
		func() { db.nodes().writeTo(io.Discard) },
		func() { db.debug().writeTo(io.Discard) },
		func() { db.lookup(topic()).JSON() },
		func() { name := topic(); db.wait(ctx, name, db.lookup(name).tag) },
		func() { name := topic(); db.wait(ctx, name, db.lookup(name).tag) },
	} {
		readers.Go(func() {
			for ctx.Err() == nil {
				read()
			}
		})
	}
	for n := range 4 {
		writers.Go(func() {
			for range 100 {
				p := db.identify(testInfo(n, fmt.Sprint("n", n)))
				for range 20 {
					db.register(p, topic(), "c#ephemeral")
					db.ping(p)
					db.unregister(p, topic(), "")
					db.createChannel(topic(), "d")
					db.tombstone(topic(), fmt.Sprintf("n%d:4151", n))
					db.deleteChannel(topic(), "d")
					db.deleteTopic(topic())
				}
				db.disconnect(p)
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	noneWaits(t, db)
	if r := db.registry; r.producers.Len() != 0 || r.registrations.Len() != 0 || r.byProducer.Len() != 0 || r.tombstones.Len() != 0 {
		t.Errorf("of producers that are gone %d, %d, %d, %d are left", r.producers.Len(), r.registrations.Len(), r.byProducer.Len(), r.tombstones.Len())
	}
}

// Registrations do not pause while everything is listed all the time and while a
// large producer goes. What the machine does to any goroutine is allowed for:
// the same registrations go at the same time to a database that nobody else
// uses, and the test fails only if each of a few tries was too slow.
func TestRegistrationsDoNotPause(t *testing.T) {
	const longest = 50 * time.Millisecond
	f := fleet{producers: 50, topics: 400, same: true, channels: 1}
	large := fleet{producers: 1, topics: 10_000}
	var tries []string
	for range 4 {
		db := newDatabase(testTimeout, testLifetime)
		leaver := large.connect(db)
		large.register(t, db, leaver)
		pollers := startPollers(db, f.topic(0, 0))
		pollers.wg.Go(func() { db.disconnect(leaver[0]) })
		took, alone := f.registerBeside(t, db)
		pollers.end()
		if took.max() < longest+alone.max() {
			return
		}
		tries = append(tries, fmt.Sprintf("%v (alone %v)", took.max(), alone.max()))
	}
	t.Errorf("the longest pauses of the tries were %v, want less than %v more than alone", tries, longest)
}
