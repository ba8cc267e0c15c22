// Package lifecycle is what Main and Exit of the daemons have in common: the
// parts of a daemon are all started or none is, the first that fails ends the
// others, and the daemon stops once, whoever asks for it and when.
package lifecycle

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// A Lifecycle is that of one daemon. It is safe for concurrent use.
type Lifecycle struct {
	log  *slog.Logger
	name string
	stop func() error

	running sync.WaitGroup // what Main started

	mu      sync.Mutex // what follows; Main starts everything before Exit begins, or nothing after
	started bool
	exiting bool
	failure error // of the first part that failed

	exitErr error
	exited  chan struct{} // closed when Exit is done
}

// New returns the lifecycle of a daemon that stop ends. stop also has to end
// what Main has started, if Main was called, and waits for that by Wait. name
// begins the log lines.
func New(log *slog.Logger, name string, stop func() error) *Lifecycle {
	return &Lifecycle{log: log, name: name, stop: stop, exited: make(chan struct{})}
}

// A Run starts a part of the daemon in a goroutine of its own. The daemon ends
// with the first part that returns an error, in which name stands.
type Run func(name string, part func() error)

// Main has start start all parts, unless Exit has begun, and returns nil when
// Exit is done. If a part fails before, it calls Exit itself, and returns why.
// It may be called once.
func (l *Lifecycle) Main(start func(Run)) error {
	select {
	case err := <-l.startAll(start):
		return errors.Join(err, l.Exit())
	case <-l.exited:
		return nil
	}
}

// startAll returns where a failure is reported.
func (l *Lifecycle) startAll(start func(Run)) <-chan error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.exiting {
		return nil
	}
	l.started = true
	failed := make(chan error, 1)
	start(func(name string, part func() error) {
		l.running.Go(func() {
			err := part()
			if err == nil {
				return
			}
			err = fmt.Errorf("%s: %w", name, err)
			l.fail(err)
			select {
			case failed <- err:
			default: // another was first
			}
		})
	})
	return failed
}

// fail keeps the first failure of a part.
func (l *Lifecycle) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failure = cmp.Or(l.failure, err)
}

// What Ready answers before and after the daemon works.
var (
	ErrStarting = errors.New("starting")
	ErrStopping = errors.New("stopping")
)

// Live returns the failure of a part, without which the daemon is of no use, nil
// if there was none.
func (l *Lifecycle) Live() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failure
}

// Ready returns nil while the daemon works: all parts are started, none has
// failed, and Exit has not begun.
func (l *Lifecycle) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.failure != nil:
		return l.failure
	case l.exiting:
		return ErrStopping
	case !l.started:
		return ErrStarting
	}
	return nil
}

// Exit stops the daemon and returns when it has stopped. It may be called more
// than once: all calls return the first one's result, which is logged once.
func (l *Lifecycle) Exit() error {
	l.mu.Lock()
	first := !l.exiting
	l.exiting = true
	l.mu.Unlock()
	if first {
		l.log.Info(l.name + ": stopping")
		if l.exitErr = l.stop(); l.exitErr != nil {
			l.logExit()
		}
		l.log.Info(l.name + ": bye")
		close(l.exited)
	}
	<-l.exited
	return l.exitErr
}

// logExit logs what did not stop cleanly, joined errors in one line each.
func (l *Lifecycle) logExit() {
	for line := range strings.SplitSeq(l.exitErr.Error(), "\n") {
		l.log.Error(l.name+": not everything stopped cleanly", "error", line)
	}
}

// Wait returns when all parts have returned. It is for stop, after that has
// ended them.
func (l *Lifecycle) Wait() { l.running.Wait() }
