package store

import (
	"errors"
	"slices"
	"time"
)

// wake has t noted soon.
func (s *Store) wake(t *Topic) {
	s.mu.Lock()
	s.dirty = append(s.dirty, t)
	s.runLocked()
	s.mu.Unlock()
	s.again()
}

// again has upkeep look once more.
func (s *Store) again() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// runLocked starts upkeep if there is something to do, and nobody opens or closes the store.
func (s *Store) runLocked() {
	if s.opened && !s.running && !s.closed && s.NoteEvery > 0 && (len(s.dirty) > 0 || s.failing != nil) {
		s.running = true
		s.tasks.Go(s.upkeep)
	}
}

// idleAfter is how long a topic rests until it lets go of memory and files.
const idleAfter = 5 * time.Second

// use is when a topic was used, and whether its files were closed since.
type use struct {
	at     time.Time
	closed bool
}

// upkeep notes what changed, at most every NoteEvery, and trims topics. It
// sleeps while nothing changes.
func (s *Store) upkeep() {
	used := make(map[*Topic]use) // that were not idle lately
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-idle.C:
		case <-s.kick:
			if !s.pause() {
				return
			}
			now := time.Now()
			for _, t := range s.noteChanges() {
				used[t] = use{at: now}
			}
			s.closeOldest(used)
		}
		s.rest(used)
		s.reserve.keep()
		if len(used) > 0 || s.reserve.missing() {
			idle.Reset(idleAfter)
		}
	}
}

// pause waits until the next note may come, and tells whether it is to come.
func (s *Store) pause() bool {
	timer := time.NewTimer(s.NoteEvery)
	defer timer.Stop()
	select {
	case <-s.stop:
		return false
	case <-timer.C:
		return true
	}
}

// noteChanges notes and trims the topics that changed, and returns them. What is
// noted of a topic whose messages survive a power cut survives one, too, or all that
// was finished and not trimmed would come again.
func (s *Store) noteChanges() []*Topic {
	s.mu.Lock()
	topics := s.dirty
	s.dirty = nil
	s.mu.Unlock()
	ahead := s.ahead.Load()
	if ahead {
		topics = s.Topics()
	}
	if s.noteLately(topics, ahead) != nil {
		s.again()
		return topics
	}
	s.ahead.Store(false)
	for _, t := range topics {
		t.catchUpLater()
		t.writeMeta(time.Now().UnixNano())
		t.trimmed(s.reserve.try(t.trim))
	}
	return topics
}

// noteLately notes topics, with sync if that is asked for or one of them needs it.
func (s *Store) noteLately(topics []*Topic, sync bool) error {
	s.lastNote.Store(time.Now().UnixNano())
	return s.note(topics, sync || slices.ContainsFunc(topics, func(t *Topic) bool { return t.Durability() == Fsync }))
}

// noteMeanwhile notes what has changed while a trim takes long, as what is not noted takes
// memory. The topics are trimmed when it is their turn.
func (s *Store) noteMeanwhile() {
	if time.Since(time.Unix(0, s.lastNote.Load())) < 10*s.NoteEvery {
		return
	}
	changed := slices.DeleteFunc(s.Topics(), func(t *Topic) bool { return !t.dirty.Load() })
	_ = s.noteLately(changed, false) // what fails is tried again, and is told by note
}

func (s *Store) isStopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// trimmed is told how a trim went. It says when trims begin to fail, and when they work again.
func (t *Topic) trimmed(err error) {
	if errors.Is(err, errStopping) {
		return
	}
	if t.untrimmed.Swap(err != nil) == (err != nil) {
		return
	}
	if err != nil {
		t.s.logger.Warn("a log is not trimmed, will try again", "topic", t.name, "error", err)
	} else {
		t.s.logger.Info("a log is trimmed again", "topic", t.name)
	}
}

// rest has topics let go of what they do not need now, and what failed of those, a trim or to write
// their meta.json, be tried again.
func (s *Store) rest(used map[*Topic]use) {
	for t, u := range used {
		if time.Since(u.at) >= idleAfter {
			delete(used, t)
			t.rest()
			if t.untrimmed.Load() || t.unwritten.Load() != 0 {
				t.touch()
			}
		}
	}
}

// spareBytes is how much of a log may be left when all of it is finished.
const spareBytes = 1 << 20

// rest lets go of memory and open files, and of a log of which nobody needs
// anything.
func (t *Topic) rest() {
	t.trimming.Lock()
	defer t.trimming.Unlock()
	t.mu.Lock()
	removed, end := t.removed, t.end
	t.tail.clear(end)
	t.mu.Unlock()
	if removed {
		return
	}
	for _, c := range t.Channels() {
		if c.reading.TryLock() {
			c.ahead.close()
			c.reading.Unlock()
		}
	}
	segments := t.log.Segments()
	if n := len(segments); n > 0 && segments[n-1].Active && segments[n-1].Bytes > spareBytes && t.lowest() == end {
		if err := t.log.Roll(); err == nil {
			t.touch() // which trims
		}
	}
	t.closeFiles()
}
