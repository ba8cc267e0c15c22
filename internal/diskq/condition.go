package diskq

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// A fault is what a queue may be unable to do.
type fault int

const (
	writeFault fault = iota
	syncFault
	readFault
	faults
)

var faultText = [faults]string{"written", "made durable", "read"}

// A condition is what a queue is unable to do now. A change is logged once, and
// what keeps messages from being taken or kept is told to Options.Health.
type condition struct {
	ill atomic.Bool // so that the usual report, that all is well, costs no lock

	mu   sync.Mutex
	errs [faults]error
}

// note says how an attempt went.
func (c *condition) note(q *Queue, what fault, err error) {
	if err == nil && !c.ill.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.errs[what]
	c.errs[what] = err
	c.ill.Store(c.errs != [faults]error{})
	switch {
	case before == nil && err != nil:
		q.store.opts.Logger.Error(q.logName("cannot be "+faultText[what]+", will try again"), "error", err)
	case before != nil && err == nil:
		q.store.opts.Logger.Info(q.logName("can be " + faultText[what] + " again"))
	}
	if what == readFault {
		return
	}
	q.store.opts.Health(q.name, cmp.Or(c.errs[writeFault], c.errs[syncFault]))
	if err != nil {
		q.store.syncs.fails(q)
	}
}

func (c *condition) failing(what fault) bool {
	if !c.ill.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errs[what] != nil
}

// clear is for a queue that has nothing left to fail with.
func (c *condition) clear(q *Queue) {
	for what := range faults {
		c.note(q, what, nil)
	}
}

// end is for a queue that is gone. It does not tell that the queue is well: an
// operator would take it for the disk.
func (c *condition) end(q *Queue) {
	if !c.ill.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = [faults]error{}
	c.ill.Store(false)
	q.store.opts.Health(q.name, nil)
}

// probeSize is more than a meta file and a usual record take, so that a disk
// which is just not full yet does not look well.
const probeSize = 64 << 10

// heal tries what failed, and reports whether nothing fails any more.
func (q *Queue) heal() bool {
	if q.closed.Load() {
		return true
	}
	if q.condition.failing(syncFault) {
		q.sync()
	}
	if q.condition.failing(writeFault) {
		q.writing.Lock()
		if !q.closed.Load() {
			q.condition.note(q, writeFault, q.probe())
		}
		q.writing.Unlock()
	}
	return !q.condition.failing(syncFault) && !q.condition.failing(writeFault)
}

// probe finds out whether a Put would work, without a record: the last data file
// can be opened, and there is room for another, which is removed again. Writing
// must be held.
func (q *Queue) probe() error {
	if err := q.openLocked(); err != nil {
		return err
	}
	if err := q.cutTorn(); err != nil {
		return err
	}
	if q.write.offset > 0 { // else writing would create it
		if _, err := q.writable(); err != nil {
			return err
		}
	}
	if err := q.store.space.take(probeSize); err != nil {
		return err
	}
	return q.store.probe(q.files)
}

// probe writes a file with a name of those that are removed at the next start.
func (s *Store) probe(f files) error {
	path := filepath.Join(f.dir, filepath.Base(f.metaPath())+".0.tmp")
	t, err := s.open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err = t.WriteAt(make([]byte, probeSize), 0); err == nil {
		err = t.Sync() // some file systems find room only then
	}
	s.close(t)
	_, removeErr := s.disk.remove(path)
	return errors.Join(err, removeErr)
}
