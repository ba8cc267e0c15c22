package store

import "github.com/seed893f581e/nsq/internal/seglog"

// moveStragglers moves messages that a channel gave out long ago and that are
// not finished: those two segments and more behind its cursor.
func (t *Topic) moveStragglers() error {
	segments := t.log.Segments()
	if len(segments) < 3 {
		return nil
	}
	for _, c := range t.Channels() {
		c.mu.Lock()
		cursor, floor := c.cursor, c.position.floor
		c.mu.Unlock()
		i := len(segments) - 1
		for i > 0 && segments[i].First > cursor {
			i--
		}
		if i > 1 && floor < segments[i-1].First {
			if err := c.moveStragglers(segments[i-1].First); err != nil {
				return err
			}
		}
	}
	return nil
}

// moveStragglers moves what is not finished below a number, which is at most
// the cursor.
func (c *Channel) moveStragglers(limit uint64) error {
	m := mover{t: c.t}
	attempts := c.attemptsNow()
	r := stragglerReader{log: c.t.log}
	defer r.close()
	for seq := c.nextUnfinished(0, limit); seq < limit; seq = c.nextUnfinished(seq+1, limit) {
		record, err := r.read(seq)
		if err != nil {
			return err
		}
		if record.First > seq { // what there was is lost
			c.lose(seq, min(record.First, limit))
			continue
		}
		if err := m.add(c, entry{dueKey: dueKey{seq: seq}}, record, seq, attempts[seq]); err != nil {
			return err
		}
	}
	return m.flush()
}

// attemptsNow returns the attempts of what is not finished, by number.
func (c *Channel) attemptsNow() map[uint64]uint16 {
	c.mu.Lock()
	source := c.source
	c.mu.Unlock()
	attempts := make(map[uint64]uint16)
	if source != nil {
		source(func(seq uint64, count int, n uint16) {
			for i := range uint64(count) {
				attempts[seq+i] = n
			}
		})
	}
	return attempts
}

func (c *Channel) nextUnfinished(from, limit uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position.nextClear(min(from, limit), limit)
}

// lose finishes messages that were given out and are lost.
func (c *Channel) lose(from, to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.position.mark(from, to)
	c.changed()
}

// stragglerReader reads records by rising numbers.
type stragglerReader struct {
	log     *seglog.Log
	cursor  *seglog.Cursor
	records []seglog.Record
}

func (r *stragglerReader) close() {
	if r.cursor != nil {
		r.cursor.Close()
	}
}

// read returns the record that holds a number, or else the first one behind it,
// which may begin anywhere if there is none.
func (r *stragglerReader) read(seq uint64) (*seglog.Record, error) {
	for {
		for len(r.records) > 0 && r.records[0].First+uint64(r.records[0].Count) <= seq {
			r.records = r.records[1:]
		}
		if len(r.records) > 0 {
			return &r.records[0], nil
		}
		r.close()
		r.cursor = r.log.Seek(seq)
		var err error
		if r.records, err = r.cursor.Next(readBytes); err != nil {
			return nil, err
		}
		if len(r.records) == 0 {
			return &seglog.Record{First: noNumber}, nil
		}
	}
}
