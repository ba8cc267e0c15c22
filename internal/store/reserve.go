package store

import (
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/diskspace"
)

// A reserve is a file that does nothing but take room. On a disk without a byte left it is given
// up for what makes room there: to write down what is finished or deleted, so that its segments can be
// removed.
// It is made again when there is room. Only keep is for one goroutine at a time.
type reserve struct {
	fs     vfs.FS
	dir    string
	size   int64 // 0 for none
	logger *slog.Logger
	there  atomic.Bool
	failed time.Time // when keep could not write the file the last time
}

const reserveFile = "reserve"

// reserveRest is how long a reserve that could not be written is not tried again, as where a quota that
// the free space does not show refuses it: while it is written it takes what others may write.
const reserveRest = time.Minute

func (r *reserve) path() string { return r.fs.PathJoin(r.dir, reserveFile) }

// find has r know whether an earlier run left the file, whole. One that is smaller, or not wanted, is
// removed; of a larger one it may be the disk that has shrunk.
func (r *reserve) find() error {
	info, err := r.fs.Stat(r.path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Size() >= r.size && r.size > 0:
		r.there.Store(true)
		return nil
	}
	return r.fs.Remove(r.path())
}

func (r *reserve) missing() bool { return r.size > 0 && !r.there.Load() }

// keep makes the file if it is missing and twice as much is free, unless that has just failed.
func (r *reserve) keep() {
	if !r.missing() || time.Since(r.failed) < reserveRest {
		return
	}
	usage, err := r.fs.GetDiskUsage(r.dir)
	if err != nil || usage.AvailBytes < 2*uint64(r.size) {
		return
	}
	if err := r.write(); err != nil {
		_ = r.fs.Remove(r.path()) // or else by the next find
		r.failed = time.Now()
		return
	}
	r.there.Store(true)
}

// write makes the file of bytes that no file system can store in less.
func (r *reserve) write() error {
	f, err := r.fs.Create(r.path(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	random := rand.NewChaCha8([32]byte{})
	part := make([]byte, 64<<10)
	for left := r.size; left > 0 && err == nil; left -= int64(len(part)) {
		part = part[:min(left, int64(len(part)))]
		random.Read(part)
		_, err = f.Write(part)
	}
	return errors.Join(err, f.Close())
}

// gives tells whether there may be room for what failed with err: the disk is full, and the file
// was there until now.
func (r *reserve) gives(err error) bool {
	if !isFull(err) || !r.there.CompareAndSwap(true, false) {
		return false
	}
	if err := r.fs.Remove(r.path()); err != nil {
		r.logger.Error("the reserve of a full disk cannot be removed", "error", err)
		return false
	}
	r.logger.Warn("the disk is full: a reserve is given up, so that what is finished or deleted makes room", "file", r.path(), "bytes", r.size)
	return true
}

// try does what makes room, which may have to be done twice.
func (r *reserve) try(op func() error) error {
	err := op()
	if r.gives(err) {
		err = op()
	}
	return err
}

// WithReserve calls op, which writes down that something is deleted, and once more with the room of the
// reserve, if there is one, where the disk is full.
func (s *Store) WithReserve(op func() error) error { return s.reserve.try(op) }

func isFull(err error) bool {
	return err != nil && (diskspace.IsFull(err) || vfs.IsNoSpaceError(err))
}
