package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// rebuild makes a new index from the logs, and sets the damaged one aside. All that the logs
// still have comes again, but for what was finished up to where they begin. It is made in memory,
// and stays there until there is room for it on disk.
func (s *Store) rebuild(reason error) (err error) {
	s.rebuilt = reason
	if s.index != nil {
		if err := s.index.close(); err != nil {
			s.logger.Warn("the damaged index was not closed cleanly", "error", err)
		}
	}
	s.logger.Error("the index is rebuilt from the logs: messages that were finished may come again", "reason", reason)
	if s.index, err = rebuiltIndex(newPatientFS(s.fs, s.reserve), s.path(indexDir), s.placeIndex, s.NoteEvery, s.logger); err != nil {
		return err
	}
	for _, t := range s.topics {
		if err := t.rebuild(); err != nil {
			return err
		}
	}
	if err := s.note(s.topics, true); err != nil {
		return err
	}
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return s.index.reopen()
}

// placeIndex has an index that was made in memory take the place of the damaged one.
func (s *Store) placeIndex(memory vfs.FS) error {
	if err := writeFile(s.fs, s.path(rebuildFile), nil); err != nil { // for a crash in between
		return err
	}
	aside, err := s.setAside()
	if err != nil {
		return err
	}
	if aside != "" {
		s.logger.Warn("the damaged index is kept", "as", aside)
	}
	if err := s.copyIndex(memory); err != nil {
		return errors.Join(err, s.fs.RemoveAll(s.path(indexDir)))
	}
	for _, name := range []string{sealFile, rebuildFile} {
		if err := s.fs.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return seglog.SyncDir(s.fs, s.Dir)
}

// copyIndex copies an index from memory to stable storage. vfs.Clone would leave a file open that
// cannot be written, which thus went on taking room.
func (s *Store) copyIndex(memory vfs.FS) error {
	names, err := memory.List(indexDir)
	if err != nil {
		return err
	}
	if err := s.fs.MkdirAll(s.path(indexDir), 0o755); err != nil {
		return err
	}
	for _, name := range names {
		data, err := readFile(memory, memory.PathJoin(indexDir, name))
		if err == nil {
			err = writeFile(s.fs, s.path(indexDir, name), data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setAside renames the index, if there is one, and returns its new name.
func (s *Store) setAside() (string, error) {
	if _, err := s.fs.Stat(s.path(indexDir)); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for n := 1; ; n++ {
		aside := s.path(fmt.Sprintf("%s.damaged-%d", indexDir, n))
		if _, err := s.fs.Stat(aside); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.fs.Rename(s.path(indexDir), aside); err != nil {
			return "", err
		}
		return aside, seglog.SyncDir(s.fs, s.Dir)
	}
}

// rebuild finds out what the logs say of the channels of t.
func (t *Topic) rebuild() error {
	if t.meta.Name == "" {
		return t.rebuildUnknown()
	}
	first, _ := t.log.Begin()
	released, end := uint64(noNumber), uint64(0)
	for _, m := range t.meta.Channels {
		c := t.newChannel(m.ID, m.Name)
		c.dirty = true
		c.position.floor = max(m.Begin, first)
		released = min(released, c.position.floor)
		end = max(end, c.position.floor)
		t.channels = append(t.channels, c)
	}
	newest, err := t.newest()
	if err != nil {
		return err
	}
	for c, entries := range newest {
		last, err := c.rebuild(entries)
		if err != nil {
			return err
		}
		end = max(end, last)
	}
	t.log.Raise(end)
	if len(t.channels) == 0 {
		released = first
	}
	return t.begin(released)
}

// rebuild enters deferred messages, and returns the number behind their last.
func (c *Channel) rebuild(entries map[uint64]entry) (end uint64, err error) {
	for seq, e := range entries {
		if seq < adoptedNumbers {
			c.position.mark(seq, seq+1)
			end = max(end, seq+1)
		}
		c.deferred.put(e)
		c.dirty = true
		if len(c.deferred.pending) >= c.t.s.changes {
			if err := c.t.s.note([]*Topic{c.t}, false); err != nil {
				return end, err
			}
		}
	}
	return end, nil
}

// newest returns the newest record of each message that was moved.
func (t *Topic) newest() (map[*Channel]map[uint64]entry, error) {
	all := make(map[*Channel]map[uint64]entry)
	err := t.eachMoved(func(r *seglog.Record, kept bool) {
		c := t.channelOf(r.Channel)
		if c == nil {
			return
		}
		if all[c] == nil {
			all[c] = make(map[uint64]entry)
		}
		keepNewest(all[c], entryOf(r, kept))
	})
	return all, err
}

// eachMoved calls f with the records of all messages that were moved, and whether
// each is in the log of kept ones.
func (t *Topic) eachMoved(f func(r *seglog.Record, kept bool)) error {
	for kept, log := range t.logs() {
		for _, s := range log.Segments() {
			if !s.Deferred {
				continue
			}
			err := log.Scan(s.ID, func(r seglog.Record) error {
				if r.Kind == seglog.Moved {
					f(&r, kept == 1)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func keepNewest(all map[uint64]entry, e entry) {
	old, ok := all[e.seq]
	if !ok || e.attempts > old.attempts || e.attempts == old.attempts && e.due >= old.due {
		all[e.seq] = e
	}
}
