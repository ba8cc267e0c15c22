package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// Options say where a store lies and how much memory it may take. Dir and
// Logger must be set; what else is zero takes its default.
type Options struct {
	FS           vfs.FS // vfs.Default
	Dir          string
	Logger       *slog.Logger
	SegmentBytes int64         // of a log's files, 64 MiB
	TailMessages int           // recent messages that a topic keeps in memory at most, 65,536
	TailBytes    int64         // and their bytes, 4 MiB
	OpenFiles    int           // about how many files logs keep open for their next use, 0: as many as they like
	Reserve      int64         // bytes that a file keeps for a full disk, where the room there is known; 0 for none
	NoteEvery    time.Duration // how often positions are written at most, 100 ms; negative: at Close alone

	// Room, if set, is asked before anything is appended: its error refuses it.
	Room func() error
	// Damage is told of every damaged place of a log, once; nil has it logged.
	Damage func(topic string, d seglog.Damage)
	// Health, if set, is told when the store begins to fail (see Err), and nil
	// when it works again.
	Health func(error)

	window  int // deferred messages of a channel that are in memory, 1024
	changes int // of deferred messages of a channel that wait for a note, while many are entered: 65,536, about 10 MiB
}

// A Store is a directory of topics. Its methods and those of its topics and
// channels are safe for concurrent use.
type Store struct {
	Options
	fs      vfs.FS
	logger  *slog.Logger
	index   *index
	reserve *reserve
	adopted atomic.Uint64 // the last number that was given to an adopted message
	rebuilt error         // why Open has made the index anew, nil if it has not
	ahead   atomic.Bool   // the index says what the logs lost, and it must not before they get more

	admin   sync.Mutex // creating and deleting topics
	sparing sync.Mutex // removing files that take room for nothing

	kick  chan struct{} // something is dirty
	stop  chan struct{} // closed by Close
	tasks sync.WaitGroup

	lastNote atomic.Int64 // when upkeep noted something last, Unix nanoseconds

	mu      sync.Mutex // what follows
	topics  []*Topic
	next    uint32 // id of the next topic
	dirty   []*Topic
	opened  bool  // by Open
	running bool  // the goroutine of notes was started
	failed  error // the index is damaged
	failing error // the last note
	closed  bool
}

// Topics returns the topics in the order of their creation.
func (s *Store) Topics() []*Topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.topics)
}

// Create makes a topic, which is held at first. It is there after a power cut
// once Create returned. The name must be a valid one and not taken.
func (s *Store) Create(name string, d Durability) (*Topic, error) {
	if _, err := ParseDurability(d.String()); err != nil {
		return nil, err
	}
	s.admin.Lock()
	defer s.admin.Unlock()
	s.mu.Lock()
	taken := slices.ContainsFunc(s.topics, func(t *Topic) bool { return t.name == name })
	id := s.next
	s.next++
	s.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("store: there is a topic %q already", name)
	}
	dir := topicDir(id, name)
	m := meta{Name: name, Durability: d.String(), NextChannel: 1}
	if err := s.makeTopic(dir, &m); err != nil {
		return nil, fmt.Errorf("store: topic %q: %w", name, err)
	}
	t, err := s.openTopic(id, name, dir, &m)
	if err == nil {
		err = t.begin(0)
	}
	if err != nil { // it must not be there after the next Open
		return nil, fmt.Errorf("store: topic %q: %w", name, errors.Join(err, s.fs.RemoveAll(s.path(topicsDir, dir))))
	}
	s.mu.Lock()
	s.topics = append(s.topics, t)
	s.mu.Unlock()
	t.touch()
	return t, nil
}

// makeTopic makes the directory of a topic, all of it or nothing.
func (s *Store) makeTopic(dir string, m *meta) error {
	made := s.path(topicsDir, dir+newSuffix)
	err := s.fs.MkdirAll(s.fs.PathJoin(made, logDir), 0o755)
	if err == nil {
		err = m.write(s.fs, made)
	}
	if err == nil {
		err = s.rename(made, s.path(topicsDir, dir))
	}
	if err != nil {
		return errors.Join(err, s.fs.RemoveAll(made))
	}
	return nil
}

// rename renames a topic's directory for good or, with an error, not.
func (s *Store) rename(from, to string) error {
	if err := s.fs.Rename(from, to); err != nil {
		return err
	}
	if err := seglog.SyncDir(s.fs, s.path(topicsDir)); err != nil {
		return errors.Join(err, s.fs.Rename(to, from))
	}
	return nil
}

// path returns the path of a part of the store.
func (s *Store) path(elem ...string) string {
	return s.fs.PathJoin(append([]string{s.Dir}, elem...)...)
}

// remove removes a topic. If that fails, the topic is as it was. Nobody waits for its files to go.
func (s *Store) remove(t *Topic) error {
	deleted := t.dir + deletedSuffix
	if err := s.takeOut(t, deleted); err != nil {
		return fmt.Errorf("store: deleting topic %q: %w", t.name, err)
	}
	if err := errors.Join(s.fs.RemoveAll(deleted), s.index.forgetTopic(t.id)); err != nil {
		s.logger.Warn("the rest of a deleted topic is removed later", "topic", t.name, "error", err)
	}
	return nil
}

// takeOut has a topic be there no more, and its directory have another name.
func (s *Store) takeOut(t *Topic, dir string) error {
	t.trimming.Lock() // before admin, as a trim may take long
	defer t.trimming.Unlock()
	t.releasing.Lock()
	defer t.releasing.Unlock()
	s.admin.Lock()
	defer s.admin.Unlock()
	t.closeFiles() // before the rename, for systems that rename nothing that is open
	if err := s.rename(t.dir, dir); err != nil {
		return err
	}
	s.mu.Lock()
	s.topics = slices.DeleteFunc(slices.Clone(s.topics), func(o *Topic) bool { return o == t })
	s.mu.Unlock()
	t.mu.Lock()
	t.removed, t.held, t.live = true, true, false
	t.mu.Unlock()
	return nil
}

// close closes what t has open.
func (t *Topic) close() (err error) {
	for _, c := range t.Channels() {
		c.reading.Lock()
		c.ahead.close()
		c.reading.Unlock()
	}
	for _, l := range t.logs() {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Err returns why the store fails, nil while it works. What is in memory goes
// on being served; a failing index is rebuilt when the store is opened again.
func (s *Store) Err() error {
	s.mu.Lock()
	err := cmp.Or(s.failed, s.failing)
	s.mu.Unlock()
	if err == nil {
		err = s.index.err()
	}
	for _, t := range s.Topics() {
		if err != nil {
			break
		}
		err = t.log.Err()
	}
	return err
}

// room asks whether something may be appended. Where the disk is full, all that logs only keep to
// write to it again is removed first; who asks meanwhile waits for that.
func (s *Store) room() error {
	if s.ahead.Load() {
		return errNoRoom
	}
	if s.Room == nil {
		return nil
	}
	err := s.Room()
	if !isFull(err) {
		return err
	}
	s.sparing.Lock()
	defer s.sparing.Unlock()
	if err = s.Room(); err == nil || !s.removeSpares() {
		return err
	}
	return s.Room()
}

// removeSpares says whether there were any.
func (s *Store) removeSpares() (removed bool) {
	for _, t := range s.Topics() {
		for _, l := range t.logs() {
			removed = l.RemoveSpares() || removed
		}
	}
	return removed
}

// fail is told that the index cannot be read. Unless that will pass it is damaged: the next
// Open is to rebuild it.
func (s *Store) fail(err error) {
	if wantsRoom(err) || s.index.unready.Load() != nil {
		return
	}
	s.mu.Lock()
	known := s.failed != nil
	if !known {
		s.failed = err
	}
	s.mu.Unlock()
	if known {
		return
	}
	s.logger.Error("the index is damaged, and rebuilt at the next start", "error", err)
	if err := writeFile(s.fs, s.path(rebuildFile), nil); err != nil {
		s.logger.Error("the next start is not told to rebuild the index", "error", err)
	}
	if s.Health != nil {
		s.Health(err)
	}
}

// noted is told whether a note was written.
func (s *Store) noted(err error) {
	if fatal := s.index.logger.err(); fatal != nil {
		s.fail(fatal)
		return
	}
	s.mu.Lock()
	was := s.failing
	s.failing = err
	s.mu.Unlock()
	if (was == nil) == (err == nil) {
		return
	}
	if err != nil {
		s.logger.Error("positions are not written", "error", err)
	} else {
		s.logger.Info("positions are written again")
	}
	if s.Health != nil {
		s.Health(err)
	}
}

// Close writes all positions with a sync and closes all files. What waited for room on a full disk
// is written, too, if there is room now. Nothing may be called during and after it.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.tasks.Wait()
	var err error
	topics := s.Topics()
	for _, t := range topics {
		t.mu.Lock()
		if segments := t.log.Segments(); len(segments) > 0 { // all of the last one is applied
			t.applied = max(t.applied, seglog.Pos(segments[len(segments)-1].ID)<<32|allOfSegment)
		}
		t.mu.Unlock()
		for _, c := range t.Channels() {
			c.noteAtLast()
		}
		t.writeMeta(math.MaxInt64)
		err = errors.Join(err, t.close())
	}
	s.index.lookForRoom()
	return errors.Join(err, s.note(topics, true), s.index.close())
}

// allOfSegment is an offset behind all that a segment has.
const allOfSegment = 1<<32 - 1

// forgetTopic removes what is noted of a topic.
func (x *index) forgetTopic(id uint32) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	b, err := x.begin()
	if err != nil {
		return err
	}
	if err := forgetTopic(b, id); err != nil {
		b.Close()
		return err
	}
	return x.commit(b, false)
}

func forgetTopic(b *pebble.Batch, id uint32) (err error) {
	for _, kind := range []byte{topicKeys, channelKeys, deferredKeys} {
		from := appendTopicKey(nil, id)
		from[0] = kind
		err = errors.Join(err, b.DeleteRange(from, after(from), nil))
	}
	return err
}
