package diskq

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by operations on a queue after Close or Delete.
var ErrClosed = errors.New("disk queue is closed")

// Options are shared by all queues of a data path. All but KeepFree and Health are required.
type Options struct {
	Dir             string // must exist; "" is the current directory
	MaxBytesPerFile int64  // a data file is rolled before it gets larger

	// Every record begins with a header of HeaderLen bytes, for which Plausible
	// reports true; that is how records are told from damage. It must be quick.
	HeaderLen int
	Plausible func(header []byte) bool

	SyncEvery   int64         // make durable after so many records written or read; 0 is the same as 1
	SyncTimeout time.Duration // make durable so long after a record was written or read; positive

	// OpenFiles is about how many files are kept open for their next use, of which a
	// queue has two. With more queues than that in use at a time, some open theirs
	// for each Put and Read, which takes some microseconds.
	OpenFiles int

	Logger *slog.Logger

	// KeepFree is how many bytes Put leaves free on the disk, so that there is room
	// for what is in memory at the end; see UseKept. 0 is for none.
	KeepFree int64

	// Health is told when a queue cannot be written or made durable, and with nil
	// when that works again, or the queue is gone. It is called with locks held and
	// must not call back.
	Health func(queue string, err error)

	disk disk // for tests
}

// A Store is the disk queues of one data path. It is safe for concurrent use,
// and right as long as nothing else changes the files.
type Store struct {
	opts  Options
	disk  disk
	shape shape

	handles atomic.Int32 // open files of all queues
	space   space
	aside   atomic.Int64 // bytes of damage that may still be copied
	damage  damage       // of all queues, also deleted ones

	mu    sync.Mutex
	found map[string]listing // what no queue has used yet
	used  map[string]bool    // names of queues that were opened, or tried to, and not deleted

	syncs schedule
	stop  chan struct{}
	loop  sync.WaitGroup
}

// maxAside is how many bytes of damage a store copies in all.
const maxAside = 256 << 20

// OpenStore reads the directory once, removes meta files that a crash left half
// written, and starts the goroutine that makes things durable. Close must be
// called in the end.
func OpenStore(o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	s.loop.Go(s.syncLoop)
	return s, nil
}

// OpenStoreToRead is OpenStore for somebody who takes everything out of queues, keeps
// it elsewhere and then deletes them: until then what was taken stays on disk, and is
// there again after a crash. Nothing may be put, and no queue be closed. There is no
// goroutine, and so nothing to close.
func OpenStoreToRead(o Options) (*Store, error) { return newStore(o) }

// newStore leaves out the goroutine.
func newStore(o Options) (*Store, error) {
	o.SyncEvery = max(o.SyncEvery, 1)
	if o.Health == nil {
		o.Health = func(string, error) {}
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	s := &Store{
		opts:  o,
		disk:  o.disk,
		shape: shape{int64(o.HeaderLen), o.Plausible},
		found: map[string]listing{},
		used:  map[string]bool{},
		stop:  make(chan struct{}),
	}
	s.space.keep = o.KeepFree
	s.space.free = func() (int64, error) { return s.disk.free(o.Dir) }
	s.aside.Store(maxAside)
	s.syncs.wake = make(chan struct{}, 1)
	return s, s.listAll()
}

func (s *Store) listAll() error {
	names, err := s.disk.list(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, fileName := range names {
		i := strings.LastIndex(fileName, infix) // the name may contain it, too; what follows never does
		if i < 0 {
			continue
		}
		name, rest := fileName[:i], fileName[i+len(infix):]
		if isTemp(rest) {
			if _, err := s.disk.remove(filepath.Join(s.opts.Dir, fileName)); err != nil {
				return err
			}
			continue
		}
		if ls := s.found[name]; ls.add(rest) {
			s.found[name] = ls
		}
	}
	return nil
}

// Queue returns the queue of that name, of which there may be one at a time. It
// opens nothing: that is left to Open, or to the first Put.
func (s *Store) Queue(name string) *Queue {
	return &Queue{name: name, store: s, files: files{s.opts.Dir, name}}
}

// Close ends the goroutine. The queues should be closed before: what is written
// afterwards is made durable by Queue.Close only.
func (s *Store) Close() {
	close(s.stop)
	s.loop.Wait()
}

// UseKept lets Put use what was kept free, too: the daemon stops.
func (s *Store) UseKept() { s.space.used.Store(true) }

// Room returns why n bytes may not be written to the data path by others than queues,
// which leave as much free as Put does.
func (s *Store) Room(n int64) error { return s.space.take(n) }

// KeptFree returns how many bytes Put leaves free on the disk.
func (s *Store) KeptFree() int64 { return s.opts.KeepFree }

// Damage returns what was found in all queues since the start.
func (s *Store) Damage() Damage { return s.damage.get() }

// Has reports whether the directory holds records, or at least positions, of a
// queue. It looks there only if the queue was used since the start.
func (s *Store) Has(name string) (bool, error) {
	s.mu.Lock()
	ls, used := s.found[name], s.used[name]
	s.mu.Unlock()
	if used {
		var err error
		if ls, err = (files{s.opts.Dir, name}).list(s.disk); err != nil {
			return false, err
		}
	}
	return !ls.empty(), nil
}

// Names returns the names of all queues of which the directory holds files that
// no queue was opened for since the start.
func (s *Store) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.found))
	for name := range s.found {
		names = append(names, name)
	}
	return names
}

// take returns the files of a queue, whose user may change them from then on.
// Only the first time it needs not read the directory.
func (s *Store) take(f files) (listing, error) {
	s.mu.Lock()
	ls, used := s.found[f.name], s.used[f.name]
	delete(s.found, f.name)
	s.used[f.name] = true
	s.mu.Unlock()
	if used {
		return f.list(s.disk)
	}
	ls.sort()
	return ls, nil
}

// removed tells that a queue has no files any more.
func (s *Store) removed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.used, name)
}

// crowded reports whether files should be closed after use.
func (s *Store) crowded() bool { return int(s.handles.Load()) > s.opts.OpenFiles }

func (s *Store) open(path string, flag int) (file, error) {
	f, err := s.disk.open(path, flag)
	if err == nil {
		s.handles.Add(1)
	}
	return f, err
}

// close closes a file of open. What was written through it is made durable
// through another, so there is nothing to lose.
func (s *Store) close(f file) {
	f.Close()
	s.handles.Add(-1)
}
