package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// A Batch is what one publish brought. It never changes after Append.
type Batch struct {
	First    uint64 // number of the first message, set by Append; message i has First+i
	ID       uint64 // of the first message, the publisher's; message i has ID+i
	Time     int64  // acceptance, nanoseconds since the Unix epoch
	Due      int64  // deferred until then, nanoseconds since the Unix epoch; 0: not deferred
	Count    int
	Payload  []byte // Count × (int32 big endian size, body)
	Attached any    // the publisher's; nil when the batch was read from disk
}

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
	dirty      atomic.Bool // in the store's list of what is to be noted
	stuck      atomic.Bool // to be released, but it failed
	released   atomic.Uint64
	places     atomic.Int64 // damaged ones
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
	ready     []func() // of the channels
	onRelease func([]*Batch)
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
// a valid one and not taken.
func (t *Topic) CreateChannel(name string) (*Channel, error) {
	t.admin.Lock()
	defer t.admin.Unlock()
	for _, c := range t.meta.Channels {
		if c.Name == name {
			return nil, fmt.Errorf("store: topic %q has a channel %q already", t.name, name)
		}
	}
	old := t.meta
	id := old.NextChannel
	t.meta.NextChannel++
	t.meta.Channels = append(slices.Clone(old.Channels), channelMeta{id, name, t.released.Load()})
	if err := t.meta.write(t.s.fs, t.dir); err != nil {
		t.meta = old
		return nil, err
	}
	c := t.newChannel(id, name)
	t.mu.Lock()
	c.cursor = t.released.Load()
	c.position.floor = c.cursor
	c.passed = t.total
	c.dirty = true
	t.setChannels(append(slices.Clone(t.channels), c))
	t.mu.Unlock()
	t.touch()
	return c, nil
}

// newChannel returns a channel that has nothing deferred.
func (t *Topic) newChannel(id uint32, name string) *Channel {
	return &Channel{t: t, id: id, name: name, deferred: deferred{size: t.s.window, complete: true}}
}

// setChannels expects mu to be held.
func (t *Topic) setChannels(channels []*Channel) {
	t.channels = channels
	t.ready = nil
	for _, c := range channels {
		if c.onReady != nil {
			t.ready = append(t.ready, c.onReady)
		}
	}
}

// Append keeps batches as the topic's durability says, all of them or, with
// an error, none, sets their First, and gives them to the channels, or holds
// them while the topic is held. It blocks until they are kept. The batches and
// their payloads belong to the store from then on.
func (t *Topic) Append(batches []*Batch) error {
	if err := t.s.room(); err != nil {
		return err
	}
	records := make([]seglog.Record, 0, len(batches))
	for _, b := range batches {
		records = b.appendRecords(records)
	}
	pointers := make([]*seglog.Record, len(records))
	for i := range records {
		pointers[i] = &records[i]
	}
	return t.log.Append(pointers)
}

// appendRecords appends what the log is to keep of b: one record, or, as each
// deferred message is found by the place of its frame, one for each frame.
func (b *Batch) appendRecords(dst []seglog.Record) []seglog.Record {
	if b.Due == 0 || len(b.Payload) <= maxFrame {
		return append(dst, b.record(0, b.Count, 0, len(b.Payload)))
	}
	for index, offset := 0, 0; index < b.Count; {
		i, end := index, offset
		for i < b.Count {
			next := nextOffset(b.Payload, end)
			if i > index && next-offset > maxFrame {
				break
			}
			i, end = i+1, next
		}
		dst = append(dst, b.record(index, i, offset, end))
		index, offset = i, end
	}
	return dst
}

// maxFrame is the most bytes that several messages take of one frame of a log.
const maxFrame = 32 << 10

// record returns the record of a part of b.
func (b *Batch) record(from, to, begin, end int) seglog.Record {
	return seglog.Record{
		Kind: seglog.Messages, Count: to - from, ID: b.ID + uint64(from), Time: b.Time, Due: b.Due,
		Payload:  b.Payload[begin:end:end],
		Attached: part{b, from},
	}
}

// part says which part of a batch a record is.
type part struct {
	*Batch
	from int
}

// nextOffset returns where the message behind the one at an offset begins.
func nextOffset(payload []byte, offset int) int {
	return offset + 4 + int(binary.BigEndian.Uint32(payload[offset:]))
}

// committed is told of what the log kept, in its order.
func (t *Topic) committed(records []seglog.Record) {
	t.mu.Lock()
	var batches []*Batch
	now := time.Now().UnixNano()
	for i := range records {
		r := &records[i]
		switch a := r.Attached.(type) {
		case part:
			if a.from == 0 {
				a.First = r.First
				t.tail.add(a.Batch, t.s.TailMessages, t.s.TailBytes)
				batches = append(batches, a.Batch)
			}
			t.end = r.First + uint64(r.Count)
			t.last = t.end
			if t.live {
				t.release(r, now)
			}
		case *deferral:
			a.c.deferTo(a, r)
		}
		t.applied = r.Pos + 1
	}
	hook, ready := t.onRelease, t.ready
	if !t.live {
		hook, ready = nil, nil
	}
	t.mu.Unlock()
	t.touch()
	if hook != nil && len(batches) > 0 {
		hook(batches)
	}
	for _, f := range ready {
		f()
	}
}

// release gives a record of messages to the channels; mu must be held.
func (t *Topic) release(r *seglog.Record, now int64) {
	if r.Due > now {
		for _, c := range t.channels {
			c.deferRecord(r)
		}
	}
	end := r.First + uint64(r.Count)
	t.total += t.log.Count(t.released.Load(), end)
	t.released.Store(end)
	if len(t.channels) == 0 {
		t.tail.passed(end)
	}
}

// Hold keeps what is appended from the channels, until Release. A topic is
// held at first. Calls are not counted.
func (t *Topic) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held, t.live = true, false
}

// Release gives the channels what was held, and what comes. It may read from
// disk; when that fails it is tried again soon.
func (t *Topic) Release() {
	t.mu.Lock()
	t.held = false
	t.mu.Unlock()
	t.catchUp()
}

// catchUp releases what was held until nothing is left, and the topic is live.
func (t *Topic) catchUp() {
	t.releasing.Lock()
	defer t.releasing.Unlock()
	for t.behind() {
		if err := t.releaseHeld(); err != nil {
			t.s.logger.Error("messages cannot be released", "topic", t.name, "error", err)
			t.stuck.Store(true)
			break
		}
	}
	t.touch()
	t.mu.Lock()
	ready := t.ready
	t.mu.Unlock()
	for _, f := range ready {
		f()
	}
}

// behind tells whether there is something to release; if not, the topic is
// live from then on, unless it is held.
func (t *Topic) behind() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held || t.live {
		return false
	}
	t.live = t.released.Load() == t.end
	return !t.live
}

// releaseHeld releases what is committed now, unless the topic is held
// meanwhile. releasing must be held.
func (t *Topic) releaseHeld() error {
	t.mu.Lock()
	from, end := t.released.Load(), t.end
	if t.held || t.onRelease == nil && !t.hasDeferred(from) {
		if !t.held {
			t.releaseTo(end)
		}
		t.mu.Unlock()
		return nil
	}
	t.mu.Unlock()
	cursor := t.log.Seek(from)
	defer cursor.Close()
	for {
		records, err := cursor.Next(readBytes)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			break
		}
		if !t.releaseRead(records, end) {
			return nil
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.held && t.released.Load() < end { // the rest was lost
		t.releaseTo(end)
	}
	return nil
}

// releaseTo releases up to a number; mu must be held.
func (t *Topic) releaseTo(end uint64) {
	t.total += t.log.Count(t.released.Load(), end)
	t.released.Store(end)
}

// hasDeferred tells whether there may be messages with Due from a number on.
func (t *Topic) hasDeferred(from uint64) bool {
	return slices.ContainsFunc(t.log.Segments(), func(s seglog.Segment) bool {
		return s.Deferred && s.End > from
	})
}

// readBytes is how much is read from a log at a time.
const readBytes = 512 << 10

// releaseRead releases records up to a number, and tells whether to go on.
func (t *Topic) releaseRead(records []seglog.Record, end uint64) bool {
	t.mu.Lock()
	var batches []*Batch
	now := time.Now().UnixNano()
	for i := range records {
		r := &records[i]
		if t.held || r.First >= end {
			break
		}
		if r.First+uint64(r.Count) <= t.released.Load() {
			continue
		}
		t.release(r, now)
		batches = append(batches, batchOf(r))
	}
	hook, more := t.onRelease, !t.held && t.released.Load() < end
	t.mu.Unlock()
	if hook != nil && len(batches) > 0 {
		hook(batches)
	}
	return more
}

// batchOf returns a record that was read as a batch.
func batchOf(r *seglog.Record) *Batch {
	return &Batch{First: r.First, ID: r.ID, Time: r.Time, Due: r.Due, Count: r.Count, Payload: r.Payload}
}

// OnRelease has f called with every batch from now on when it is released, in
// their order: for readers that are no channels of the store. A batch that was
// held and is read from disk may come in several parts. Batches with Due come
// too, at release. f is called without locks of the store, must be quick and
// must not call the topic; it may not be set twice.
func (t *Topic) OnRelease(f func([]*Batch)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onRelease = f
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

// Empty drops the messages that are held. They stay dropped after a power cut
// once it returned.
func (t *Topic) Empty() error {
	t.releasing.Lock()
	t.mu.Lock()
	from, end := t.released.Load(), t.end
	t.releaseTo(end)
	for _, c := range t.channels {
		c.drop(from, end)
	}
	t.mu.Unlock()
	t.releasing.Unlock()
	return t.s.note([]*Topic{t}, true)
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

// Damage returns how many damaged places were met since the store was opened,
// and how many messages they cost.
func (t *Topic) Damage() (places, messages int64) { return t.places.Load(), t.lost.Load() }

func (t *Topic) damaged(d seglog.Damage) {
	t.places.Add(1)
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

func appendSize(dst []byte, size int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}
