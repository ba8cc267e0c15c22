package diskq

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/diskspace"
)

// retryInterval is how often what fails is tried again.
const retryInterval = time.Second

// changed counts records that were written or read, and sees to it that they are
// made durable in time.
func (q *Queue) changed(records int64, written bool) {
	q.mu.Lock()
	many := q.countLocked(records, written)
	q.mu.Unlock()
	q.plan(many)
}

// countLocked counts records that were written or read, in the same critical
// section as the positions: a sync in between would take for durable what was
// just written. It reports whether that makes many, for plan.
func (q *Queue) countLocked(records int64, written bool) (many bool) {
	q.unsynced += records
	q.unsafeData = q.unsafeData || written
	return q.unsynced >= q.store.opts.SyncEvery
}

// plan sees to it that what was counted is made durable in time.
func (q *Queue) plan(many bool) {
	if many {
		q.store.syncs.hurry(q)
	} else {
		q.store.syncs.add(q, q.store.opts.SyncTimeout)
	}
}

// mustWait reports whether the sync goroutine is so far behind that Put has to
// do its work. With a SyncEvery of 1 every Put does.
func (q *Queue) mustWait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	every := q.store.opts.SyncEvery // of which twice as much may be no number any more
	return q.unsynced-every >= every-1 && !q.condition.failing(syncFault)
}

// sync makes durable what was written and read so far.
func (q *Queue) sync() error {
	q.giveRoomBack()
	q.syncing.Lock()
	defer q.syncing.Unlock()
	if q.closed.Load() {
		return nil
	}
	return q.syncLocked()
}

// minGiveBack is from which size on a data file that was read to its end is
// given up although it may be written further.
const minGiveBack = 1 << 20

// giveRoomBack has the next record begin a new data file if the present one holds
// nothing any more: it takes room on a disk that may be full.
func (q *Queue) giveRoomBack() {
	if q.depth.Load() > 0 || !q.reading.TryLock() {
		return
	}
	defer q.reading.Unlock()
	if !q.writing.TryLock() {
		return
	}
	defer q.writing.Unlock()
	q.mu.Lock()
	gives := !q.closed.Load() && q.opened && q.read == q.write && q.write.offset >= minGiveBack
	if gives {
		q.write = position{file: q.write.file + 1}
		q.read = q.write
	}
	q.mu.Unlock()
	if gives {
		q.closeHandles()
		q.changed(1, false)
	}
}

// syncLocked first brings the data onto stable storage, and then the meta file
// that counts it. It opens the data files itself, so that it disturbs neither
// reader nor writer. Files that were read to their end go when the meta file says
// so: after a kill there is nothing missing that it speaks of. On a full disk
// they go before, for they may be all the room there is.
func (q *Queue) syncLocked() error {
	q.mu.Lock()
	m, records, written, from := q.metaLocked(), q.unsynced, q.unsafeData, q.dirtyFile
	q.unsafeData = false
	q.mu.Unlock()
	if records == 0 {
		return nil
	}
	var err error
	read := m.read.file
	if written {
		err = q.syncData(from, m.write)
	}
	if err == nil {
		written = false
		m.read = q.beginning(m)
		if err = q.writeMeta(m); diskspace.IsFull(err) && q.removeRead(read) {
			err = q.writeMeta(m)
		}
	}
	q.mu.Lock()
	q.unsafeData = q.unsafeData || written
	if !written {
		q.dirtyFile = m.write.file
	}
	if err == nil {
		q.unsynced -= records
	}
	q.mu.Unlock()
	q.condition.note(q, syncFault, err)
	if err == nil {
		q.removeRead(read)
	}
	return err
}

// beginning returns m's read position, or if that is the end of a file the start
// of the next: classic software takes the end of a finished file for damage.
func (q *Queue) beginning(m meta) position {
	if m.read.file < m.write.file {
		if size, err := q.store.disk.size(q.files.dataPath(m.read.file)); err == nil && size <= m.read.offset {
			return position{file: m.read.file + 1}
		}
	}
	return m.read
}

func (q *Queue) writeMeta(m meta) error {
	return q.store.disk.replace(q.files.metaPath(), m.encode())
}

// removeRead removes the data files before the given one, and reports whether
// there were any.
func (q *Queue) removeRead(num int64) (removed bool) {
	for ; q.first < num; q.first++ {
		ok, err := q.store.disk.remove(q.files.dataPath(q.first))
		if err != nil {
			q.store.opts.Logger.Warn(q.logName("a data file that was read cannot be removed"), "error", err)
			break // once it was read by somebody else: the next sync tries again
		}
		removed = removed || ok
	}
	return removed
}

// syncData makes the data files durable that end at write.
func (q *Queue) syncData(from int64, write position) error {
	for num := from; num <= write.file; num++ {
		err := q.syncFile(num)
		if !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			continue
		}
		if num == write.file && write.offset == 0 {
			continue // not created yet
		}
		if !q.isGone(num) {
			return err
		}
		if num == write.file { // the next Put must not write to what has no name
			q.store.opts.Logger.Error(q.logName("the data file being written was removed"), "file", q.files.dataPath(num))
			q.mu.Lock()
			q.vanished = q.write.file == num
			q.mu.Unlock()
		}
	}
	return nil
}

func (q *Queue) syncFile(num int64) error {
	f, err := q.store.open(q.files.dataPath(num), os.O_RDWR) // Windows wants it writable
	if err != nil {
		return err
	}
	defer q.store.close(f)
	return f.Sync()
}

// idle gives files back that nobody has used for a while.
func (q *Queue) idle() {
	if q.reading.TryLock() {
		q.reader.release(q.store)
		q.reading.Unlock()
	}
	if q.writing.TryLock() {
		q.writer.release(q.store)
		q.writing.Unlock()
	}
}

// A schedule says which queue the sync goroutine sees to next.
type schedule struct {
	wake chan struct{}

	mu      sync.Mutex
	urgent  []*Queue
	active  []*Queue // by due
	failing []*Queue
	retry   time.Time // of the failing
}

// scheduled is a queue's place in the schedule: in which lists it is.
type scheduled struct {
	urgent, active atomic.Bool
	failing        bool      // schedule.mu
	hurried        time.Time // schedule.mu; when it became urgent
	due            time.Time // schedule.mu; as an active one
}

// add has the queue seen to after wait, which is the same for all.
func (s *schedule) add(q *Queue, wait time.Duration) {
	if q.scheduled.active.Load() || q.scheduled.active.Swap(true) {
		return
	}
	s.mu.Lock()
	q.scheduled.due = time.Now().Add(wait)
	s.active = append(s.active, q)
	first := len(s.active) == 1
	s.mu.Unlock()
	if first {
		s.signal()
	}
}

// hurry has the queue seen to now.
func (s *schedule) hurry(q *Queue) {
	if q.scheduled.urgent.Load() || q.scheduled.urgent.Swap(true) {
		return
	}
	s.mu.Lock()
	q.scheduled.hurried = time.Now()
	s.urgent = append(s.urgent, q)
	s.mu.Unlock()
	s.signal()
}

// fails has the queue tried again until it heals.
func (s *schedule) fails(q *Queue) {
	s.mu.Lock()
	known := q.scheduled.failing
	if !known {
		q.scheduled.failing = true
		s.failing = append(s.failing, q)
		if len(s.failing) == 1 {
			s.retry = time.Now().Add(retryInterval)
		}
	}
	s.mu.Unlock()
	if !known {
		s.signal()
	}
}

func (s *schedule) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next takes a queue out of the schedule that is due, or says how long to wait
// for one. retry means that the failing ones are due. Who has been due for the
// longest time is the first, so that a queue that is urgent again and again keeps
// nobody waiting.
func (s *schedule) next(now time.Time) (q *Queue, retry bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failing) > 0 && !s.retry.After(now) {
		return nil, true, 0
	}
	if len(s.urgent) > 0 {
		now = s.urgent[0].scheduled.hurried // active ones that were due by then go before
	}
	if len(s.active) > 0 && !s.active[0].scheduled.due.After(now) {
		q := pop(&s.active)
		q.scheduled.active.Store(false)
		return q, false, 0
	}
	if q := pop(&s.urgent); q != nil {
		q.scheduled.urgent.Store(false)
		return q, false, 0
	}
	wait = time.Hour
	if len(s.active) > 0 {
		wait = min(wait, s.active[0].scheduled.due.Sub(now))
	}
	if len(s.failing) > 0 {
		wait = min(wait, s.retry.Sub(now))
	}
	return nil, false, wait
}

func pop(list *[]*Queue) *Queue {
	if len(*list) == 0 {
		return nil
	}
	q := (*list)[0]
	(*list)[0] = nil
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil
	}
	return q
}

// syncLoop makes durable what is due, gives back what idle queues hold, and
// tries again what fails.
func (s *Store) syncLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		q, retry, wait := s.syncs.next(time.Now())
		switch {
		case q != nil:
			s.visit(q)
			continue
		case retry:
			s.retryFailing()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.syncs.wake:
		case <-s.stop:
			return
		}
	}
}

// visit sees to a queue that was used. It comes again until nothing happens
// between two visits.
func (s *Store) visit(q *Queue) {
	q.mu.Lock()
	used := q.unsynced > 0
	q.mu.Unlock()
	if q.closed.Load() {
		return
	}
	if !used {
		q.idle()
		return
	}
	if !q.condition.failing(syncFault) { // else retryFailing does it
		q.sync()
	}
	s.syncs.add(q, s.opts.SyncTimeout)
}

// retryFailing tries the failing queues in turn, as far as the first that still
// fails: on a full disk the others would, too.
func (s *Store) retryFailing() {
	for {
		s.syncs.mu.Lock()
		q := pop(&s.syncs.failing)
		if q != nil {
			q.scheduled.failing = false
		}
		s.syncs.mu.Unlock()
		if q == nil {
			return
		}
		if q.heal() {
			continue
		}
		s.syncs.mu.Lock()
		if !q.scheduled.failing { // heal has noted it
			q.scheduled.failing = true
			s.syncs.failing = append(s.syncs.failing, q)
		}
		s.syncs.retry = time.Now().Add(retryInterval)
		s.syncs.mu.Unlock()
		return
	}
}
