package store

import (
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// trim removes the segments that nobody needs any more. What only a few
// deferred messages or stragglers hold is moved before; if that fails, the others
// are removed all the same, as that may be what makes room for it.
func (t *Topic) trim() error {
	t.trimming.Lock()
	defer t.trimming.Unlock()
	if t.isRemoved() {
		return nil
	}
	err := t.moveStragglers()
	unneeded, move := t.removable()
	return errors.Join(err, t.removeSegments(unneeded), t.clear(move))
}

// removeSegments removes what nobody needs, when the index says so on stable storage.
func (t *Topic) removeSegments(segments []segment) error {
	if len(segments) == 0 {
		return nil
	}
	left := t.usage() // before the note, so that the index has no entries of what is unused
	if err := t.s.seal(t); err != nil {
		return err
	}
	for _, s := range segments {
		if left[s].entries == 0 {
			if err := t.logOf(s).Remove(s.id); err != nil && !errors.Is(err, seglog.ErrInUse) {
				return err
			}
		}
	}
	if t.s.room() != nil { // logs keep files that are removed, to write to them again
		t.closeFiles()
	}
	return nil
}

func (t *Topic) isRemoved() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.removed
}

func (t *Topic) logOf(s segment) *seglog.Log {
	if s.kept {
		return t.kept.Load()
	}
	return t.log
}

// usage returns what deferred messages take of each segment.
func (t *Topic) usage() map[segment]usage {
	all := make(map[segment]usage)
	for _, c := range t.Channels() {
		c.mu.Lock()
		for s, u := range c.deferred.usage {
			sum := all[s]
			all[s] = usage{sum.entries + u.entries, sum.bytes + u.bytes}
		}
		c.mu.Unlock()
	}
	return all
}

// moved is what they would take in the log of kept ones, in frames of their own.
func (u usage) moved() int64 { return u.bytes + u.entries*seglog.FrameOverhead }

// removable returns the segments that nobody needs, and those that would be so if their
// deferred messages were moved, which then take less than half as much.
func (t *Topic) removable() (unneeded, move []segment) {
	low := t.lowest()
	var used map[segment]usage
	for kept, log := range t.logs() {
		segments := log.Segments()
		for _, s := range segments {
			if s.End > low && kept == 0 || s.Active {
				break
			}
			if used == nil {
				used = t.usage()
			}
			id := segment{kept == 1, s.ID}
			switch u := used[id]; {
			case u.entries == 0:
				unneeded = append(unneeded, id)
			case u.moved() < s.Bytes/2:
				move = append(move, id)
			}
		}
	}
	return unneeded, move
}

// lowest returns the number below which all is released and finished.
func (t *Topic) lowest() uint64 {
	low := t.released.Load()
	for _, c := range t.Channels() {
		low = min(low, c.lowest())
	}
	return low
}

// seal notes everything of t on stable storage, and writes down that the index
// has got so far: if it is ever found to be older, it is rebuilt, as what it
// still says may be removed.
func (s *Store) seal(t *Topic) error {
	if err := s.note([]*Topic{t}, true); err != nil {
		return err
	}
	s.index.mu.Lock()
	seals := s.index.seals
	s.index.mu.Unlock()
	return writeFile(s.fs, s.path(sealFile), binary.AppendUvarint(nil, seals))
}

// moveBytes is about how much is moved by one append.
const moveBytes = 1 << 20

// errStopping says that a trim was not ended, as the store closes.
var errStopping = errors.New("store: closes")

// mover moves messages into the log of kept ones.
type mover struct {
	t       *Topic
	records []*seglog.Record
	olds    []moving
	bytes   int
}

// moving is one message that is moved, on behalf of one channel.
type moving struct {
	c   *Channel
	old entry // zero for a straggler, but for its number
}

func (m *mover) add(c *Channel, old entry, r *seglog.Record, seq uint64, attempts uint16) error {
	if m.t.s.isStopping() {
		return errStopping
	}
	b, err := message(r, seq)
	if err != nil {
		return err
	}
	m.records = append(m.records, &seglog.Record{
		Kind: seglog.Moved, First: seq, Count: 1, ID: b.ID, Time: b.Time, Due: old.due, Attempts: attempts,
		Channel: c.id, Payload: b.Payload,
	})
	m.olds = append(m.olds, moving{c, old})
	if m.bytes += len(b.Payload); m.bytes >= moveBytes {
		return m.flush()
	}
	return nil
}

// flush appends what was added, and has the channels know. It does not ask for room:
// what is moved is little, and makes room.
func (m *mover) flush() error {
	if len(m.records) == 0 {
		return nil
	}
	kept, err := m.t.openKept()
	if err == nil {
		err = kept.Append(m.records)
	}
	if err != nil {
		return err
	}
	if err := m.enter(); err != nil {
		return err
	}
	m.records, m.olds, m.bytes = nil, nil, 0
	m.t.s.noteMeanwhile()
	return nil
}

// enter has the channels know of what was moved.
func (m *mover) enter() error {
	x := m.t.s.index
	x.mu.Lock() // no note between what the index has and what is pending
	defer x.mu.Unlock()
	for i, r := range m.records {
		if err := m.olds[i].enter(x, r); err != nil {
			m.t.s.fail(err)
			return err
		}
	}
	return nil
}

// enter replaces an entry, or enters a straggler, which its channel gave out,
// unless it is finished meanwhile.
func (m *moving) enter(x *index, r *seglog.Record) error {
	straggler := m.old.bytes == 0
	current, indexed := entry{}, false
	if !straggler {
		var err error
		if current, indexed, err = x.entry(m.c.t.id, m.c.id, m.old.dueKey); err != nil {
			return err
		}
	}
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	switch {
	case m.c.gone:
		return nil
	case !straggler:
		m.c.deferred.moved(m.old, place{true, r.Pos}, indexed, current)
	case m.c.position.mark(r.First, r.First+1) == 1:
		m.c.deferred.putTaken(entryOf(r, true))
	}
	m.c.changed()
	return nil
}

// entry returns what the index has for a deferred message.
func (x *index) entry(topic, channel uint32, k dueKey) (e entry, ok bool, err error) {
	db, done, err := x.reader()
	if err != nil {
		return e, false, err
	}
	defer done()
	key := k.append(appendChannelKey(nil, deferredKeys, topic, channel))
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return e, false, nil
	}
	if err != nil {
		return e, false, err
	}
	defer closer.Close()
	e, err = parseEntry(key, value)
	return e, err == nil, err
}

// openKept returns the log of kept messages, which is made when it is needed.
func (t *Topic) openKept() (*seglog.Log, error) {
	if kept := t.kept.Load(); kept != nil {
		return kept, nil
	}
	kept, err := seglog.Open(t.logOptions(keptDir))
	if err != nil {
		return nil, err
	}
	if err := seglog.SyncDir(t.s.fs, t.dir); err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	t.kept.Store(kept)
	kept.SetSync(t.Durability() == Fsync) // which may have been changed meanwhile
	return kept, nil
}

// clear moves the deferred messages of segments and removes these, one by one, so
// that little more room is taken meanwhile.
func (t *Topic) clear(segments []segment) error {
	if len(segments) == 0 {
		return nil
	}
	if err := t.s.note([]*Topic{t}, false); err != nil { // the index says which entries there are
		return err
	}
	for _, s := range segments {
		if err := t.moveDeferred(s); err != nil {
			return err
		}
		if err := t.removeSegments([]segment{s}); err != nil {
			return err
		}
	}
	return nil
}

// moveDeferred moves the deferred messages of a segment. The index must know
// them.
func (t *Topic) moveDeferred(s segment) error {
	m := mover{t: t}
	channels := t.Channels()
	err := t.logOf(s).Scan(s.id, func(r seglog.Record) error {
		if r.Kind == seglog.Messages && r.Due == 0 {
			return nil
		}
		if t.s.isStopping() {
			return errStopping
		}
		for _, c := range channels {
			if r.Kind == seglog.Moved && r.Channel != c.id {
				continue
			}
			if err := m.addLive(c, &r, s.kept); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, m.flush())
}

// addLive adds the messages of a record that c has entries of.
func (m *mover) addLive(c *Channel, r *seglog.Record, kept bool) error {
	for i := range uint64(r.Count) {
		k := dueKey{max(r.Due, 0), r.First + i}
		e, ok, err := m.t.s.index.entry(m.t.id, c.id, k)
		if err != nil {
			m.t.s.fail(err)
			return err
		}
		if !ok || e.at != (place{kept, r.Pos}) {
			continue
		}
		if err := m.add(c, e, r, k.seq, e.attempts); err != nil {
			return err
		}
	}
	return nil
}

// noNumber is behind all numbers that logs give.
const noNumber = adoptedNumbers
