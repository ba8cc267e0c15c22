package nsqlookupd

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/tidwall/btree"
)

// What clients can make a registry hold. A registration takes 67 bytes and a key
// with a usual name 97 (BenchmarkFleetMemory), so that is 2 GB; 1,000 nsqd with
// 1,000 topics of their own with two channels each have 3,000,000 of both.
const (
	maxKeys                  = 8_000_000  // topics and channels together
	maxRegistrations         = 16_000_000 // of all producers together
	maxProducerRegistrations = 1_000_000  // of one producer
)

var (
	errTooManyKeys          = errors.New("too many topics and channels")
	errTooManyRegistrations = errors.New("too many registrations")
)

// A registry is what nsqlookupd knows: its producers, the topics and channels,
// and which producer has registered for which. It is pure: no goroutine, no
// clock, no lock; callers pass the time and names that wire.ValidName accepts.
//
// A producer that is registered for a channel is registered for its topic, and
// a channel's topic exists as long as the channel does.
//
// Everything is in copy-on-write trees, so that a snapshot is five pointers.
type registry struct {
	producers     *btree.BTreeG[*producer]
	keys          *btree.BTreeG[*key]
	registrations *btree.BTreeG[registration] // by topic and channel
	byProducer    *btree.BTreeG[registration] // the same ones
	tombstones    *btree.BTreeG[tombstone]

	topicKeys int    // those of the keys that are topics
	version   uint64 // how many changes a snapshot could show
	serial    uint64 // of the latest producer
	limits    limits

	// changed is called when /lookup shows something else of a topic: of its
	// producers, or of its channels only.
	changed func(topic string, producers bool)
}

// limits are constants but for tests.
type limits struct{ keys, registrations, ofProducer int }

// A key is a topic, or a channel of it. Its names never change.
type key struct {
	topic, channel string // no channel: the topic itself
	producers      int    // how many are registered; only the registry looks at it
}

// ephemeral reports whether the key goes with its last producer.
func (k *key) ephemeral() bool { return wire.IsEphemeral(cmp.Or(k.channel, k.topic)) }

// A registration says that a producer has a topic or channel.
type registration struct {
	key      *key
	producer *producer
}

// A tombstone hides a producer from /lookup of one topic for some time. It stays
// until the producer gives the topic up, so that /debug can show it.
type tombstone struct {
	registration
	at int64 // unix nanoseconds
}

func newRegistry() *registry {
	return &registry{
		producers:     newTree(func(a, b *producer) bool { return compareProducers(a, b) < 0 }),
		keys:          newTree(func(a, b *key) bool { return compareKeys(a, b) < 0 }),
		registrations: newTree(keyFirst),
		byProducer:    newTree(producerFirst),
		tombstones:    newTree(func(a, b tombstone) bool { return keyFirst(a.registration, b.registration) }),
		changed:       func(string, bool) {},
		limits:        limits{maxKeys, maxRegistrations, maxProducerRegistrations},
	}
}

func newTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// compareKeys orders by topic, a topic before its channels.
func compareKeys(a, b *key) int {
	if a == b {
		return 0
	}
	if c := strings.Compare(a.topic, b.topic); c != 0 {
		return c
	}
	return strings.Compare(a.channel, b.channel)
}

func keyFirst(a, b registration) bool {
	if c := compareKeys(a.key, b.key); c != 0 {
		return c < 0
	}
	return compareProducers(a.producer, b.producer) < 0
}

func producerFirst(a, b registration) bool {
	if c := compareProducers(a.producer, b.producer); c != 0 {
		return c < 0
	}
	return compareKeys(a.key, b.key) < 0
}

// identify adds a producer, which is new.
func (r *registry) identify(p *producer) {
	r.serial++
	p.serial = r.serial
	r.producers.Set(p)
	r.version++
}

// register notes that a producer has a topic and, unless it is empty, a channel
// of it. An error means that a bound is reached, and that nothing has changed.
func (r *registry) register(p *producer, topic, channel string) error {
	names := [...]key{{topic: topic}, {topic: topic, channel: channel}}
	wanted := names[:1]
	if channel != "" {
		wanted = names[:]
	}
	wanted = slices.DeleteFunc(wanted, func(k key) bool { return r.registered(p, k) })
	if len(wanted) == 0 {
		return nil
	}
	if p.registrations+len(wanted) > r.limits.ofProducer || r.registrations.Len()+len(wanted) > r.limits.registrations {
		return errTooManyRegistrations
	}
	if err := r.create(topic, channel); err != nil {
		return err
	}
	for _, k := range wanted {
		r.add(p, r.find(k.topic, k.channel))
	}
	return nil
}

// registered reports whether a producer is registered for a key with such names.
func (r *registry) registered(p *producer, names key) bool {
	_, ok := r.registrations.Get(registration{&names, p})
	return ok
}

// find returns a key that exists, else nil.
func (r *registry) find(topic, channel string) *key {
	k, _ := r.keys.Get(&key{topic: topic, channel: channel})
	return k
}

// add puts a registration, which is new, into both trees.
func (r *registry) add(p *producer, k *key) {
	r.registrations.Set(registration{k, p})
	r.byProducer.Set(registration{k, p})
	k.producers++
	p.registrations++
	r.version++
	if k.channel == "" {
		r.changed(k.topic, true)
	}
}

// remove takes a registration, if there is one, out of all trees. The key stays.
func (r *registry) remove(p *producer, k *key) {
	if _, had := r.registrations.Delete(registration{k, p}); !had {
		return
	}
	r.byProducer.Delete(registration{k, p})
	k.producers--
	p.registrations--
	r.version++
	if k.channel == "" {
		r.tombstones.Delete(tombstone{registration: registration{k, p}})
		r.changed(k.topic, true)
	}
}

// forget removes a key without registrations.
func (r *registry) forget(k *key) {
	if _, had := r.keys.Delete(k); had && k.channel == "" {
		r.topicKeys--
	}
	r.version++
	r.changed(k.topic, k.channel == "")
}

// createTopic makes a topic that stays until it is deleted or, if it is
// ephemeral, loses a last producer.
func (r *registry) createTopic(topic string) error { return r.create(topic, "") }

// createChannel makes a channel and its topic.
func (r *registry) createChannel(topic, channel string) error { return r.create(topic, channel) }

// create makes what is missing of a topic and, unless it is empty, a channel of
// it. An error means that the bound is reached, and that nothing has changed.
func (r *registry) create(topic, channel string) error {
	var missing []*key
	t := r.find(topic, "")
	if t == nil {
		t = &key{topic: strings.Clone(topic)} // the name may be part of a read buffer
		missing = append(missing, t)
	}
	if channel != "" && r.find(topic, channel) == nil {
		missing = append(missing, &key{topic: t.topic, channel: strings.Clone(channel)})
	}
	if len(missing) > 0 && r.keys.Len()+len(missing) > r.limits.keys {
		return errTooManyKeys
	}
	for _, k := range missing {
		r.keys.Set(k)
		if k.channel == "" {
			r.topicKeys++
		}
		r.version++
		r.changed(k.topic, k.channel == "")
	}
	return nil
}

// tombstone hides the producers of a topic that a node means from /lookup of
// that topic. Other topics and later registrations are not affected.
func (r *registry) tombstone(topic, node string, now time.Time) {
	k := r.find(topic, "")
	if k == nil {
		return
	}
	for reg := range from(r.registrations, registration{key: k}) {
		if reg.key != k {
			return
		}
		if reg.producer.isNode(node) {
			r.tombstones.Set(tombstone{reg, now.UnixNano()})
			r.version++
			r.changed(topic, true)
		}
	}
}

// snapshot returns what the registry holds now. It never changes, and is read
// without a lock while the registry goes on changing.
func (r *registry) snapshot() *snapshot {
	return &snapshot{
		producers:     r.producers.Copy(),
		keys:          r.keys.Copy(),
		registrations: r.registrations.Copy(),
		byProducer:    r.byProducer.Copy(),
		tombstones:    r.tombstones.Copy(),
		topicKeys:     r.topicKeys,
	}
}
