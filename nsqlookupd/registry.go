package nsqlookupd

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/tidwall/btree"
)

// What clients can make a registry hold.
const (
	maxKeys                  = 8_000_000  // topics and channels together
	maxRegistrations         = 32_000_000 // of all producers together
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

	version uint64 // how many changes a snapshot could show
	serial  uint64 // of the latest producer
	limits  limits

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
	missing := r.missing(p, r.find(topic, ""))
	if channel != "" {
		missing += r.missing(p, r.find(topic, channel))
	}
	if missing == 0 {
		return nil
	}
	if p.registrations+missing > r.limits.ofProducer || r.registrations.Len()+missing > r.limits.registrations {
		return errTooManyRegistrations
	}
	if err := r.create(topic, channel); err != nil {
		return err
	}
	r.add(p, r.find(topic, ""))
	if channel != "" {
		r.add(p, r.find(topic, channel))
	}
	return nil
}

// missing returns 1 if the producer is not registered for a key or there is no
// such key, else 0.
func (r *registry) missing(p *producer, k *key) int {
	if k == nil {
		return 1
	}
	if _, ok := r.registrations.Get(registration{k, p}); !ok {
		return 1
	}
	return 0
}

// find returns a key that exists, else nil.
func (r *registry) find(topic, channel string) *key {
	k, _ := r.keys.Get(&key{topic: topic, channel: channel})
	return k
}

// add puts a registration into both trees.
func (r *registry) add(p *producer, k *key) {
	if _, had := r.registrations.Set(registration{k, p}); had {
		return
	}
	r.byProducer.Set(registration{k, p})
	k.producers++
	p.registrations++
	r.version++
	if k.channel == "" {
		r.changed(k.topic, true)
	}
}

// remove takes a registration out of all trees. An ephemeral key goes with its
// last producer, and with an ephemeral topic go its channels.
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
	if k.producers > 0 || !k.ephemeral() {
		return
	}
	if k.channel != "" {
		r.forget(k)
		return
	}
	for _, k := range r.topicKeys(k.topic) {
		r.forget(k) // nobody is registered for any of them
	}
}

// forget removes a key without registrations.
func (r *registry) forget(k *key) {
	if _, had := r.keys.Delete(k); had {
		r.version++
		r.changed(k.topic, k.channel == "")
	}
}

// topicKeys returns a topic and its channels.
func (r *registry) topicKeys(topic string) []*key {
	var keys []*key
	r.keys.Ascend(&key{topic: topic}, func(k *key) bool {
		if k.topic != topic {
			return false
		}
		keys = append(keys, k)
		return true
	})
	return keys
}

// unregister takes a producer out of a channel or, if that is empty, out of the
// topic and all its channels. Topics and channels stay unless they are ephemeral.
func (r *registry) unregister(p *producer, topic, channel string) {
	if channel != "" {
		if k := r.find(topic, channel); k != nil {
			r.remove(p, k)
		}
		return
	}
	var keys []*key
	r.byProducer.Ascend(registration{&key{topic: topic}, p}, func(reg registration) bool {
		if reg.producer != p || reg.key.topic != topic {
			return false
		}
		keys = append(keys, reg.key)
		return true
	})
	r.removeAll(p, keys)
}

// removeAll removes registrations, channels before their topics.
func (r *registry) removeAll(p *producer, keys []*key) {
	for i := len(keys) - 1; i >= 0; i-- {
		r.remove(p, keys[i])
	}
}

// disconnect takes a producer out of everything.
func (r *registry) disconnect(p *producer) {
	r.removeAll(p, r.keysOf(p))
	if _, had := r.producers.Delete(p); had {
		r.version++
	}
}

// returned notes that a producer was heard of again, which /lookup shows.
func (r *registry) returned(p *producer) {
	for _, k := range r.keysOf(p) {
		if k.channel == "" {
			r.changed(k.topic, true)
		}
	}
}

// keysOf returns what a producer is registered for.
func (r *registry) keysOf(p *producer) []*key {
	keys := make([]*key, 0, p.registrations)
	r.byProducer.Ascend(registration{&key{}, p}, func(reg registration) bool {
		if reg.producer != p {
			return false
		}
		keys = append(keys, reg.key)
		return true
	})
	return keys
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
		r.version++
		r.changed(k.topic, k.channel == "")
	}
	return nil
}

// deleteTopic removes a topic, its channels and all their registrations.
func (r *registry) deleteTopic(topic string) {
	keys := r.topicKeys(topic)
	for i := len(keys) - 1; i >= 0; i-- {
		r.delete(keys[i])
	}
}

// deleteChannel removes a channel with its registrations, and reports whether
// there was one.
func (r *registry) deleteChannel(topic, channel string) bool {
	k := r.find(topic, channel)
	if k != nil {
		r.delete(k)
	}
	return k != nil
}

// delete removes a key with its registrations.
func (r *registry) delete(k *key) {
	for _, p := range r.producersOf(k) {
		r.remove(p, k)
	}
	r.forget(k) // unless it was ephemeral and went with its last producer
}

// producersOf returns who is registered for a key.
func (r *registry) producersOf(k *key) []*producer {
	producers := make([]*producer, 0, k.producers)
	r.registrations.Ascend(registration{key: k}, func(reg registration) bool {
		if reg.key != k {
			return false
		}
		producers = append(producers, reg.producer)
		return true
	})
	return producers
}

// tombstone hides the producers of a topic that a node means from /lookup of
// that topic. Other topics and later registrations are not affected.
func (r *registry) tombstone(topic, node string, now time.Time) {
	k := r.find(topic, "")
	if k == nil {
		return
	}
	for _, p := range r.producersOf(k) {
		if p.isNode(node) {
			r.tombstones.Set(tombstone{registration{k, p}, now.UnixNano()})
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
	}
}
