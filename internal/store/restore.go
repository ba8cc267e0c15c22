package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// restore brings the channels of a topic back as they were noted, and begins.
func (t *Topic) restore(f *foundTopic) error {
	if t.meta.Name == "" {
		if err := t.restoreMeta(f); err != nil {
			return err
		}
	}
	end, unnoted := max(f.end, f.state.released), f.state.released
	for _, m := range t.meta.Channels {
		c := t.newChannel(m.ID, m.Name)
		if fc := f.channels[m.ID]; fc != nil && fc.named {
			c.restore(fc)
		} else {
			unnoted = min(unnoted, m.Begin)
		}
		c.position.raise(m.Begin)
		end = max(end, c.position.end())
		t.channels = append(t.channels, c)
	}
	t.last, _ = t.log.End()
	t.reportMissing(f)
	t.log.Raise(end)
	if err := t.replay(f.state.applied); err != nil {
		return err
	}
	t.reportGone(f)
	if err := t.redefer(unnoted, f.state.released); err != nil { // for channels that were made just before a crash
		return err
	}
	return t.begin(f.state.released)
}

// reportMissing tells of messages that the log had when it was noted, and has no more: its
// end was cut off, or, with Disk, a power cut took it. What every channel has finished
// does not count.
func (t *Topic) reportMissing(f *foundTopic) {
	var missing uint64
	noted := f.state.last
	if t.last < noted && len(t.channels) == 0 {
		missing = noted - t.last
	}
	for _, c := range t.channels {
		lost := uint64(len(f.channel(c.id).foreign))
		if from := max(t.last, c.position.floor); from < noted {
			lost += noted - from - c.position.marked(from, noted)
		}
		missing = max(missing, lost)
	}
	if missing == 0 {
		return
	}
	d := seglog.Damage{File: t.s.fs.PathJoin(t.dir, logDir), Messages: int64(missing)}
	if segments := t.log.Segments(); len(segments) > 0 {
		d.Offset = segments[len(segments)-1].Bytes
	}
	t.damaged(d)
}

// reportGone tells of files that are not there, although a channel has not finished what was in
// them: nsqd removes none of these. For the channel it is finished then. What was moved elsewhere is
// to be replayed before.
func (t *Topic) reportGone(f *foundTopic) {
	gaps := t.log.Gaps()
	var missing uint64
	for _, c := range t.channels {
		if fc := f.channels[c.id]; fc == nil || !fc.named { // nobody knows what it has finished
			continue
		}
		var lost uint64
		for _, gap := range gaps {
			lost += c.position.mark(gap.First, gap.End)
		}
		c.dirty = c.dirty || lost > 0
		missing = max(missing, lost)
	}
	if missing > 0 {
		t.damaged(seglog.Damage{File: t.s.fs.PathJoin(t.dir, logDir), Messages: int64(missing)})
	}
}

func (c *Channel) restore(f *foundChannel) {
	c.position = f.position
	c.attempts = f.attempts
	f.deferred.size = c.deferred.size
	c.deferred = f.deferred
	c.deferred.waiting = int64(f.entries)
	c.deferred.complete = f.entries == 0
	for _, e := range f.foreign {
		c.deferred.count(&e, -1)
		c.deferred.waiting--
		c.deferred.change(change{entry: e, gone: true})
		c.dirty = true
	}
}

// restoreMeta finds out from the index, and from the logs, what meta.json said. Where there is no
// room for a new one, writeMeta makes it later.
func (t *Topic) restoreMeta(f *foundTopic) error {
	t.meta = meta{Name: t.name, Durability: Fsync.String(), NextChannel: 1}
	if d := f.state.durability; d == Disk {
		t.meta.Durability = d.String()
	}
	for id, c := range f.channels {
		t.meta.NextChannel = max(t.meta.NextChannel, id+1)
		if c.named {
			t.meta.Channels = append(t.meta.Channels, channelMeta{ID: id, Name: c.name})
		}
	}
	if err := t.eachMoved(func(r *seglog.Record, _ bool) { // of channels that are deleted, too
		t.meta.NextChannel = max(t.meta.NextChannel, r.Channel+1)
	}); err != nil {
		return err
	}
	slices.SortFunc(t.meta.Channels, func(a, b channelMeta) int { return cmp.Compare(a.ID, b.ID) })
	d, err := ParseDurability(t.meta.Durability)
	if err != nil {
		return err
	}
	t.setSync(d)
	err = t.meta.write(t.s.fs, t.dir)
	if wantsRoom(err) {
		t.unwritten.Store(writeAtOnce)
		t.touch()
		return nil
	}
	return err
}

// writeAtOnce says that to write meta.json has not been tried again yet.
const writeAtOnce = 1

// writeMeta writes meta.json if restoreMeta could not and now, in Unix nanoseconds, it is time to try
// again; until then each Open does what that did. rest has it called again where it fails.
func (t *Topic) writeMeta(now int64) {
	at := t.unwritten.Load()
	if at == 0 || now < at || t.isRemoved() {
		return
	}
	t.admin.Lock()
	err := t.meta.write(t.s.fs, t.dir)
	t.admin.Unlock()
	var again int64
	if err != nil {
		again = time.Now().Add(idleAfter).UnixNano()
	}
	t.unwritten.Store(again)
	switch failed := at != writeAtOnce; {
	case failed == (err != nil), t.s.isStopping():
	case err != nil:
		t.s.logger.Error("the file that names the channels of a topic cannot be written, will try again", "topic", t.name, "error", err)
	default:
		t.s.logger.Info("the file that names the channels of a topic is written again", "topic", t.name)
	}
}

// begin sets what t and its channels begin with, when their positions are
// known: at least what is below a number was released.
func (t *Topic) begin(from uint64) error {
	first, _ := t.log.Begin()
	end, at := t.log.End()
	released := min(max(from, first), end)
	for from = released; ; from = released {
		for _, c := range t.channels {
			c.position.raise(first)
			released = min(max(released, c.position.end()), end)
		}
		if from == released {
			break
		}
		if err := t.redefer(from, released); err != nil { // which may finish what is behind
			return err
		}
	}
	t.released.Store(released)
	t.end, t.tail.first, t.applied = end, end, at
	for _, c := range t.channels {
		c.cursor = c.position.floor
		c.tailed = c.cursor
		c.passed = -t.unfinished(&c.position, c.cursor, released)
		if c.dirty {
			t.touch()
		}
	}
	return nil
}

// redefer enters what was published to be deferred, between two numbers: some
// channels may not have noted it.
func (t *Topic) redefer(from, to uint64) error {
	if from == to || !t.hasDeferred(from) {
		return nil
	}
	cursor := t.log.Seek(from)
	defer cursor.Close()
	now := time.Now().UnixNano()
	for {
		records, err := cursor.Next(readBytes)
		if err != nil || len(records) == 0 {
			return err
		}
		for i := range records {
			r := &records[i]
			if r.First >= to {
				return nil
			}
			for _, c := range t.channels {
				if r.Due > now {
					c.deferRecord(r)
				}
			}
		}
	}
}

// replay enters the deferred messages that the log has from a place on, and
// that the index may not have.
func (t *Topic) replay(applied seglog.Pos) error {
	records := make(map[*Channel][]entry)
	for _, s := range t.log.Segments() {
		if !s.Deferred || s.ID < applied.Segment() || s.ID == applied.Segment() && applied&allOfSegment == allOfSegment {
			continue
		}
		err := t.log.Scan(s.ID, func(r seglog.Record) error {
			if c := t.channelOf(r.Channel); r.Kind == seglog.Moved && r.Pos >= applied && c != nil {
				records[c] = append(records[c], entryOf(&r, false))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for c, entries := range records {
		if err := c.replay(entries); err != nil {
			return err
		}
	}
	return nil
}

func (t *Topic) channelOf(id uint32) *Channel {
	i := slices.IndexFunc(t.channels, func(c *Channel) bool { return c.id == id })
	if i < 0 {
		return nil
	}
	return t.channels[i]
}

// replay enters entries, in the order of the log. A number that is finished
// and not in the index was deferred and finished, or emptied; what the index has
// of the kept log is older than what is to be replayed.
func (c *Channel) replay(entries []entry) error {
	known := make(map[uint64]*entry)
	for _, e := range entries {
		known[e.seq] = nil
	}
	from := appendChannelKey(nil, deferredKeys, c.t.id, c.id)
	err := c.t.s.index.each(from, after(from), func(key, value []byte) (bool, error) {
		e, err := parseEntry(key, value)
		if _, ok := known[e.seq]; ok && err == nil {
			known[e.seq] = &e
		}
		return true, err
	})
	for _, e := range entries {
		old := known[e.seq]
		switch {
		case old != nil && !old.at.kept && old.at.pos >= e.at.pos:
			continue
		case old != nil:
			c.deferred.drop(*old)
		case e.seq < adoptedNumbers && c.position.mark(e.seq, e.seq+1) == 0:
			continue
		}
		c.deferred.put(e)
		known[e.seq] = &e
		c.dirty = true
	}
	return err
}
