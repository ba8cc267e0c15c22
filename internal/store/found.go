package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

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
	if s.index, err = openIndex(newPatientFS(s.fs, s.reserve), s.path(indexDir), missing || len(s.topics) == 0, s.NoteEvery, s.logger); err != nil {
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
// that no new one is taken for one of them: where there is no room for that, new ones get other
// ids, and the next Open does it.
func (s *Store) purge(f *found) error {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	b, err := s.index.begin()
	if wantsRoom(err) {
		for id := range f.topics {
			s.next = max(s.next, id+1)
		}
		return nil
	}
	if err != nil {
		return err
	}
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
	return s.index.commit(b, true)
}
