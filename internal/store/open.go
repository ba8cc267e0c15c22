package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// Names in a store's directory, and in a topic's.
const (
	formatFile    = "format"
	indexDir      = "index"
	sealFile      = "index.seal"    // see seal
	rebuildFile   = "index.rebuild" // the index is to be rebuilt
	topicsDir     = "topics"
	newSuffix     = ".new"     // of a topic that is being made
	deletedSuffix = ".deleted" // of one that is being removed
	logDir        = "log"
	keptDir       = "kept"
)

// format is the version of what a store writes.
const format = 1

// Open opens the store of a directory, which is made if it is not there. No
// other process may have it open. All topics are held at first.
func Open(o Options) (*Store, error) {
	s := &Store{Options: o, fs: o.FS, logger: o.Logger, kick: make(chan struct{}, 1), stop: make(chan struct{}), next: 1}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	s.TailMessages = cmp.Or(o.TailMessages, 1<<16)
	s.TailBytes = cmp.Or(o.TailBytes, 4<<20)
	s.NoteEvery = cmp.Or(o.NoteEvery, 100*time.Millisecond)
	s.window = cmp.Or(o.window, 1024)
	if err := s.open(); err != nil {
		for _, t := range s.topics {
			t.close()
		}
		if s.index != nil {
			s.index.close()
		}
		return nil, fmt.Errorf("store %s: %w", o.Dir, err)
	}
	s.index.fs.patient.Store(true)
	return s, nil
}

func (s *Store) open() error {
	if err := s.fs.MkdirAll(s.path(topicsDir), 0o755); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	if err := s.openTopics(); err != nil {
		return err
	}
	found, err := s.loadIndex()
	if isDamage(err) {
		return s.rebuild(err)
	}
	if err != nil {
		return err
	}
	if err := s.purge(found); err != nil {
		return err
	}
	var ahead []*Topic
	for _, t := range s.topics {
		f := found.topic(t.id)
		if err := t.restore(f); err != nil {
			return err
		}
		if f.foreign || f.state.applied > t.applied {
			ahead = append(ahead, t)
		}
	}
	if len(ahead) == 0 {
		return nil
	}
	// What the index says of what the logs lost must not be taken for what they
	// get now.
	return s.note(ahead, true)
}

// isDamage tells what makes an index worth nothing from what may be better
// the next time.
func isDamage(err error) bool {
	if err == nil || wantsRoom(err) {
		return false
	}
	for _, other := range []error{fs.ErrPermission, syscall.EIO, syscall.EAGAIN, syscall.ENOMEM} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// checkFormat refuses what later software wrote.
func (s *Store) checkFormat() error {
	name := s.path(formatFile)
	data, err := readFile(s.fs, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if v, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
		if v > format {
			return fmt.Errorf("%s: written by later software: version %d, this knows %d", name, v, format)
		}
		return nil
	}
	if err == nil {
		s.logger.Warn("a damaged file is written again", "file", name)
	}
	if err := writeFile(s.fs, name, fmt.Appendf(nil, "%d\n", format)); err != nil {
		return err
	}
	return seglog.SyncDir(s.fs, s.fs.PathDir(s.Dir))
}

// openTopics opens the logs of all topics, and removes what is left of
// others.
func (s *Store) openTopics() error {
	names, err := s.fs.List(s.path(topicsDir))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, dir := range names {
		id, name, ok := parseTopicDir(dir)
		if !ok {
			s.logger.Warn("a file that is not of a store is left alone", "file", s.path(topicsDir, dir))
			continue
		}
		s.next = max(s.next, id+1)
		if strings.HasSuffix(dir, newSuffix) || strings.HasSuffix(dir, deletedSuffix) {
			if err := s.fs.RemoveAll(s.path(topicsDir, dir)); err != nil {
				return err
			}
			continue
		}
		m, err := readMeta(s.fs, s.path(topicsDir, dir))
		if err != nil && !isDamage(err) {
			return err
		}
		if err != nil {
			s.logger.Error("what a topic's channels are is found out from the index", "topic", name, "error", err)
		} else {
			name = m.Name
		}
		t, err := s.openTopic(id, name, dir, m)
		if err != nil {
			return err
		}
		s.topics = append(s.topics, t)
	}
	return nil
}

// openTopic opens the logs of a topic; begin must follow. m is nil if it is
// not known.
func (s *Store) openTopic(id uint32, name, dir string, m *meta) (*Topic, error) {
	t := &Topic{s: s, id: id, name: name, dir: s.path(topicsDir, dir), held: true}
	t.durability.Store(uint32(Fsync))
	if m != nil {
		t.meta = *m
		d, _ := ParseDurability(m.Durability) // readMeta checked it
		t.durability.Store(uint32(d))
	}
	o := t.logOptions(logDir)
	o.OnCommit = t.committed
	var err error
	if t.log, err = seglog.Open(o); err != nil {
		return nil, err
	}
	if files, err := s.fs.List(s.fs.PathJoin(t.dir, keptDir)); err != nil || len(files) == 0 {
		return t, nil
	}
	if _, err := t.openKept(); err != nil {
		return nil, errors.Join(err, t.log.Close())
	}
	return t, nil
}

func (t *Topic) logOptions(dir string) seglog.Options {
	return seglog.Options{
		FS: t.s.fs, Dir: t.s.fs.PathJoin(t.dir, dir), SegmentBytes: t.s.SegmentBytes, Sync: t.Durability() == Fsync,
		Damage: t.damaged, Logger: t.s.logger,
	}
}

// found is what an index says.
type found struct {
	topics map[uint32]*foundTopic
}

type foundTopic struct {
	state    state
	channels map[uint32]*foundChannel
	end      uint64            // behind all numbers of deferred messages
	foreign  bool              // one of channels has foreign entries
	files    map[segment]int64 // bytes of each segment there is, when asked for
	last     [2]uint32         // id of the last one of the log, and of kept messages
}

type foundChannel struct {
	noted
	deferred deferred
	foreign  []entry // of messages that the logs lost in a power cut
	named    bool    // noted was there
}

func (f *found) topic(id uint32) *foundTopic {
	t := f.topics[id]
	if t == nil {
		t = &foundTopic{channels: make(map[uint32]*foundChannel)}
		f.topics[id] = t
	}
	return t
}

func (t *foundTopic) channel(id uint32) *foundChannel {
	c := t.channels[id]
	if c == nil {
		c = new(foundChannel)
		t.channels[id] = c
	}
	return c
}

// errIndex is why an index is rebuilt.
var errIndex = errors.New("the index is damaged")

// loadIndex opens the index and reads all of it.
func (s *Store) loadIndex() (*found, error) {
	_, err := s.fs.Stat(s.path(indexDir))
	missing := errors.Is(err, fs.ErrNotExist)
	if _, err := s.fs.Stat(s.path(rebuildFile)); err == nil {
		return nil, fmt.Errorf("%w: as was found before", errIndex)
	}
	if missing && len(s.topics) > 0 {
		return nil, fmt.Errorf("%w: it is missing", errIndex)
	}
	if s.index, err = openIndex(s.fs, s.path(indexDir), missing || len(s.topics) == 0, s.logger); err != nil {
		return nil, err
	}
	f := &found{topics: make(map[uint32]*foundTopic)}
	topics := make(map[uint32]*Topic)
	for _, t := range s.topics {
		topics[t.id] = t
	}
	if err := s.index.each(nil, nil, func(key, value []byte) (bool, error) {
		return true, s.find(f, topics, key, value)
	}); err != nil {
		return nil, err
	}
	return f, s.checkFound(f)
}

// find takes in one key of the index.
func (s *Store) find(f *found, topics map[uint32]*Topic, key, value []byte) (err error) {
	if len(key) == 1 && key[0] == sealKey {
		s.index.seals, _ = binary.Uvarint(value)
		return nil
	}
	if want := map[byte]int{topicKeys: topicKeyLen, channelKeys: channelKeyLen, deferredKeys: deferredKeyLen}[key[0]]; len(key) != want {
		return fmt.Errorf("%w: a key that is not known", errIndex)
	}
	id, channel := ids(key)
	ft := f.topic(id)
	switch key[0] {
	case topicKeys:
		ft.state, err = parseState(value)
	case channelKeys:
		var n *noted
		if n, err = parseNoted(value); err == nil {
			fc := ft.channel(channel)
			fc.noted, fc.named = *n, true
		}
	case deferredKeys:
		err = ft.findEntry(topics[id], channel, key, value)
	}
	return err
}

func (ft *foundTopic) findEntry(t *Topic, channel uint32, key, value []byte) error {
	e, err := parseEntry(key, value)
	if err != nil || t == nil {
		return err
	}
	fc := ft.channel(channel)
	fc.deferred.count(&e, 1)
	if e.seq < adoptedNumbers {
		ft.end = max(ft.end, e.seq+1)
	}
	there, lost := ft.has(t, e.at)
	if lost {
		fc.foreign = append(fc.foreign, e)
		ft.foreign = true
	}
	if !there && !lost && t.knows(channel) {
		return fmt.Errorf("%w: it has a message in a file of topic %q that is not there", errIndex, t.name)
	}
	return nil
}

// knows tells whether a channel exists, as far as that is known.
func (t *Topic) knows(channel uint32) bool {
	return t.meta.Name == "" || slices.ContainsFunc(t.meta.Channels, func(c channelMeta) bool { return c.ID == channel })
}

// has tells whether a place is in a log, or may have been behind what a power
// cut left of it.
func (ft *foundTopic) has(t *Topic, p place) (there, lost bool) {
	if ft.files == nil {
		ft.files = make(map[segment]int64)
		for kept, log := range t.logs() {
			for _, s := range log.Segments() {
				ft.files[segment{kept == 1, s.ID}] = s.Bytes
				ft.last[kept] = s.ID
			}
		}
	}
	last := ft.last[0]
	if p.kept {
		last = ft.last[1]
	}
	bytes, there := ft.files[p.segment()]
	there = there && int64(uint32(p.pos)) < bytes
	return there, !there && (bytes > 0 || p.pos.Segment() > last)
}

// checkFound tells whether f is of one moment, and not older than what was
// removed because of it.
func (s *Store) checkFound(f *found) error {
	data, err := readFile(s.fs, s.path(sealFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if seals, _ := binary.Uvarint(data); seals > s.index.seals {
		return fmt.Errorf("%w: it lost what was written last", errIndex)
	}
	for _, t := range s.topics {
		for id, c := range f.topic(t.id).channels {
			if t.knows(id) && (c.deferred.live != c.entries || c.deferred.sum != c.sum) {
				return fmt.Errorf("%w: it has %d deferred messages of channel %q of topic %q, and should have %d others",
					errIndex, c.deferred.live, c.name, t.name, c.entries)
			}
		}
	}
	return nil
}

// purge removes what the index has of topics and channels that are deleted, so
// that no new one is taken for one of them.
func (s *Store) purge(f *found) error {
	b := s.index.db.NewBatch()
	var err error
	for id, ft := range f.topics {
		i := slices.IndexFunc(s.topics, func(t *Topic) bool { return t.id == id })
		if i < 0 {
			err = errors.Join(err, forgetTopic(b, id))
			continue
		}
		for channel := range ft.channels {
			if !s.topics[i].knows(channel) {
				err = errors.Join(err, forgetChannel(b, id, channel))
			}
		}
	}
	if err != nil || b.Empty() {
		return errors.Join(err, b.Close())
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return s.index.commit(b, true)
}

// restore brings the channels of a topic back as they were noted, and begins.
func (t *Topic) restore(f *foundTopic) error {
	if t.meta.Name == "" {
		if err := t.restoreMeta(f); err != nil {
			return err
		}
	}
	end := max(f.end, f.state.released)
	for _, m := range t.meta.Channels {
		c := t.newChannel(m.ID, m.Name)
		if fc := f.channels[m.ID]; fc != nil && fc.named {
			c.restore(fc)
		}
		c.position.raise(m.Begin)
		end = max(end, c.position.end())
		t.channels = append(t.channels, c)
	}
	t.last, _ = t.log.End()
	t.reportMissing(f.state.last)
	t.log.Raise(end)
	if err := t.replay(f.state.applied); err != nil {
		return err
	}
	return t.begin(f.state.released)
}

// reportMissing tells of messages that the log had up to a number when it was noted, and
// has no more: its end was cut off, or, with Disk, a power cut took it. What every
// channel has finished does not count.
func (t *Topic) reportMissing(noted uint64) {
	var missing uint64
	if t.last < noted && len(t.channels) == 0 {
		missing = noted - t.last
	}
	for _, c := range t.channels {
		if from := max(t.last, c.position.floor); from < noted {
			missing = max(missing, noted-from-c.position.marked(from, noted))
		}
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

// restoreMeta finds out from the index what meta.json said.
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
	slices.SortFunc(t.meta.Channels, func(a, b channelMeta) int { return cmp.Compare(a.ID, b.ID) })
	d, err := ParseDurability(t.meta.Durability)
	if err != nil {
		return err
	}
	t.setSync(d)
	return t.meta.write(t.s.fs, t.dir)
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
