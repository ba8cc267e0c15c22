package store

import (
	"slices"
	"time"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// release gives a record of messages to the channels; mu must be held.
func (t *Topic) release(r *seglog.Record, now int64) {
	if r.Due > now {
		for _, c := range t.channels {
			c.deferRecord(r)
		}
	}
	end := r.First + uint64(r.Count)
	t.total += t.log.Count(t.released.Load(), end)
	t.released.Store(end)
	if len(t.channels) == 0 {
		t.tail.passed(end)
	}
}

// Hold keeps what is appended from the channels, until Release. A topic is
// held at first. Calls are not counted.
func (t *Topic) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held, t.live = true, false
}

// Release gives the channels what was held, and what comes. It may read from
// disk; when that fails it is tried again soon.
func (t *Topic) Release() {
	t.mu.Lock()
	t.held = false
	t.mu.Unlock()
	t.catchUp()
}

// stuckRetry is how soon a release that failed is tried again.
const stuckRetry = time.Second

// catchUpLater is catchUp once it is time, where one has failed.
func (t *Topic) catchUpLater() {
	switch at := t.stuck.Load(); {
	case at == 0:
	case time.Now().UnixNano() < at:
		t.touch() // to come here again
	default:
		t.catchUp()
	}
}

// catchUp releases what was held until nothing is left, and the topic is live.
func (t *Topic) catchUp() {
	t.releasing.Lock()
	defer t.releasing.Unlock()
	var err error
	for err == nil && t.behind() {
		err = t.releaseHeld()
	}
	var again int64
	if err != nil {
		again = time.Now().Add(stuckRetry).UnixNano()
	}
	switch was := t.stuck.Swap(again) != 0; {
	case was == (err != nil):
	case err != nil:
		t.s.logger.Error("messages cannot be released, will try again", "topic", t.name, "error", err)
	default:
		t.s.logger.Info("messages are released again", "topic", t.name)
	}
	t.touch()
	t.mu.Lock()
	tell := slices.Concat(t.ready, t.due)
	t.mu.Unlock()
	for _, f := range tell {
		f()
	}
}

// behind tells whether there is something to release; if not, the topic is
// live from then on, unless it is held.
func (t *Topic) behind() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.held || t.live {
		return false
	}
	t.live = t.released.Load() == t.end
	return !t.live
}

// releaseHeld releases what is committed now, unless the topic is held
// meanwhile. releasing must be held.
func (t *Topic) releaseHeld() error {
	t.mu.Lock()
	from, end := t.released.Load(), t.end
	if t.held || t.onRelease == nil && !t.hasDeferred(from) {
		if !t.held {
			t.releaseTo(end)
		}
		t.mu.Unlock()
		return nil
	}
	t.mu.Unlock()
	cursor := t.log.Seek(from)
	defer cursor.Close()
	for {
		records, err := cursor.Next(readBytes)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			break
		}
		if !t.releaseRead(records, end) {
			return nil
		}
		if t.hasMuchToNote() {
			_ = t.s.noteLately([]*Topic{t}, false) // what fails is tried again, and is told by note
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.held && t.released.Load() < end { // the rest was lost
		t.releaseTo(end)
	}
	return nil
}

// hasMuchToNote tells whether changes of deferred messages take too much memory to wait for the next
// note, as many are entered at once.
func (t *Topic) hasMuchToNote() bool {
	return slices.ContainsFunc(t.Channels(), func(c *Channel) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.deferred.pending) >= t.s.changes
	})
}

// releaseTo releases up to a number; mu must be held.
func (t *Topic) releaseTo(end uint64) {
	t.total += t.log.Count(t.released.Load(), end)
	t.released.Store(end)
}

// hasDeferred tells whether there may be messages with Due from a number on.
func (t *Topic) hasDeferred(from uint64) bool {
	return slices.ContainsFunc(t.log.Segments(), func(s seglog.Segment) bool {
		return s.Deferred && s.End > from
	})
}

// readBytes is how much is read from a log at a time.
const readBytes = 128 << 10

// releaseRead releases records up to a number, and tells whether to go on.
func (t *Topic) releaseRead(records []seglog.Record, end uint64) bool {
	batches, hook, more := t.releaseRecords(records, end)
	if hook != nil && len(batches) > 0 {
		hook(batches)
	}
	return more
}

// releaseRecords is releaseRead, but for telling hook.
func (t *Topic) releaseRecords(records []seglog.Record, end uint64) (batches []*Batch, hook func([]*Batch), more bool) {
	t.mu.Lock()
	defer t.mu.Unlock() // also after a panic
	now := time.Now().UnixNano()
	for i := range records {
		r := &records[i]
		if t.held || r.First >= end {
			break
		}
		if r.First+uint64(r.Count) <= t.released.Load() {
			continue
		}
		t.release(r, now)
		batches = append(batches, batchOf(r))
	}
	return batches, t.onRelease, !t.held && t.released.Load() < end
}

// batchOf returns a record that was read as a batch.
func batchOf(r *seglog.Record) *Batch {
	return &Batch{First: r.First, ID: r.ID, Time: r.Time, Due: r.Due, Count: r.Count, Payload: r.Payload}
}

// OnRelease has f called with every batch from now on when it is released, in
// their order: for readers that are no channels of the store. A batch that was
// held and is read from disk may come in several parts. Batches with Due come
// too, at release. f is called without locks of the store, must be quick and
// must not call the topic; it may not be set twice.
func (t *Topic) OnRelease(f func([]*Batch)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onRelease = f
}
