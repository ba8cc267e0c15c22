package nsqlookupd

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// stepBudget is how much is removed in one critical section: about a millisecond.
const stepBudget = 128

// A database is the registry behind its one mutex, with a clock, and those who
// wait for changes of a topic. It is safe for concurrent use; TCP and HTTP use
// only this. Nothing is encoded, sorted or walked in whole under the mutex:
// that is done with snapshots.
type database struct {
	inactiveTimeout   time.Duration
	tombstoneLifetime time.Duration
	started           time.Time // with a monotonic reading

	mu       sync.Mutex // registry, ended
	registry *registry
	ended    []*period // by the change that is made

	// latest is what polls share between two changes, and need no mutex for. It
	// is written under the mutex, and nil while a change is made and after it.
	latest atomic.Pointer[snapshot]

	watches watches
}

func newDatabase(inactiveTimeout, tombstoneLifetime time.Duration) *database {
	db := &database{
		inactiveTimeout:   inactiveTimeout,
		tombstoneLifetime: tombstoneLifetime,
		started:           time.Now(),
		registry:          newRegistry(),
	}
	db.registry.changed = func(topic string, producers bool) {
		if p := db.watches.changed(topic, producers); p != nil {
			db.ended = append(db.ended, p)
		}
	}
	db.watches.limit = maxWaiting
	return db
}

// now is the time since the start added to when that was: a clock that is set
// makes no producer inactive.
func (db *database) now() time.Time { return db.started.Add(time.Since(db.started)) }

// change is one critical section. Who waits for what it changes is woken after
// it: they may be many, and all of them want to know what is new.
func (db *database) change(f func(r *registry)) {
	for _, p := range db.changeLocked(f) {
		p.end()
	}
}

func (db *database) changeLocked(f func(r *registry)) (ended []*period) {
	db.mu.Lock()
	defer db.mu.Unlock()
	before, latest := db.registry.version, db.latest.Swap(nil)
	f(db.registry)
	if db.registry.version == before {
		db.latest.Store(latest)
	}
	ended, db.ended = db.ended, nil
	return ended
}

// changeInSteps is a critical section for each step of what may be long. Between
// two of them it lets others run: whoever waits for the mutex is awake by then,
// but would have to wait for a processor.
func (db *database) changeInSteps(step func(r *registry) (more bool)) {
	for {
		more := false
		db.change(func(r *registry) { more = step(r) })
		if !more {
			return
		}
		runtime.Gosched()
	}
}

// snapshot returns what is registered now.
func (db *database) snapshot() *snapshot {
	if s := db.latest.Load(); s != nil {
		return s
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.latest.Load()
	if s == nil {
		s = db.registry.snapshot()
		db.latest.Store(s)
	}
	return s
}

func (db *database) view() view {
	return view{now: db.now(), inactiveTimeout: db.inactiveTimeout, tombstoneLifetime: db.tombstoneLifetime}
}

// identify adds a producer. Its connection must call disconnect at its end.
func (db *database) identify(info producerInfo) *producer {
	p := newProducer(info, db.now().UnixNano())
	db.change(func(r *registry) { r.identify(p) })
	return p
}

// ping notes that a producer lives. It takes the mutex only if the producer had
// been inactive and is shown again.
func (db *database) ping(p *producer) {
	before := p.lastUpdate.Swap(db.now().UnixNano())
	// The clock is read again: who saw the time before had read it earlier.
	if db.now().UnixNano() <= later(before, db.inactiveTimeout) {
		return
	}
	for reg := range db.snapshot().topicsOf(p) {
		db.watches.changed(reg.key.topic, true).end()
	}
}

// register notes that a producer has a topic and, unless it is empty, a channel
// of it. An error means that a bound is reached, and that nothing has changed.
func (db *database) register(p *producer, topic, channel string) (err error) {
	db.change(func(r *registry) { err = r.register(p, topic, channel) })
	return err
}

// unregister takes a producer out of a channel or, if that is empty, out of the
// topic and all its channels.
func (db *database) unregister(p *producer, topic, channel string) {
	db.changeInSteps(func(r *registry) bool { return r.unregister(p, topic, channel, stepBudget) })
}

// disconnect takes a producer out of everything.
func (db *database) disconnect(p *producer) {
	db.changeInSteps(func(r *registry) bool { return r.disconnect(p, stepBudget) })
}

// createTopic makes a topic. An error means that the bound is reached.
func (db *database) createTopic(topic string) (err error) {
	db.change(func(r *registry) { err = r.createTopic(topic) })
	return err
}

// createChannel makes a channel and its topic. An error means that the bound is
// reached, and that nothing has changed.
func (db *database) createChannel(topic, channel string) (err error) {
	db.change(func(r *registry) { err = r.createChannel(topic, channel) })
	return err
}

// deleteTopic removes a topic, its channels and all their registrations.
func (db *database) deleteTopic(topic string) {
	db.changeInSteps(func(r *registry) bool { return r.deleteTopic(topic, stepBudget) })
}

// deleteChannel removes a channel with its registrations, and reports whether
// there was one.
func (db *database) deleteChannel(topic, channel string) (found bool) {
	db.changeInSteps(func(r *registry) bool {
		found = found || r.find(topic, channel) != nil
		return r.deleteChannel(topic, channel, stepBudget)
	})
	return found
}

// tombstone hides the producers of a topic that a node means.
func (db *database) tombstone(topic, node string) {
	now := db.now()
	db.change(func(r *registry) { r.tombstone(topic, node, now) })
}

// topics answers /topics.
func (db *database) topics() answer { return db.snapshot().topicsJSON() }

// channels answers /channels.
func (db *database) channels(topic string) answer { return db.snapshot().channelsJSON(topic) }

// lookup answers /lookup.
func (db *database) lookup(topic string) *lookupAnswer { return db.snapshot().lookup(topic, db.view()) }

// nodes answers /nodes.
func (db *database) nodes() answer { return db.snapshot().nodesJSON(db.view()) }

// debug answers /debug.
func (db *database) debug() answer { return db.snapshot().debugJSON() }
