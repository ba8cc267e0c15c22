package store

import "github.com/seed893f581e/nsq/internal/seglog"

// ahead is what Next reads: batches from the tail or the log, from the cursor
// on, and where in the log to go on. The channel's reading guards it.
type ahead struct {
	batches []*Batch
	log     *seglog.Cursor // nil: nothing to read, or from the tail
	at      uint64         // number behind what log gave
	index   int            // message of the first batch that
	offset  int            // begins here
	of      *Batch         // this first batch
}

func (a *ahead) close() {
	if a.log != nil {
		a.log.Close()
	}
	*a = ahead{}
}

func (a *ahead) pop() {
	a.batches[0] = nil
	if a.batches = a.batches[1:]; len(a.batches) == 0 {
		a.batches = nil
	}
}

// offsetOf returns where a message of b begins, which is quick for the one
// that offsetOf was asked for before, and those soon behind it.
func (a *ahead) offsetOf(b *Batch, index int) int {
	if a.of != b || a.index > index {
		a.of, a.index, a.offset = b, 0, 0
	}
	for a.index < index {
		a.offset = nextOffset(b.Payload, a.offset)
		a.index++
	}
	return a.offset
}

// Next appends the next messages to dst: at most n, and no more than have
// maxBytes with their sizes, but one in any case. It appends nothing when there
// is none; it does not wait for messages, but may read from disk.
func (c *Channel) Next(dst []Message, n, maxBytes int) ([]Message, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	l := limits{messages: n, bytes: maxBytes, first: true}
	for l.messages > 0 {
		if len(c.ahead.batches) == 0 {
			if more, err := c.read(); err != nil || !more {
				return dst, err
			}
		}
		var done bool
		if dst, done = c.give(dst, &l); done {
			break
		}
	}
	return dst, nil
}

// limits are what a Next may still give.
type limits struct {
	messages, bytes int
	first           bool // nothing was given yet
}

// give appends what ahead has, and tells whether the limits or what is
// released allow no more.
func (c *Channel) give(dst []Message, l *limits) (_ []Message, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	given := l.messages
	for len(c.ahead.batches) > 0 && l.messages > 0 && !done {
		b := c.ahead.batches[0]
		if b.First > c.cursor {
			c.skip(min(b.First, c.t.released.Load()))
		}
		limit := min(b.end(), c.t.released.Load())
		seq := c.position.nextClear(max(c.cursor, b.First), max(limit, c.cursor))
		c.cursor = max(c.cursor, min(seq, limit))
		switch {
		case c.cursor >= b.end():
			c.ahead.pop()
		case seq >= limit:
			done = true
		default:
			dst, done = c.giveRun(dst, b, c.position.nextMarked(seq, limit), l)
		}
	}
	if l.messages < given {
		c.changed()
	}
	return dst, done
}

// giveRun appends the messages from the cursor up to a number, which have all to
// be given, as far as l allows; it tells whether l allows no more.
func (c *Channel) giveRun(dst []Message, b *Batch, to uint64, l *limits) (_ []Message, done bool) {
	for c.cursor < to && !done {
		index := int(c.cursor - b.First)
		offset := c.ahead.offsetOf(b, index)
		until, attempts := c.attemptsFrom(to)
		count := int(until - c.cursor)
		bytes := len(b.Payload) - offset
		if count > l.messages || bytes > l.bytes || index+count < b.Count {
			count, bytes = l.cut(b.Payload, offset, count)
		}
		if done = count == 0; done {
			break
		}
		dst = append(dst, Message{Batch: b, Index: index, Offset: offset, Count: count, Attempts: attempts})
		l.messages -= count
		l.bytes -= bytes
		l.first = false
		c.ahead.index, c.ahead.offset = index+count, offset+bytes
		c.cursor += uint64(count)
		c.passed += int64(count)
		done = l.messages == 0
	}
	return dst, done
}

// cut returns how many of count messages fit into l, and their bytes.
func (l *limits) cut(payload []byte, offset, count int) (n, bytes int) {
	end := offset
	for n < min(count, l.messages) {
		next := nextOffset(payload, end)
		if next-offset > l.bytes && (n > 0 || !l.first) {
			break
		}
		n, end = n+1, next
	}
	return n, end - offset
}

// attemptsFrom returns the attempts of the message at the cursor as they were
// noted earlier, and up to which number, at most to, others have as many.
func (c *Channel) attemptsFrom(to uint64) (until uint64, attempts uint16) {
	for len(c.attempts) > 0 {
		a := c.attempts[0]
		switch end := a.first + uint64(a.count); {
		case end <= c.cursor:
			c.attempts = c.attempts[1:]
		case a.first > c.cursor:
			return min(to, a.first), 0
		default:
			return min(to, end), a.attempts
		}
	}
	c.attempts = nil
	return to, 0
}

// skip moves the cursor to a number up to which there are no messages any
// more: what there was is lost.
func (c *Channel) skip(to uint64) {
	if to <= c.cursor {
		return
	}
	c.passed += c.t.unfinished(&c.position, c.cursor, to)
	c.position.mark(c.cursor, to)
	c.cursor = to
	c.changed()
}

// tailBatches is how many batches are taken from the tail at a time.
const tailBatches = 64

// read fills ahead, from the tail if it has what the cursor needs, else from
// the log, and tells whether there is anything. reading must be held.
func (c *Channel) read() (more bool, err error) {
	a := &c.ahead
	c.mu.Lock()
	cursor, gone := c.cursor, c.gone
	c.mu.Unlock()
	released, inTail := c.readTail(cursor)
	if cursor >= released || gone {
		return false, nil
	}
	if inTail {
		if a.log != nil {
			a.log.Close()
			a.log = nil
		}
		if len(a.batches) == 0 { // numbers that were never given
			c.skipTo(released)
		}
		return true, nil
	}
	return true, c.readLog(cursor, released)
}

// readTail takes batches from the tail, and tells whether all there are from
// the cursor on are there.
func (c *Channel) readTail(cursor uint64) (released uint64, inTail bool) {
	t := c.t
	t.mu.Lock()
	defer t.mu.Unlock()
	released = t.released.Load()
	if cursor < t.tail.first {
		return released, false
	}
	c.ahead.batches = t.tail.from(c.ahead.batches, cursor, released, tailBatches)
	if n := len(c.ahead.batches); n > 0 {
		t.passed(c, c.ahead.batches[n-1].end())
	}
	return released, true
}

// passed is told how far a channel has what it needs of the tail. What all
// have is let go of. mu must be held.
func (t *Topic) passed(c *Channel, seq uint64) {
	behind := c.tailed <= t.tail.first
	c.tailed = seq
	if !behind {
		return
	}
	for _, o := range t.channels {
		seq = min(seq, o.tailed)
	}
	t.tail.passed(seq)
}

func (c *Channel) skipTo(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skip(seq)
}

// readLog reads on in the log. All messages below released are there, or lost.
func (c *Channel) readLog(cursor, released uint64) error {
	a := &c.ahead
	if a.log != nil && a.at < cursor {
		a.log.Close()
		a.log = nil
	}
	if a.log == nil {
		a.log = c.t.log.Seek(cursor)
	}
	records, err := a.log.Next(readBytes)
	if err != nil {
		return err
	}
	for i := range records {
		a.batches = append(a.batches, batchWithMemory(&records[i]))
	}
	if n := len(a.batches); n > 0 {
		a.at = a.batches[n-1].end()
	} else {
		c.skipTo(released)
	}
	return nil
}

// batchWithMemory returns a record that one channel has read as a batch.
func batchWithMemory(r *seglog.Record) *Batch {
	b := batchOf(r)
	b.memory = r.Memory
	b.left.Store(int32(b.Count))
	return b
}
