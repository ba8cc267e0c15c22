package nsqd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/seglog"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/store"
)

// durableStore is the store of durable topics in the data path, which is opened with
// the first of them. It is safe for concurrent use.
type durableStore struct {
	env   *env
	files int    // that logs may keep open
	fs    vfs.FS // of the store, for tests; nil for that of the system

	opened atomic.Pointer[store.Store] // nil before that

	mu     sync.Mutex              // what follows; held over the disk, by those who open or close it
	found  map[string]*store.Topic // that have no topic yet: of an earlier run, or made by prepare
	closed bool

	refused atomic.Bool // the last publish to a topic that was to be made for it
	probe   scanItem

	damagedRanges, damagedBytes, damagedMessages atomic.Int64
}

// storeDir is where in the data path the store lies.
const storeDir = "store"

// The sources of the health of the store, and of topics that are made by a publish.
const (
	storeHealth    = "durable topics"
	newTopicHealth = "new durable topics"
)

func (s *durableStore) init(e *env) {
	s.env = e
	s.probe.fire = s.probeFirst
}

func (s *durableStore) dir() string { return filepath.Join(s.env.opts.DataPath, storeDir) }

// exists reports whether an earlier run has left a store with topics. One without is
// opened, and made whole, with the first of them: there may be no room for that.
func (s *durableStore) exists() (bool, error) {
	return store.Exists(s.fs, s.dir())
}

// open returns the store.
func (s *durableStore) open() (*store.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked()
}

func (s *durableStore) openLocked() (*store.Store, error) {
	if opened := s.opened.Load(); opened != nil || s.closed {
		if s.closed {
			return nil, errExiting
		}
		return opened, nil
	}
	if _, err := os.Stat(s.env.opts.DataPath); err != nil { // which must not be made anew
		return nil, fmt.Errorf("failed to open the store of durable topics: %w", err)
	}
	opened, err := store.Open(store.Options{
		FS:        s.fs,
		Dir:       s.dir(),
		Logger:    s.env.log,
		OpenFiles: s.files,
		Reserve:   s.reserve(),
		Room:      s.room,
		Damage:    s.damaged,
		Health:    func(err error) { s.env.health.set(storeHealth, err) },
	})
	if err != nil {
		return nil, fmt.Errorf("failed to open the store of durable topics: %w", err)
	}
	s.found = make(map[string]*store.Topic)
	for _, t := range opened.Topics() {
		s.found[t.Name()] = t
	}
	s.opened.Store(opened)
	return opened, nil
}

// maxReserve is what the store keeps of a large disk, in a file, for when others have filled it: room
// for all that its index may have to write.
const maxReserve = 4 << 20

func (s *durableStore) reserve() int64 {
	_, total, err := diskspace.Free(s.env.opts.DataPath)
	if err != nil {
		return 0
	}
	return min(maxReserve, total/64)
}

// withReserve calls op, which writes down that something is deleted, and once more where the disk is
// full and the store gives up its reserve for that.
func (s *durableStore) withReserve(op func() error) error {
	if opened := s.opened.Load(); opened != nil {
		return opened.WithReserve(op)
	}
	return op()
}

// topicLog returns a log for a topic that is to be made: one that an earlier run or
// prepare has left or, unless it is to be in memory, a fresh one. It returns nil for a
// topic in memory.
func (s *durableStore) topicLog(name string, d Durability) (log *topicLog, fresh bool, err error) {
	if log := s.takeFound(name); log != nil {
		return log, false, nil
	}
	if d == Memory {
		return nil, false, nil
	}
	opened, err := s.open()
	if err != nil {
		return nil, false, err
	}
	t, err := opened.Create(name, d.inStore())
	if err != nil {
		return nil, false, fmt.Errorf("creating the log of topic %s: %w", name, err)
	}
	return newTopicLog(t), true, nil
}

// takeFound returns the log that waits for its topic, once, or nil.
func (s *durableStore) takeFound(name string) *topicLog {
	if s.opened.Load() == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.found[name]
	if t == nil {
		return nil
	}
	delete(s.found, name)
	return newTopicLog(t)
}

// prepare makes the log of a topic, with its channels, for topicLog or discard. With an
// error there is none.
func (s *durableStore) prepare(t *topicToLoad) error {
	opened, err := s.open()
	if err == nil {
		err = errors.Join(s.room(), s.env.stale.clear(t.name))
	}
	if err != nil {
		return err
	}
	log, err := opened.Create(t.name, t.durability.inStore())
	if err != nil {
		return fmt.Errorf("creating the log of topic %s: %w", t.name, err)
	}
	s.giveBack(log)
	for _, ch := range t.channels {
		if _, err := log.CreateChannel(ch.name); err != nil {
			err = fmt.Errorf("creating channel %s in the log of topic %s: %w", ch.name, t.name, err)
			return errors.Join(err, s.discard(t.name))
		}
	}
	return nil
}

// giveBack has a log wait for its topic.
func (s *durableStore) giveBack(log *store.Topic) {
	log.Hold() // as it is when it was just opened
	log.OnRelease(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[log.Name()] = log
}

// discard deletes the log that waits for the topic of a name.
func (s *durableStore) discard(name string) error {
	l := s.takeFound(name)
	if l == nil {
		return nil
	}
	err := l.log.Delete()
	s.env.stale.deleted(name, err, l.log.Delete)
	return err
}

// close keeps everything that channels know of their messages, and closes the store.
// Topics have been closed before.
func (s *durableStore) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	opened := s.opened.Load()
	if opened == nil {
		return nil
	}
	s.opened.Store(nil)
	if err := opened.Close(); err != nil {
		return fmt.Errorf("closing the store of durable topics; what consumers finished last may come again, nothing is lost: %s", oneLine(err))
	}
	return nil
}

// damageText says what is damaged, and what comes of that.
func damageText(d seglog.Damage) string {
	switch {
	case store.IsMeta(d) && d.Bytes == 0:
		return "STORE: the file that names the channels of a topic is lost, and nothing else names them; no message is lost"
	case store.IsMeta(d):
		return "STORE: the file that names the channels of a topic is damaged, and nothing else names them; no message is lost"
	case d.Bytes == 0:
		return "STORE: a log is damaged, a part of it is missing"
	}
	return "STORE: a log is damaged, what is damaged was skipped"
}

// damaged is told of damage in what the store has of a topic.
func (s *durableStore) damaged(topic string, d seglog.Damage) {
	s.env.log.Error(damageText(d),
		"topic", logging.Said(topic), "file", d.File, "offset", d.Offset, "bytes", d.Bytes, "messages", d.Messages)
	s.damagedRanges.Add(1)
	s.damagedBytes.Add(d.Bytes)
	s.damagedMessages.Add(d.Messages)
}

// damage returns what was found damaged, also of what was deleted, or nil.
func (s *durableStore) damage() *stats.Damage {
	ranges := s.damagedRanges.Load()
	if ranges == 0 {
		return nil
	}
	return &stats.Damage{Ranges: ranges, Bytes: s.damagedBytes.Load(), Records: s.damagedMessages.Load()}
}

// noteFirst tells the daemon's health how the last publish went that was to make its topic. One
// that was refused has left nothing that could find out when it is possible.
func (s *durableStore) noteFirst(err error) {
	if errors.Is(err, errExiting) || errors.Is(err, errNameTaken) || err == nil && !s.refused.Load() {
		return
	}
	s.refused.Store(err != nil)
	s.env.health.set(newTopicHealth, err)
	if err != nil {
		s.env.scan.schedule(&s.probe, s.env.now()+int64(refusedRetry))
	}
}

// probeFirst ends the refusal of topics that are made by a publish, if there is room, for
// the scan.
func (s *durableStore) probeFirst(now int64) (next int64) {
	if s.room() != nil {
		return now + int64(refusedRetry)
	}
	s.noteFirst(nil)
	return 0
}

// appendRoom is the room that each append to a log is to find beyond the reserve.
const appendRoom = 64 << 10

// room refuses appends that would take what is kept free on the disk.
func (s *durableStore) room() error { return s.env.disk.Room(appendRoom) }
