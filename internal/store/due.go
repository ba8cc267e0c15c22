package store

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// Due appends deferred messages that are due to dst, at most n, in the order
// in which they are due; each has Count 1. next is when to ask again: the time
// of the earliest that is left, which may be due too; 0 if there is none.
func (c *Channel) Due(dst []Message, now int64, n int) (due []Message, next int64, err error) {
	entries, next, err := c.take(now, n)
	var r frameReader
	for i, e := range entries {
		b, readErr := c.readDue(&r, e)
		switch {
		case errors.Is(readErr, seglog.ErrGone):
		case errors.Is(readErr, seglog.ErrDamaged):
			c.lost(e.seq)
		case readErr != nil:
			c.untake(entries[i:])
			return dst, now, readErr
		default:
			dst = append(dst, Message{Batch: b, Count: 1, Attempts: e.attempts})
		}
	}
	return dst, next, err
}

// take returns entries that are due, which are taken from then on.
func (c *Channel) take(now int64, n int) (entries []entry, next int64, err error) {
	for {
		c.mu.Lock()
		entries = c.deferred.take(entries, now, n-len(entries))
		next, fill := c.deferred.next(), c.deferred.needsFill()
		if len(entries) > 0 {
			c.changed() // their attempts will
		}
		c.mu.Unlock()
		if !fill {
			return entries, next, nil
		}
		if err := c.fill(); err != nil {
			return entries, next, err
		}
	}
}

// fill reads the next entries from the index into the window.
func (c *Channel) fill() error {
	x := c.t.s.index
	x.mu.Lock() // no note between what is read and what is pending
	defer x.mu.Unlock()
	c.mu.Lock()
	from := c.deferred.bound
	c.mu.Unlock()
	read, err := x.entries(c.t.id, c.id, from, c.t.s.window)
	if err != nil {
		c.t.s.fail(err)
		return err
	}
	complete, bound := len(read) < c.t.s.window, dueKey{}
	if !complete {
		last := read[len(read)-1]
		bound = dueKey{last.due, last.seq + 1}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deferred.bound == from && c.deferred.needsFill() { // not cleared, and not cut
		c.deferred.fill(read, bound, complete)
	}
	return nil
}

// entries returns up to n deferred messages of a channel, from a key on.
func (x *index) entries(topic, channel uint32, from dueKey, n int) (entries []entry, err error) {
	prefix := appendChannelKey(nil, deferredKeys, topic, channel)
	err = x.each(from.append(appendChannelKey(nil, deferredKeys, topic, channel)), after(prefix), func(key, value []byte) (bool, error) {
		e, err := parseEntry(key, value)
		entries = append(entries, e)
		return len(entries) < n, err
	})
	return entries, err
}

// frameReader reads frames, and keeps the last one, as neighbours are often due
// together.
type frameReader struct {
	at     place
	record seglog.Record
}

func (r *frameReader) read(t *Topic, at place) (*seglog.Record, error) {
	if r.record.Count > 0 && r.at == at {
		return &r.record, nil
	}
	log := t.log
	if at.kept {
		if log = t.kept.Load(); log == nil {
			return nil, seglog.ErrGone
		}
	}
	record, err := log.Read(at.pos)
	if err != nil {
		return nil, err
	}
	r.at, r.record = at, record
	return &r.record, nil
}

// message returns one message of a record as a batch.
func message(r *seglog.Record, seq uint64) (*Batch, error) {
	if seq < r.First || seq-r.First >= uint64(r.Count) {
		return nil, fmt.Errorf("%w: message %d is not where the index says", seglog.ErrDamaged, seq)
	}
	index, offset := seq-r.First, 0
	for range index {
		offset = nextOffset(r.Payload, offset)
	}
	end := nextOffset(r.Payload, offset)
	return &Batch{First: seq, ID: r.ID + index, Time: r.Time, Due: r.Due, Count: 1, Payload: r.Payload[offset:end:end]}, nil
}

// readDue reads the message of an entry that is taken. ErrGone says that it
// was finished meanwhile.
func (c *Channel) readDue(r *frameReader, e entry) (*Batch, error) {
	for {
		record, err := r.read(c.t, e.at)
		if err == nil {
			return message(record, e.seq)
		}
		if !errors.Is(err, seglog.ErrGone) {
			return nil, err
		}
		c.mu.Lock()
		now, ok := c.deferred.taken[e.seq]
		c.mu.Unlock()
		switch {
		case !ok:
			return nil, err
		case now.at == e.at: // in a segment that nobody removed
			return nil, fmt.Errorf("%w: %w", seglog.ErrDamaged, errors.New("its segment is missing"))
		}
		e.at = now.at // it was moved while we read
	}
}

// lost finishes a deferred message that cannot be read.
func (c *Channel) lost(seq uint64) {
	c.t.s.logger.Error("a deferred message cannot be read", "topic", c.t.name, "channel", c.name, "number", seq)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deferred.finish(seq)
	c.changed()
}

func (c *Channel) untake(entries []entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		c.deferred.untake(e.seq)
	}
}

// Deferred returns how many messages Due has still to give, and how many of
// them at the given time; of math.MaxInt64 it is quick, and they are all. Else it may
// read what the index has of them, which delays nobody.
func (c *Channel) Deferred(until int64) (all, due int64) {
	c.mu.Lock()
	all, due = c.deferred.waiting, int64(c.deferred.find(dueKey{until, ^uint64(0)}))
	if until == math.MaxInt64 {
		due = all
	}
	known := c.deferred.complete || until < c.deferred.bound.due
	c.mu.Unlock()
	if known || all == due {
		return all, due
	}
	all, due, err := c.countDue(until)
	if err != nil {
		c.t.s.fail(err)
	}
	return all, due
}

// countDue is Deferred by what the index has, as of one moment, and what it is to learn.
func (c *Channel) countDue(until int64) (all, due int64, err error) {
	x := c.t.s.index
	prefix := appendChannelKey(nil, deferredKeys, c.t.id, c.id)
	x.mu.Lock() // no note between what is in the index and what is pending
	db, done, err := x.reader()
	if err != nil {
		x.mu.Unlock()
		return 0, 0, err
	}
	defer done()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: dueKey{until, ^uint64(0)}.append(prefix)})
	c.mu.Lock()
	all, cleared := c.deferred.waiting, c.deferred.cleared
	changed, due := c.deferred.dueBeside(until)
	c.mu.Unlock()
	x.mu.Unlock()
	if err != nil {
		return all, due, err
	}
	for ok := it.First() && !cleared; ok; ok = it.Next() {
		if k, whole := parseDueKey(it.Key()); whole && !changed[k] {
			due++
		}
	}
	return all, due, it.Close()
}

// dueBeside returns which keys that are due it knows better than the index, and how many of these
// are to be given.
func (d *deferred) dueBeside(until int64) (changed map[dueKey]bool, due int64) {
	changed = make(map[dueKey]bool)
	for _, e := range d.taken {
		changed[e.dueKey] = true
	}
	for k, c := range d.pending {
		if k.due <= until && !changed[k] {
			changed[k] = true
			if !c.gone {
				due++
			}
		}
	}
	return changed, due
}

// Adopt takes messages over, which Due gives out. They are kept as the topic's
// durability says when it returns, all of them or, with an error, none. About
// 1 MiB a call is right.
func (c *Channel) Adopt(messages []Adopted) error {
	if err := c.t.s.room(); err != nil {
		return err
	}
	records := make([]*seglog.Record, len(messages))
	for i := range messages {
		m := &messages[i]
		payload := make([]byte, 0, 4+len(m.Body))
		payload = append(appendSize(payload, len(m.Body)), m.Body...)
		records[i] = &seglog.Record{
			Kind: seglog.Moved, First: adoptedNumbers | c.t.s.nextAdopted(), Count: 1, ID: m.ID, Time: m.Time,
			Due: max(m.Due, 0), Attempts: m.Attempts, Channel: c.id, Payload: payload,
			Attached: &deferral{c: c, adopted: true},
		}
	}
	if err := c.t.log.Append(records); err != nil {
		return err
	}
	c.tellDue()
	return nil
}

// adoptedNumbers is the bit of numbers that no log gave.
const adoptedNumbers = 1 << 63

// nextAdopted returns a number that was never returned before, by any Store.
func (s *Store) nextAdopted() uint64 {
	for {
		last := s.adopted.Load()
		next := max(last+1, uint64(time.Now().UnixNano()))
		if s.adopted.CompareAndSwap(last, next) {
			return next
		}
	}
}

func (c *Channel) tellDue() {
	c.t.mu.Lock()
	f := c.onDue
	c.t.mu.Unlock()
	if f != nil {
		f()
	}
}
