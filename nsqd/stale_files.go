package nsqd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// staleFiles are the files of deleted queues that could not be removed. A new
// topic or channel of the same name must not take them for its own, so it
// cannot be created before they are gone. To remove them is tried every second, and at a
// stop: the next start would take them for those of what still exists. It is safe for concurrent use.
type staleFiles struct {
	left     chan struct{} // a token when there may be some
	removing sync.Mutex    // one removal at a time, so that none hits a queue created after another

	mu     sync.Mutex                // remove
	remove map[string][]func() error // by queue, what to try again; each may be called more than once
}

// deleted is called with the result of remove, which deleted a queue's files.
// The name of the queue must not be free yet.
func (f *staleFiles) deleted(queue string, err error, remove func() error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.remove == nil {
		f.remove = make(map[string][]func() error)
	}
	f.remove[queue] = append(f.remove[queue], remove)
	giveToken(f.left)
}

// has reports whether clear is needed before a queue of that name is created.
func (f *staleFiles) has(queue string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.remove[queue]) > 0
}

// clear tries again to remove what is left of a queue, if anything is.
func (f *staleFiles) clear(queue string) error {
	if !f.has(queue) {
		return nil
	}
	f.removing.Lock()
	defer f.removing.Unlock()
	f.mu.Lock()
	list := f.remove[queue] // empty if somebody was faster
	f.mu.Unlock()
	var left []func() error
	var errs []error
	for _, remove := range list {
		if err := remove(); err != nil {
			left, errs = append(left, remove), append(errs, err)
		}
	}
	f.setLeft(queue, len(list), left)
	if len(errs) > 0 {
		return fmt.Errorf("%q was deleted and cannot be created again before its files are removed, which is tried every second: %w", queue, errors.Join(errs...))
	}
	return nil
}

// setLeft puts what is left of the first ones in their place; others may have come behind them.
func (f *staleFiles) setLeft(queue string, first int, left []func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if left = append(left, f.remove[queue][first:]...); len(left) > 0 {
		f.remove[queue] = left
	} else {
		delete(f.remove, queue)
	}
}

// staleRetry is how soon what cannot be removed is tried again.
const staleRetry = time.Second

// clearLoop removes what is left of queues, until ctx ends.
func (f *staleFiles) clearLoop(ctx context.Context) error {
	for {
		select {
		case <-f.left:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(staleRetry):
		case <-ctx.Done():
			return nil
		}
		if f.clearAll() != nil { // who deleted has been told why
			giveToken(f.left)
		}
	}
}

// clearAll is clear for all queues.
func (f *staleFiles) clearAll() error {
	f.mu.Lock()
	queues := slices.Sorted(maps.Keys(f.remove))
	f.mu.Unlock()
	var errs []error
	for _, queue := range queues {
		errs = append(errs, f.clear(queue))
	}
	return errors.Join(errs...)
}

// deleteQueue drops a queue with its file of deferred messages. What cannot be
// removed keeps the name from being used again.
func (e *env) deleteQueue(q *queue, deferredFile string) error {
	remove := func() error { return errors.Join(q.delete(), removeDeferredFile(deferredFile)) }
	err := remove()
	e.stale.deleted(q.name, err, remove)
	return err
}
