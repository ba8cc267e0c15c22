package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/dirlock"
	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/durable"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A target is a data path that is written, as an nsqd without durable topics leaves
// its own.
type target struct {
	dir  string
	lock *dirlock.Lock
	log  *slog.Logger
	disk *diskq.Store // nil before the first queue
}

// createTarget takes a directory, which is made if it is missing, and else is empty. The error
// names it.
func createTarget(dir string, log *slog.Logger) (*target, error) {
	t, err := lockTarget(dir, log)
	if err != nil {
		return nil, fmt.Errorf("--to=%s: %w", dir, err)
	}
	return t, nil
}

func lockTarget(dir string, log *slog.Logger) (*target, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := dirlock.Acquire(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = errors.New("it is not empty: what is there would be mixed with what is exported")
	}
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &target{dir: dir, lock: lock, log: log}, nil
}

// isWithin tells whether a directory, which may not be there yet, is another one or in it.
func isWithin(dir, other string) bool {
	path, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	parent, err := os.Stat(other)
	if err != nil {
		return false
	}
	for {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		if info, err := os.Stat(path); err == nil && os.SameFile(info, parent) {
			return true
		}
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
	}
}

// What the names of the files of a classic data path have in them.
const (
	deferredSuffix = ".deferred.dat"
	diskQueueInfix = ".diskqueue."
)

// copyFiles copies what a data path has of topics that are not durable.
func (t *target) copyFiles(dataPath string) error {
	entries, err := os.ReadDir(orCurrent(dataPath))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || strings.HasSuffix(name, ".tmp") || !strings.HasSuffix(name, deferredSuffix) && !strings.Contains(name, diskQueueInfix) {
			continue
		}
		if err := copyFile(filepath.Join(dataPath, name), filepath.Join(t.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func orCurrent(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

// store opens the disk queues, when all that was there before is copied.
func (t *target) store() (*diskq.Store, error) {
	if t.disk != nil {
		return t.disk, nil
	}
	var err error
	t.disk, err = diskq.OpenStore(diskq.Options{
		Dir:             t.dir,
		MaxBytesPerFile: 100 << 20,
		HeaderLen:       wire.MessageHeaderLen,
		Plausible:       func([]byte) bool { return true },
		SyncEvery:       1 << 20,
		SyncTimeout:     2 * time.Second,
		OpenFiles:       16,
		Logger:          t.log,
	})
	return t.disk, err
}

// close makes what was written durable.
func (t *target) close() error {
	if t.disk != nil {
		t.disk.Close()
	}
	return errors.Join(durable.SyncDir(t.dir), t.lock.Unlock())
}

// channelQueueName returns the name of a channel's files.
func channelQueueName(topic, channel string) string {
	if runtime.GOOS == "windows" {
		return topic + ";" + channel
	}
	return topic + ":" + channel
}

// A message is one that goes to a target.
type message struct {
	time     int64
	attempts uint16
	id       uint64
	body     []byte
}

// A queue is what a channel, or a topic, has on disk.
type queue struct {
	to   *target
	name string

	disk     *diskq.Queue // nil before the first message
	records  diskq.Batch
	file     *os.File // of deferred messages, nil before the first
	deferred *bufio.Writer
	record   []byte
}

func (t *target) queue(name string) *queue { return &queue{to: t, name: name} }

// put appends messages that wait.
func (q *queue) put(messages []message) error {
	if q.disk == nil {
		s, err := q.to.store()
		if err != nil {
			return err
		}
		q.disk = s.Queue(q.name)
	}
	q.records.Reset()
	for _, m := range messages {
		q.records.End(wire.AppendMessage(q.records.Begin(), m.time, m.attempts, m.id, m.body))
	}
	return q.disk.Put(&q.records)
}

// putDeferred appends messages that are deferred, all to the same time, or by the
// same delay.
func (q *queue) putDeferred(deferral int64, messages []message) (err error) {
	if q.file == nil {
		name := filepath.Join(q.to.dir, q.name+deferredSuffix)
		if q.file, err = os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
			return err
		}
		q.deferred = bufio.NewWriterSize(q.file, bytesAtOnce)
	}
	for _, m := range messages {
		q.record = wire.AppendDeferred(q.record[:0], deferral, m.time, m.attempts, m.id, m.body)
		if _, err := q.deferred.Write(q.record); err != nil {
			return err
		}
	}
	return nil
}

// close makes the queue durable.
func (q *queue) close() (err error) {
	if q.disk != nil {
		err = q.disk.Close()
	}
	if q.file != nil {
		err = errors.Join(err, q.deferred.Flush(), q.file.Sync(), q.file.Close())
	}
	return err
}
