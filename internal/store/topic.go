package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// A Topic is a log of messages and the channels that read it.
type Topic struct {
	s    *Store
	id   uint32
	name string
	dir  string
	log  *seglog.Log
	kept atomic.Pointer[seglog.Log] // deferred messages out of removed segments; nil until needed

	admin sync.Mutex // creating and deleting channels: serializes the writers of meta.json
	meta  meta

	releasing sync.Mutex // Release, Empty and what is read from disk for them
	trimming  sync.Mutex // removing segments

	durability atomic.Uint32
	dirty      atomic.Bool  // in the store's list of what is to be noted
	stuck      atomic.Int64 // to be released, but it failed: when to try again, Unix nanoseconds; else 0
	untrimmed  atomic.Bool  // to be trimmed, but it failed
	unwritten  atomic.Int64 // meta.json was damaged, and could not be written again: when to try, Unix nanoseconds; else 0
	released   atomic.Uint64
	places     atomic.Int64 // damaged ones
	damage     atomic.Int64 // bytes there
	lost       atomic.Int64 // messages there

	mu        sync.Mutex // what follows, and changes of released
	tail      tail
	end       uint64 // number behind the last message, or above it if some are left out
	last      uint64 // number behind the last message that the log has had
	applied   seglog.Pos
	total     int64 // messages released since Open
	held      bool
	live      bool // what is committed is released at once
	channels  []*Channel
	ready     []func() // onReady of the channels
	due       []func() // onDue
	onRelease func([]*Batch)
	creations []*creation // that wait for admin
	removed   bool
}

// Name returns the topic's name.
func (t *Topic) Name() string { return t.name }

// Durability returns what an Append to t promises.
func (t *Topic) Durability() Durability { return Durability(t.durability.Load()) }

// SetDurability changes what an Append to t promises, from the next one on. It
// returns when the change, and with Fsync all that was appended before, is on
// stable storage.
func (t *Topic) SetDurability(d Durability) error {
	if _, err := ParseDurability(d.String()); err != nil {
		return err
	}
	t.admin.Lock()
	defer t.admin.Unlock()
	if d == t.Durability() {
		return nil
	}
	was := t.Durability()
	t.setSync(d)
	old := t.meta
	t.meta.Durability = d.String()
	err := t.syncFor(d)
	if err == nil {
		err = t.meta.write(t.s.fs, t.dir)
	}
	if err != nil {
		t.meta = old
		t.setSync(was)
	}
	return err
}

// syncFor has what is in the logs be as durable as d says.
func (t *Topic) syncFor(d Durability) (err error) {
	if d != Fsync {
		return nil
	}
	for _, l := range t.logs() {
		err = errors.Join(err, l.SyncAll())
	}
	return err
}

func (t *Topic) setSync(d Durability) {
	t.durability.Store(uint32(d))
	t.log.SetSync(d == Fsync)
	if kept := t.kept.Load(); kept != nil {
		kept.SetSync(d == Fsync)
	}
}

// Channels returns the channels in the order of their creation.
func (t *Topic) Channels() []*Channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.channels
}

// CreateChannel makes a channel, which begins with what is not released yet.
// It is there after a power cut once CreateChannel returned. The name must be
// a valid one and not taken. Those who call it at the same time share a write.
func (t *Topic) CreateChannel(name string) (*Channel, error) {
	n := &creation{name: name}
	t.mu.Lock()
	t.creations = append(t.creations, n)
	t.mu.Unlock()
	t.admin.Lock()
	defer t.admin.Unlock()
	if !n.done {
		t.createChannels()
	}
	return n.channel, n.err
}

// creation is a channel that is to be made. Topic.admin guards all but the name.
type creation struct {
	name    string
	done    bool
	channel *Channel // nil with an error
	err     error
}

// createChannels makes all channels that are to be made. admin must be held.
func (t *Topic) createChannels() {
	t.mu.Lock()
	all := t.creations
	t.creations = nil
	t.mu.Unlock()
	old := t.meta
	t.meta.Channels = slices.Clone(old.Channels)
	for _, n := range all {
		n.done = true
		if t.meta.has(n.name) {
			n.err = fmt.Errorf("store: topic %q has a channel %q already", t.name, n.name)
			continue
		}
		n.channel = t.newChannel(t.meta.NextChannel, n.name)
		t.meta.Channels = append(t.meta.Channels, channelMeta{t.meta.NextChannel, n.name, t.released.Load()})
		t.meta.NextChannel++
	}
	all = slices.DeleteFunc(all, func(n *creation) bool { return n.err != nil })
	if len(all) == 0 {
		return
	}
	if err := t.meta.write(t.s.fs, t.dir); err != nil {
		t.meta = old
		for _, n := range all {
			n.channel, n.err = nil, err
		}
		return
	}
	t.addChannels(all)
}

// addChannels has channels that were made take part in what is released from now on.
func (t *Topic) addChannels(made []*creation) {
	t.mu.Lock()
	channels := slices.Clone(t.channels)
	for _, n := range made {
		c := n.channel
		c.cursor = t.released.Load()
		c.position.floor = c.cursor
		c.passed = t.total
		c.dirty = true
		channels = append(channels, c)
	}
	t.setChannels(channels)
	t.mu.Unlock()
	t.touch()
}

// newChannel returns a channel that has nothing deferred.
func (t *Topic) newChannel(id uint32, name string) *Channel {
	return &Channel{t: t, id: id, name: name, deferred: deferred{size: t.s.window, complete: true}}
}

// setChannels expects mu to be held.
func (t *Topic) setChannels(channels []*Channel) {
	t.channels = channels
	t.ready, t.due = nil, nil
	for _, c := range channels {
		if c.onReady != nil {
			t.ready = append(t.ready, c.onReady)
		}
		if c.onDue != nil {
			t.due = append(t.due, c.onDue)
		}
	}
}

// Depth returns how many messages are held, not yet given to the channels.
func (t *Topic) Depth() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log.Count(t.released.Load(), t.end)
}

// Unfinished returns how many messages are held, or in a channel: waiting, given
// out and not finished, or deferred. One that is in several counts for each.
func (t *Topic) Unfinished() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	released := t.released.Load()
	n := t.log.Count(released, t.end)
	for _, c := range t.channels {
		n += c.unfinished(released)
	}
	return n
}

// Empty drops the messages that are held. With nil, they stay dropped after a power cut; with
// ErrNotNoted a crash may undo it for now. With another error nothing has changed.
func (t *Topic) Empty() error {
	if err := t.noteAll(); err != nil {
		return err
	}
	t.releasing.Lock()
	t.mu.Lock()
	from, end := t.released.Load(), t.end
	t.releaseTo(end)
	for _, c := range t.channels {
		c.drop(from, end)
	}
	t.mu.Unlock()
	t.releasing.Unlock()
	return t.noteEmpty()
}

// Bytes returns what the topic takes on disk.
func (t *Topic) Bytes() (n int64) {
	for _, l := range t.logs() {
		for _, s := range l.Segments() {
			n += s.Bytes
		}
	}
	return n
}

func (t *Topic) logs() []*seglog.Log {
	if kept := t.kept.Load(); kept != nil {
		return []*seglog.Log{t.log, kept}
	}
	return []*seglog.Log{t.log}
}

// Damage returns how many damaged places were met since the store was opened, what they
// have on disk, and how many messages they cost.
func (t *Topic) Damage() (places, bytes, messages int64) {
	return t.places.Load(), t.damage.Load(), t.lost.Load()
}

func (t *Topic) damaged(d seglog.Damage) {
	t.places.Add(1)
	t.damage.Add(d.Bytes)
	t.lost.Add(d.Messages)
	if t.s.Damage != nil {
		t.s.Damage(t.name, d)
		return
	}
	t.s.logger.Error("damage in a log", "topic", t.name, "file", d.File, "offset", d.Offset, "bytes", d.Bytes, "messages", d.Messages)
}

// Delete removes the topic with its channels and messages. They stay removed
// after a power cut once it returned. Nothing may be called on t, or its
// channels, during and after it; if it fails, everything may be.
func (t *Topic) Delete() error { return t.s.remove(t) }
