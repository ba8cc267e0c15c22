package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// touch has the topic noted soon.
func (t *Topic) touch() {
	if !t.dirty.Load() && !t.dirty.Swap(true) {
		t.s.wake(t)
	}
}

// state is what the index keeps of a topic.
type state struct {
	released   uint64
	applied    seglog.Pos // what deferred messages the log has before is in the index
	durability Durability
	last       uint64 // number behind the last message of the log
}

// stateForm is the first byte of what append makes.
const stateForm = 1

func (v *state) append(dst []byte) []byte {
	dst = append(dst, stateForm, byte(v.durability))
	dst = binary.AppendUvarint(dst, v.released)
	dst = binary.AppendUvarint(dst, uint64(v.applied))
	return binary.AppendUvarint(dst, v.last)
}

// parseState is the inverse of append.
func parseState(b []byte) (v state, err error) {
	if len(b) < 2 || b[0] != stateForm {
		return v, errors.New("a topic's state in a form that is not known")
	}
	r := reader{b: b[2:]}
	v.durability = Durability(b[1])
	v.released = r.uvarint()
	v.applied = seglog.Pos(r.uvarint())
	v.last = r.uvarint()
	return v, r.err
}

// A note is a commit to the index that is being made.
type note struct {
	batch    *pebble.Batch
	channels []notedChannel
	buf      []byte
}

// notedChannel is what a note took from a channel.
type notedChannel struct {
	c       *Channel
	cleared bool
	changes map[dueKey]change
}

// ErrNotNoted says that something was emptied, and that this could not be written down. It
// is tried again.
var ErrNotNoted = errors.New("not written down yet")

// noteAll writes down what t and its channels are: where that is impossible, nothing is to be
// emptied.
func (t *Topic) noteAll() error { return t.s.note([]*Topic{t}, true) }

// noteEmpty is noteAll after something was emptied.
func (t *Topic) noteEmpty() error {
	if err := t.noteAll(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotNoted, err)
	}
	return nil
}

// note writes what changed of topics into the index, with sync to stable
// storage. What is not written is kept, and written later.
func (s *Store) note(topics []*Topic, sync bool) error {
	attempts := make(map[*Channel][]attempted)
	for _, t := range topics {
		for _, c := range t.Channels() {
			c.askAttempts(attempts)
		}
	}
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range topics {
		t.dirty.Store(false)
	}
	err := x.note(topics, attempts, sync)
	if err != nil {
		for _, t := range topics {
			t.touch()
		}
	}
	s.noted(err)
	return err
}

// note commits what changed of topics, or gives it back to them. mu must be held.
func (x *index) note(topics []*Topic, attempts map[*Channel][]attempted, sync bool) error {
	batch, err := x.begin()
	if err != nil {
		return err
	}
	n := note{batch: batch}
	for _, t := range topics {
		err = errors.Join(err, n.addTopic(t, attempts))
	}
	if sync {
		x.seals++
		err = errors.Join(err, n.batch.Set([]byte{sealKey}, binary.AppendUvarint(nil, x.seals), nil))
	}
	if err == nil && !n.batch.Empty() {
		err = x.commit(n.batch, sync)
	} else {
		n.batch.Close()
	}
	if err != nil {
		n.failed()
	}
	return err
}

// noteAtLast has the next note ask for the attempts of what was given out and is not finished,
// which may have changed without a word.
func (c *Channel) noteAtLast() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dirty = c.dirty || c.position.floor < c.cursor || len(c.deferred.taken) > 0
}

// askAttempts asks the channel's source, if there is something to note.
func (c *Channel) askAttempts(all map[*Channel][]attempted) {
	c.mu.Lock()
	source, dirty := c.source, c.dirty
	c.mu.Unlock()
	if source == nil || !dirty {
		return
	}
	var runs []attempted
	source(func(seq uint64, count int, attempts uint16) {
		if n := len(runs); n > 0 && runs[n-1].attempts == attempts && runs[n-1].first+uint64(runs[n-1].count) == seq {
			runs[n-1].count += count
			return
		}
		runs = append(runs, attempted{seq, count, attempts})
	})
	sortAttempts(runs)
	all[c] = runs
}

// addTopic adds the state of a topic, and of the channels that changed since
// their last note. The state is older than what is noted of the channels: what is
// released or applied twice changes nothing.
func (n *note) addTopic(t *Topic, attempts map[*Channel][]attempted) error {
	t.mu.Lock()
	v := state{t.released.Load(), t.applied, t.Durability(), t.last}
	channels, gone := t.channels, t.removed
	t.mu.Unlock()
	if gone {
		return nil
	}
	n.buf = appendTopicKey(n.buf[:0], t.id)
	err := n.batch.Set(n.buf, v.append(nil), nil)
	for _, c := range channels {
		err = errors.Join(err, n.addChannel(c, attempts[c]))
	}
	return err
}

func (n *note) addChannel(c *Channel, attempts []attempted) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty || c.gone {
		return nil
	}
	c.dirty = false
	c.noteTaken(attempts)
	v := noted{
		name: c.name, position: c.position, attempts: c.unfinishedOf(attempts),
		entries: c.deferred.live, sum: c.deferred.sum,
	}
	value, err := v.append(nil)
	if err != nil {
		return err
	}
	cleared, changes := c.deferred.beginNote()
	n.channels = append(n.channels, notedChannel{c, cleared, changes})
	n.buf = appendChannelKey(n.buf[:0], channelKeys, c.t.id, c.id)
	if err := n.batch.Set(n.buf, value, nil); err != nil {
		return err
	}
	return n.addChanges(c, cleared, changes)
}

func (n *note) addChanges(c *Channel, cleared bool, changes map[dueKey]change) (err error) {
	n.buf = appendChannelKey(n.buf[:0], deferredKeys, c.t.id, c.id)
	prefix := n.buf
	if cleared {
		err = n.batch.DeleteRange(prefix, after(prefix), nil)
	}
	var value [entryLen]byte
	for k, change := range changes {
		key := k.append(prefix)
		if change.gone {
			err = errors.Join(err, n.batch.Delete(key, nil))
		} else {
			err = errors.Join(err, n.batch.Set(key, change.appendValue(value[:0]), nil))
		}
	}
	return err
}

// unfinishedOf returns the attempts of what is not finished: as given, and as
// noted earlier of what was not given out since.
func (c *Channel) unfinishedOf(attempts []attempted) (unfinished []attempted) {
	for _, a := range attempts {
		if a.first < adoptedNumbers {
			unfinished = c.appendUnfinished(unfinished, a, a.first)
		}
	}
	for _, a := range c.attempts {
		unfinished = c.appendUnfinished(unfinished, a, max(a.first, c.cursor))
	}
	return unfinished
}

// appendUnfinished appends what is not finished of a run, from a number on.
func (c *Channel) appendUnfinished(dst []attempted, a attempted, from uint64) []attempted {
	end := a.first + uint64(a.count)
	for first := c.position.nextClear(from, max(from, end)); first < end; {
		until := c.position.nextMarked(first, end)
		dst = append(dst, attempted{first, int(until - first), a.attempts})
		first = c.position.nextClear(until, end)
	}
	return dst
}

// noteTaken has the index learn the attempts of messages that Due gave out.
func (c *Channel) noteTaken(attempts []attempted) {
	if len(c.deferred.taken) == 0 {
		return
	}
	for _, a := range attempts {
		for i := range uint64(a.count) {
			if e, ok := c.deferred.taken[a.first+i]; ok && e.attempts != a.attempts {
				e.attempts = a.attempts
				c.deferred.taken[e.seq] = e
				c.deferred.change(change{entry: e})
			}
		}
	}
}

// failed gives everything back that was taken from channels.
func (n *note) failed() {
	for _, v := range n.channels {
		v.c.mu.Lock()
		v.c.deferred.failedNote(v.cleared, v.changes)
		v.c.dirty = true
		v.c.mu.Unlock()
	}
}

// forget removes what is noted of a channel. What is left of it after a crash
// is removed by the next Open.
func (x *index) forget(topic, channel uint32) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	b, err := x.begin()
	if err != nil {
		return err
	}
	if err := forgetChannel(b, topic, channel); err != nil {
		b.Close()
		return err
	}
	return x.commit(b, false)
}

func forgetChannel(b *pebble.Batch, topic, channel uint32) error {
	position := appendChannelKey(nil, channelKeys, topic, channel)
	entries := appendChannelKey(nil, deferredKeys, topic, channel)
	return errors.Join(b.Delete(position, nil), b.DeleteRange(entries, after(entries), nil))
}
