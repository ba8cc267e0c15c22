package store

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// indexLogger passes on what is worth it, and keeps the first failure, after
// which the database does nothing more.
type indexLogger struct {
	logger *slog.Logger
	fs     *patientFS // while it writes to memory nothing counts
	mu     sync.Mutex
	failed error

	flush, compaction error // of the disk, why the last one failed
}

func (*indexLogger) Infof(string, ...any) {}

func (l *indexLogger) Errorf(format string, args ...any) {
	if l.fs.memory.Load() == nil {
		l.logger.Warn("index", "problem", fmt.Sprintf(format, args...))
	}
}

// Fatalf would end the process in other loggers.
func (l *indexLogger) Fatalf(format string, args ...any) {
	if l.fs.memory.Load() == nil {
		l.fail(fmt.Errorf("store: index: "+format, args...))
	}
}

func (l *indexLogger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
}

func (l *indexLogger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// listener has l learn how flushes and compactions end, which are tried again until they succeed.
func (l *indexLogger) listener() *pebble.EventListener {
	return &pebble.EventListener{
		FlushEnd:      func(info pebble.FlushInfo) { l.ended(&l.flush, info.Err) },
		CompactionEnd: func(info pebble.CompactionInfo) { l.ended(&l.compaction, info.Err) },
		BackgroundError: func(err error) {
			if !l.known(err) {
				l.Errorf("background error: %s", err)
			}
		},
	}
}

// ended says when the disk begins to fail, and when it works again.
func (l *indexLogger) ended(last *error, err error) {
	if !ofDisk(err) || l.fs.memory.Load() != nil {
		err = nil
	}
	l.mu.Lock()
	was := *last
	*last = err
	l.mu.Unlock()
	switch {
	case was == nil && err != nil:
		l.logger.Warn("files of the index cannot be written, will try again", "error", err)
	case was != nil && err == nil:
		l.logger.Info("files of the index are written again")
	}
}

// known tells whether ended has told of an error.
func (l *indexLogger) known(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ofDisk(err) && (l.flush != nil || l.compaction != nil)
}

// unflushed returns why the last flush failed: what is written meanwhile would wait for it.
func (l *indexLogger) unflushed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flush
}
