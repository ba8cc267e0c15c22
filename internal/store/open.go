package store

import (
	"cmp"
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
	newSuffix     = "~new"     // of a topic that is being made: no name of a topic has a ~
	deletedSuffix = "~deleted" // of one that is being removed
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
	s.fs = &frugalFS{s.fs, s.closeFiles}
	s.reserve = &reserve{fs: s.fs, dir: o.Dir, size: o.Reserve, logger: o.Logger}
	s.TailMessages = cmp.Or(o.TailMessages, 1<<16)
	s.TailBytes = cmp.Or(o.TailBytes, 4<<20)
	s.NoteEvery = cmp.Or(o.NoteEvery, 100*time.Millisecond)
	s.window = cmp.Or(o.window, 1024)
	s.changes = cmp.Or(o.changes, 1<<16)
	if err := s.open(); err != nil {
		for _, t := range s.topics {
			t.close()
		}
		if s.index != nil {
			s.index.close()
		}
		return nil, fmt.Errorf("store %s: %w", o.Dir, err)
	}
	s.reserve.keep()
	if err := s.index.err(); err != nil {
		s.noted(err)
		s.again()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	s.runLocked()
	return s, nil
}

// Exists tells whether there is a store in a directory that has topics, or had: one that never
// had any, as it is left where the disk became full when it was made, is as good as none. fsys is
// as Options.FS.
func Exists(fsys vfs.FS, dir string) (bool, error) {
	if fsys == nil {
		fsys = vfs.Default
	}
	names, err := fsys.List(fsys.PathJoin(dir, topicsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return isTopicDir(strings.TrimSuffix(name, deletedSuffix))
	}), err
}

// isTopicDir tells whether a name is that of a topic's directory, of one that is there.
func isTopicDir(name string) bool {
	_, _, ok := parseTopicDir(name)
	return ok && !strings.HasSuffix(name, newSuffix) && !strings.HasSuffix(name, deletedSuffix)
}

func (s *Store) open() error {
	// What is made in them may be readable to all: messages are their owner's.
	if err := s.fs.MkdirAll(s.path(topicsDir), 0o700); err != nil {
		return err
	}
	if err := s.reserve.find(); err != nil {
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
	if s.index.err() != nil {
		s.ahead.Store(true)
		return nil
	}
	return s.note(ahead, true)
}

// isDamage tells what makes an index worth nothing from what may be better
// the next time.
func isDamage(err error) bool {
	if err == nil || wantsRoom(err) {
		return false
	}
	for _, other := range []error{fs.ErrPermission, syscall.EIO, syscall.EROFS, syscall.EAGAIN, syscall.ENOMEM} {
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
	if v, known := parseFormat(data); known {
		if v > format {
			return fmt.Errorf("%s: written by later software: version %d, this knows %d", name, v, format)
		}
		return nil
	}
	damaged := err == nil
	if damaged {
		s.logger.Warn("a damaged file is written again", "file", name)
	}
	err = writeFile(s.fs, name, fmt.Appendf(nil, "%d\n", format))
	if wantsRoom(err) && damaged {
		err = nil // the next Open does it
	}
	if err != nil || damaged {
		return err
	}
	return seglog.SyncDir(s.fs, s.fs.PathDir(s.Dir))
}

// parseFormat returns the version that a file says, false if it says none.
func parseFormat(data []byte) (v int, ok bool) {
	v, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return v, err == nil && v > 0
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
			s.logger.Error("the file that names the channels of a topic is lost or damaged: they are found again in the index", "topic", name, "error", err)
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
	files, err := s.fs.List(s.fs.PathJoin(t.dir, keptDir))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && len(files) > 0 {
		_, err = t.openKept()
	}
	if err != nil {
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
