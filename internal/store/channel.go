package store

import (
	"slices"
	"sync"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// A Message is a run of messages of one batch.
type Message struct {
	Batch    *Batch
	Index    int // of the first message in the batch
	Offset   int // of the first message (of its size) in the batch's payload
	Count    int
	Attempts uint16 // deliveries so far, of every message of the run
}

// Seq returns the number of the first message.
func (m *Message) Seq() uint64 { return m.Batch.First + uint64(m.Index) }

// A Run is a run of numbers of messages.
type Run struct {
	First uint64
	Count int
}

// Adopted is a message that a channel takes over from elsewhere.
type Adopted struct {
	ID       uint64
	Time     int64 // acceptance, nanoseconds since the Unix epoch
	Due      int64 // nanoseconds since the Unix epoch; 0: at once
	Attempts uint16
	Body     []byte
}

// A Channel gives out every message of its topic, once, and knows which are
// finished. What it gave out is the caller's until Finish, Defer or Empty, or
// until the store is opened again: then what is not finished comes again.
type Channel struct {
	t    *Topic
	id   uint32
	name string

	onReady, onDue func()                                                   // guarded by the topic's mu
	source         func(yield func(seq uint64, count int, attempts uint16)) // guarded by mu

	reading sync.Mutex // Next: serializes the readers of ahead
	ahead   ahead

	tailed uint64 // guarded by the topic's mu: the number up to which it read the tail

	mu       sync.Mutex // what follows
	position position
	cursor   uint64      // the next number that Next gives, unless it is finished
	passed   int64       // of the topic's total: given out by Next, finished or deferred
	attempts []attempted // as noted earlier, of what is not yet given out
	deferred deferred
	dirty    bool // to be noted
	gone     bool
}

// Name returns the channel's name.
func (c *Channel) Name() string { return c.name }

// OnReady has f called when there may be something to take by Next.
// f is called without locks of the store, must be quick, and may come without
// reason. It must be set before the topic is released; another f takes its place.
func (c *Channel) OnReady(f func()) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.onReady = f
	c.t.setChannels(c.t.channels)
}

// OnDue is OnReady for Due: f is called when something may be due before the time that Due
// told, but for what Defer deferred.
func (c *Channel) OnDue(f func()) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.onDue = f
	c.t.setChannels(c.t.channels)
}

// Attempts sets the source of the attempts of messages that were given out and
// are not finished. It is asked, without locks of the store, when positions
// are written: after a crash these messages come again with their attempts.
// It must be set before the topic is released; another one takes its place.
func (c *Channel) Attempts(source func(yield func(seq uint64, count int, attempts uint16))) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = source
}

// Depth returns how many messages Next has still to give.
func (c *Channel) Depth() int64 {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t.total - c.passed
}

// Retried has the attempts of what was given out noted soon: it is delivered again, which
// the store would not know.
func (c *Channel) Retried() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed()
}

// changed has the channel noted soon; mu must be held.
func (c *Channel) changed() {
	if !c.dirty {
		c.dirty = true
		c.t.touch()
	}
}

// Finish is told of messages that will not be needed again. Numbers that are
// finished already do nothing. It does not block.
func (c *Channel) Finish(runs []Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range runs {
		c.finish(r.First, r.Count)
	}
	c.changed()
}

// finish expects mu to be held. What was given out by Next is above the floor
// and below the cursor; what was given out by Due is finished there, and taken.
func (c *Channel) finish(first uint64, count int) {
	end := first + uint64(count)
	if c.position.mark(first, min(end, c.cursor)) == uint64(count) || len(c.deferred.taken) == 0 {
		return
	}
	for seq := first; seq < end; seq++ {
		c.deferred.finish(seq)
	}
}

// deferral is what is attached to the record of a message that is deferred.
type deferral struct {
	c       *Channel
	adopted bool
}

// Defer gives one message back, which Due is to give out at a later time,
// nanoseconds since the Unix epoch, with m's attempts. It blocks until that is kept
// as the topic's durability says. With an error the message is still the caller's.
func (c *Channel) Defer(m Message, due int64) error {
	if err := c.t.s.room(); err != nil {
		return err
	}
	end := nextOffset(m.Batch.Payload, m.Offset)
	return c.t.log.Append([]*seglog.Record{{
		Kind: seglog.Moved, First: m.Seq(), Count: 1, ID: m.Batch.ID + uint64(m.Index), Time: m.Batch.Time,
		Due: max(due, 1), Attempts: m.Attempts, Channel: c.id, Payload: m.Batch.Payload[m.Offset:end:end],
		Attached: &deferral{c: c},
	}})
}

// entryOf returns the entry of a record that is one message.
func entryOf(r *seglog.Record, kept bool) entry {
	return entry{dueKey{max(r.Due, 0), r.First}, place{kept, r.Pos}, r.Attempts, uint32(len(r.Payload))}
}

// deferTo enters a record that is kept: of a message that was given out, if it
// was not finished meanwhile, or of one that is adopted.
func (c *Channel) deferTo(d *deferral, r *seglog.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || !d.adopted && !c.deferred.finish(r.First) && c.position.mark(r.First, min(r.First+1, c.cursor)) == 0 {
		return
	}
	c.deferred.put(entryOf(r, false))
	c.changed()
}

// deferRecord enters what was published to be deferred, but for numbers that
// are finished.
func (c *Channel) deferRecord(r *seglog.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	offset := 0
	for i := range r.Count {
		next := nextOffset(r.Payload, offset)
		e := entry{dueKey{r.Due, r.First + uint64(i)}, place{false, r.Pos}, 0, uint32(next - offset)}
		offset = next
		if c.position.mark(e.seq, e.seq+1) == 1 {
			c.passed++
			c.deferred.put(e)
		}
	}
	c.changed()
}

// drop finishes what was not released yet; the topic's mu must be held, and
// the numbers be counted as released.
func (c *Channel) drop(from, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += c.t.unfinished(&c.position, from, to)
	c.position.mark(from, to)
	c.changed()
}

// Empty finishes everything that was released to the channel: waiting, given
// out and deferred. With nil, it stays so after a power cut; with ErrNotNoted a crash may undo
// it for now. With another error nothing has changed.
func (c *Channel) Empty() error {
	if err := c.t.noteAll(); err != nil {
		return err
	}
	c.t.mu.Lock()
	c.mu.Lock()
	released := c.t.released.Load()
	c.passed += c.t.unfinished(&c.position, c.cursor, released)
	c.position.raise(released)
	c.cursor = max(c.cursor, released)
	c.attempts = nil
	c.deferred.clear()
	c.changed()
	c.mu.Unlock()
	c.t.mu.Unlock()
	return c.t.noteEmpty()
}

// Forget has the next Open not find the channel any more, also after a power cut; until
// then it works as before. With an error nothing has changed. Delete must follow before
// a channel of that name is created.
func (c *Channel) Forget() error {
	c.t.admin.Lock()
	defer c.t.admin.Unlock()
	return c.t.forget(c)
}

// forget expects admin to be held. What is forgotten may be so again.
func (t *Topic) forget(c *Channel) error {
	isIt := func(m channelMeta) bool { return m.ID == c.id }
	old := t.meta
	if !slices.ContainsFunc(old.Channels, isIt) {
		return nil
	}
	t.meta.Channels = slices.DeleteFunc(slices.Clone(old.Channels), isIt)
	err := t.s.WithReserve(func() error { return t.meta.write(t.s.fs, t.dir) })
	if err != nil {
		t.meta = old
	}
	return err
}

// Delete removes the channel. It stays removed after a power cut once it
// returned. Nothing may be called on c during and after it.
func (c *Channel) Delete() error {
	t := c.t
	t.admin.Lock()
	defer t.admin.Unlock()
	if err := t.forget(c); err != nil {
		return err
	}
	t.mu.Lock()
	t.setChannels(slices.DeleteFunc(slices.Clone(t.channels), func(o *Channel) bool { return o == c }))
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	t.mu.Unlock()
	c.reading.Lock()
	c.ahead.close()
	c.reading.Unlock()
	if err := t.s.index.forget(t.id, c.id); err != nil {
		t.s.logger.Warn("the rest of a deleted channel is removed later", "topic", t.name, "channel", c.name, "error", err)
	}
	t.touch() // what it needed alone can be trimmed
	return nil
}

// lowest returns the number up to which a channel needs nothing any more.
func (c *Channel) lowest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position.floor
}

// unfinished counts what is not finished of what was released.
func (c *Channel) unfinished(released uint64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t.unfinished(&c.position, c.position.floor, released) + int64(c.deferred.live)
}

// unfinished counts the messages of from ≤ number < to that are not finished.
func (t *Topic) unfinished(p *position, from, to uint64) (n int64) {
	if from = max(from, p.floor); from >= to {
		return 0
	}
	for _, r := range t.log.Runs(from, to) {
		n += int64(r.End-r.First) - int64(p.marked(r.First, r.End))
	}
	return n
}
