package nsqd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/stats"
)

// topics is the set of topics by name. It is safe for concurrent use.
type topics struct {
	env       *env
	elsewhere *lookupChannels // whose channels new topics get; nil while old ones are loaded

	mu      sync.RWMutex // what follows
	byName  map[string]*topic
	making  map[string]chan struct{} // names that somebody makes a topic of, or another; closed in the end
	closed  bool
	deleted stats.Totals // what topics counted that are no more

	replacing map[string][]byte // what nsqd.dat is to say meanwhile of topics in whose place others are put
}

func (ts *topics) init(e *env) {
	ts.env = e
	ts.byName = make(map[string]*topic)
	ts.replacing = make(map[string][]byte)
	ts.making = make(map[string]chan struct{})
}

// topic returns the topic of that name, which it creates if needed. It waits
// for a deletion of the same name to end. The error is errExiting, or says what
// is in the way of a new topic.
func (ts *topics) topic(name []byte) (*topic, error) {
	return ts.topicOr(name, func() (*topic, error) {
		return ts.create(ts.wanted(name), nil)
	})
}

// topicOr is topic with another way to create it; create returns nil where another
// look is needed.
func (ts *topics) topicOr(name []byte, create func() (*topic, error)) (*topic, error) {
	for {
		ts.mu.RLock()
		t, closed := ts.byName[string(name)], ts.closed
		ts.mu.RUnlock()
		if closed {
			return nil, errExiting
		}
		if t == nil {
			if t, err := create(); t != nil || err != nil {
				return t, err
			}
			continue
		}
		if !t.isExiting() {
			return t, nil
		}
		<-t.gone
	}
}

// A newTopicWanted is a topic that is to be made.
type newTopicWanted struct {
	name       string
	durability Durability
	chosen     bool // the durability was chosen for it alone
	held       bool // it keeps messages from its channels until release is called, and requests until they may enter
}

// wanted returns a topic for which nothing was chosen.
func (ts *topics) wanted(name []byte) newTopicWanted {
	return newTopicWanted{name: string(name), durability: ts.env.opts.durabilityOf(string(name))}
}

// create makes a topic. It returns nil where another look is needed. If first is not nil, it
// is done with a durable topic before anybody else sees it; with an error there is none.
func (ts *topics) create(w newTopicWanted, first func(*topic) error) (*topic, error) {
	if err := ts.env.stale.clear(w.name); err != nil {
		return nil, err
	}
	if !ts.beginMaking(w.name) {
		return nil, nil
	}
	defer ts.endMaking(w.name)
	return ts.make(w, first)
}

// make is create for who makes topics of that name.
func (ts *topics) make(w newTopicWanted, first func(*topic) error) (made *topic, err error) {
	ts.mu.RLock()
	free, err := ts.isFreeLocked(w.name)
	ts.mu.RUnlock()
	if !free {
		return nil, err
	}
	log, fresh, err := ts.env.durable.topicLog(w.name, w.durability)
	if err != nil {
		return nil, err
	}
	t := newTopic(ts.env, w.name, log)
	t.chosen.Store(w.chosen)
	if log != nil {
		defer func() { // also of a panic
			if made == nil {
				err = errors.Join(err, t.discardLog(fresh))
			}
		}()
	}
	if log != nil && first != nil {
		if err := first(t); err != nil {
			return nil, err
		}
	}
	if added, err := ts.add(t, w.held); !added {
		return nil, err
	}
	ts.env.log.Info(fmt.Sprintf("TOPIC(%s): created", w.name), "topic", logging.Said(w.name))
	return t, nil
}

// beginMaking makes the caller the only one who makes a topic of that name. If
// somebody else does, it waits for the end of that and returns false.
func (ts *topics) beginMaking(name string) bool {
	ts.mu.Lock()
	made := ts.making[name]
	if made == nil {
		ts.making[name] = make(chan struct{})
	}
	ts.mu.Unlock()
	if made != nil {
		<-made
	}
	return made == nil
}

func (ts *topics) endMaking(name string) {
	ts.mu.Lock()
	close(ts.making[name])
	delete(ts.making, name)
	ts.mu.Unlock()
}

// isFreeLocked reports whether a topic of that name may be added. Where it may not, and there
// is no error, another look is needed.
func (ts *topics) isFreeLocked(name string) (bool, error) {
	if ts.closed || ts.byName[name] != nil || ts.env.stale.has(name) {
		return false, nil
	}
	err := cmp.Or(ts.env.checkCase(name, maps.Keys(ts.byName)), ts.env.checkCase(name, maps.Keys(ts.replacing)))
	return err == nil, err
}

// add adds a topic, which nobody else has seen, and starts it.
func (ts *topics) add(t *topic, held bool) (bool, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ok, err := ts.isFreeLocked(t.name); !ok {
		return false, err
	}
	if held {
		t.hold()
		t.requests.enterAlone()
	}
	ts.byName[t.name] = t
	t.run()
	ts.elsewhere.ask(t)
	ts.env.lookups.created(t.name, "")
	t.changed() // before anybody else can see the topic, and wait for it to be saved
	return true, nil
}

// existing returns the topic of that name, or nil.
func (ts *topics) existing(name string) *topic {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byName[name]
}

// enter returns the topic of that name, or nil, for a request to change it or its channels; the
// caller has to leave its requests then. While another is put in its place it waits for that.
func (ts *topics) enter(name string) *topic {
	for {
		ts.mu.RLock()
		t, made := ts.byName[name], ts.making[name]
		ts.mu.RUnlock()
		switch {
		case t != nil && t.requests.enter():
			return t
		case t != nil:
			<-t.gone
		case made != nil:
			<-made
		default:
			return nil
		}
	}
}

// all returns the topics by name.
func (ts *topics) all() []*topic {
	ts.mu.RLock()
	list := slices.Collect(maps.Values(ts.byName))
	ts.mu.RUnlock()
	slices.SortFunc(list, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	return list
}

// toSave returns the topics that nsqd.dat is to name, by name, and what it is to say of those
// in whose place others are put.
func (ts *topics) toSave() (list []*topic, replacing map[string][]byte) {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	for name, t := range ts.byName {
		if ts.replacing[name] == nil && !t.ephemeral && !t.isExiting() {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	return list, maps.Clone(ts.replacing)
}

// allAndDeleted returns the topics by name, and at the same moment what those counted
// that are no more.
func (ts *topics) allAndDeleted() (list []*topic, deleted stats.Totals) {
	ts.mu.RLock()
	list = slices.Collect(maps.Values(ts.byName))
	deleted.Merge(&ts.deleted)
	ts.mu.RUnlock()
	slices.SortFunc(list, func(a, b *topic) int { return strings.Compare(a.name, b.name) })
	return list, deleted
}

// close refuses new topics and returns those that are there.
func (ts *topics) close() []*topic {
	ts.mu.Lock()
	ts.closed = true
	ts.mu.Unlock()
	return ts.all()
}

// publish accepts count messages for the topic of that name; see publishTo and
// topic.publish.
func (ts *topics) publish(name, payload []byte, count int, deferral time.Duration) error {
	return ts.publishTo(name, func(t *topic, _ bool) error { return t.publish(payload, count, deferral) })
}

// refusal says why nothing may be published, nil if it may.
func (ts *topics) refusal() error {
	if p := ts.env.phaseNow(); p != phaseServing {
		return p.refusal()
	}
	return nil
}

// publishTo has f publish to the topic of that name. If there is none, one is made; a durable
// one with what f publishes, which then has to wait until that is kept: without it there is
// no topic. A topic that is deleted meanwhile is created again. The error is errDraining while
// nothing is to come in any more.
func (ts *topics) publishTo(name []byte, f func(t *topic, fresh bool) error) error {
	if err := ts.refusal(); err != nil {
		return err
	}
	for {
		published := false
		t, err := ts.topicOr(name, func() (*topic, error) {
			published = false // what was published to a topic that somebody else made is none
			return ts.createWith(ts.wanted(name), func(t *topic) error {
				published = true
				return f(t, true)
			})
		})
		if err != nil || published {
			return err
		}
		if err = f(t, false); !errors.Is(err, errExiting) {
			return err
		}
	}
}

// createWith is create for a topic that first publishes to, if it is durable. It
// does not begin without room.
func (ts *topics) createWith(w newTopicWanted, first func(*topic) error) (*topic, error) {
	if w.durability == Memory {
		return ts.create(w, nil)
	}
	err := ts.env.durable.room()
	if err == nil {
		t, err := ts.create(w, first)
		if t != nil || err != nil {
			ts.env.durable.noteFirst(err)
		}
		return t, err
	}
	ts.env.durable.noteFirst(err)
	return nil, err
}

// subscribe makes c a consumer of a channel; topic and channel are created if
// needed.
func (ts *topics) subscribe(topicName []byte, channelName string, c *client) (*channel, error) {
	for {
		t, err := ts.topic(topicName)
		if err != nil {
			return nil, err
		}
		ch, err := t.enterChannel(channelName)
		if err == nil {
			err = ch.addClient(c)
		}
		if err == nil {
			return ch, nil
		}
		if !errors.Is(err, errExiting) { // else it is being deleted: create it again
			return nil, err
		}
	}
}

// unsubscribe takes a consumer out of its channel, and deletes what was there
// only for its consumers.
func (ts *topics) unsubscribe(ch *channel, c *client) error {
	if !ch.removeClient(c) || !ch.exit(true) {
		return nil
	}
	return ts.dropChannel(ch)
}

// dropChannel completes the deletion of a channel that the caller has
// begun, and deletes an ephemeral topic that has no channel left.
func (ts *topics) dropChannel(ch *channel) error {
	t := ch.topic
	unused, err := t.deleteChannel(ch)
	if unused && t.exit(true) {
		err = errors.Join(err, ts.drop(t))
	}
	return err
}

// drop completes the deletion of a topic that the caller has begun.
func (ts *topics) drop(t *topic) error {
	ts.elsewhere.forget(t)
	err := t.delete()
	ts.mu.Lock()
	delete(ts.byName, t.name)
	counted := t.totals()
	ts.deleted.Merge(&counted)
	ts.env.lookups.deleted(t.name, "") // before another topic of that name is announced
	ts.mu.Unlock()
	t.changed()
	close(t.gone) // after that, as somebody waits for it to save the change
	return err
}

// closeRequests has a topic be replaced if begin, which ends it, says so: no request finds it from
// then on, and until endReplacing nsqd.dat says entry of it.
func (ts *topics) closeRequests(t *topic, entry func(*topic) []byte, begin func() bool) bool {
	return t.requests.closeIf(func() bool {
		ts.setReplacing(t.name, entry(t))
		if begin() {
			return true
		}
		ts.endReplacing(t)
		return false
	})
}

func (ts *topics) setReplacing(name string, entry []byte) {
	ts.mu.Lock()
	ts.replacing[name] = entry
	ts.mu.Unlock()
}

// endReplacing has nsqd.dat say how t is, which is in its place, or stays there.
func (ts *topics) endReplacing(t *topic) {
	ts.mu.Lock()
	delete(ts.replacing, t.name)
	ts.mu.Unlock()
	t.changed() // what was written meanwhile may be another state
}

// replaced takes a topic out of the set, in whose place the caller puts another one.
func (ts *topics) replaced(t *topic) {
	ts.elsewhere.forget(t)
	counted := t.totals()
	for _, ch := range t.allChannels() {
		counted.Merge(ch.totals())
		if !ch.isKept() {
			ts.env.lookups.deleted(t.name, ch.name)
		}
	}
	ts.mu.Lock()
	delete(ts.byName, t.name)
	ts.deleted.Merge(&counted)
	ts.mu.Unlock()
	close(t.gone)
}
