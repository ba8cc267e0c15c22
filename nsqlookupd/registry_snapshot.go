package nsqlookupd

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/tidwall/btree"
)

// A snapshot is what a registry held at one time. Any number of goroutines may
// read it. Only the times of the producers' last updates in it are those of now.
type snapshot struct {
	producers     *btree.BTreeG[*producer]
	keys          *btree.BTreeG[*key]
	registrations *btree.BTreeG[registration]
	byProducer    *btree.BTreeG[registration]
	tombstones    *btree.BTreeG[tombstone]
	topicKeys     int // those of the keys that are topics
}

// A view says which producers are shown: those that were heard of, and have no
// fresh tombstone.
type view struct {
	now               time.Time
	inactiveTimeout   time.Duration
	tombstoneLifetime time.Duration
}

// activeUntil returns the last time, in unix nanoseconds, at which a producer is
// shown if nothing is heard of it.
func (v view) activeUntil(p *producer) int64 { return later(p.lastUpdate.Load(), v.inactiveTimeout) }

func (v view) active(p *producer) bool { return v.now.UnixNano() <= v.activeUntil(p) }

// hidesUntil returns when a tombstone ceases to hide its producer.
func (v view) hidesUntil(t tombstone) int64 { return later(t.at, v.tombstoneLifetime) }

func (v view) hides(t tombstone) bool { return v.now.UnixNano() < v.hidesUntil(t) }

// later adds to a time; what is too much is the end of time.
func later(at int64, d time.Duration) int64 {
	if d > 0 && at > math.MaxInt64-1-int64(d) {
		return math.MaxInt64 - 1
	}
	return at + int64(d)
}

// from returns what is in a tree from a pivot on.
func from[T any](tree *btree.BTreeG[T], pivot T) iter.Seq[T] {
	return func(yield func(T) bool) { tree.Ascend(pivot, yield) }
}

// find returns a key that exists, else nil.
func (s *snapshot) find(topic, channel string) *key {
	k, _ := s.keys.Get(&key{topic: topic, channel: channel})
	return k
}

// topics returns the names of all topics.
func (s *snapshot) topics() iter.Seq[string] {
	return func(yield func(string) bool) {
		s.keys.Scan(func(k *key) bool { return k.channel != "" || yield(k.topic) })
	}
}

// channels returns the names of a topic's channels, none for an unknown topic.
func (s *snapshot) channels(topic string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range from(s.keys, &key{topic: topic}) {
			if k.topic != topic || k.channel != "" && !yield(k.channel) {
				return
			}
		}
	}
}

// topicsOf returns a producer's registrations for topics.
func (s *snapshot) topicsOf(p *producer) iter.Seq[registration] {
	return func(yield func(registration) bool) {
		for reg := range from(s.byProducer, registration{&key{}, p}) {
			if reg.producer != p || reg.key.channel == "" && !yield(reg) {
				return
			}
		}
	}
}

// tombstone returns the tombstone of a registration, if it has one.
func (s *snapshot) tombstone(reg registration) (tombstone, bool) {
	return s.tombstones.Get(tombstone{registration: reg})
}

// hidden reports whether a registration has a fresh tombstone.
func (s *snapshot) hidden(reg registration, v view) bool {
	t, ok := s.tombstone(reg)
	return ok && v.hides(t)
}

// lookup returns what /lookup shows of a topic. A topic that does not exist has
// an answer, too.
func (s *snapshot) lookup(topic string, v view) *lookupAnswer {
	k := s.find(topic, "")
	if k == nil {
		return &lookupAnswer{tag: unknownTopicTag, until: math.MaxInt64}
	}
	a := &lookupAnswer{found: true, until: math.MaxInt64, channels: slices.Collect(s.channels(topic))}
	hash := uint64(1) // so that a topic without producers has another tag than none
	for reg := range from(s.registrations, registration{key: k}) {
		if reg.key != k {
			break
		}
		p := reg.producer
		if !v.active(p) {
			continue // a PING brings it back
		}
		if t, ok := s.tombstone(reg); ok && v.hides(t) {
			a.until = min(a.until, v.hidesUntil(t))
			continue
		}
		a.until = min(a.until, v.activeUntil(p)+1)
		a.producers = append(a.producers, p)
		hash += p.hash // a sum: the order may differ elsewhere, and two connections are not one
	}
	a.tag = fmt.Sprintf(`W/"%016x"`, hash)
	return a
}
