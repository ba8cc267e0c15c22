package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
)

// How much is collected before it is written. What is compressed is written in one
// piece with the end of its gzip member, if that is not too large.
const (
	maxStaged           = 64 << 10
	maxStagedCompressed = 1 << 20
)

// output writes records to the files of a topic, one after the other. Whatever
// fails, a file has whole records up to the last sync, and nothing behind them but
// more whole records or, after a crash, the beginning of one. It is used by one
// goroutine.
type output struct {
	disk  disk
	o     *options
	names *names
	log   *logger
	label string // what lines of the log are about

	written      // the file that is open, or was last
	rev     int  // its number
	unmoved bool // it is closed and still in the work directory

	f    file // nil if none is open
	path string
	held bool // f is locked until it is closed

	gz     *gzip.Writer // nil without compression; writes to staged
	member bool         // of gzip is begun
	staged bytes.Buffer // for f, and ends with a whole record or with part of a member

	end    int64 // of what we wrote to f
	synced int64 // where end was at the last sync
	alone  bool  // since then nobody else has written to f
	kept   int64 // written.size at the last sync
}

func newOutput(d disk, o *options, topic, label string) (*output, error) {
	n, err := newNames(o, topic)
	if err != nil {
		return nil, err
	}
	w := &output{disk: d, o: o, names: n, log: o.log, label: label}
	if o.gzip {
		if w.gz, err = gzip.NewWriterLevel(&w.staged, o.gzipLevel); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// isOpen reports whether there is a file to append to.
func (w *output) isOpen() bool { return w.f != nil }

// isFull reports whether the next record belongs into another file than the one
// that is open.
func (w *output) isFull(now time.Time) bool {
	return w.isOpen() && w.o.rotation.due(w.written, w.names.at(now), now)
}

// append adds a record to the file that is open. It may not be there before sync.
func (w *output) append(body []byte) error {
	if w.gz == nil {
		w.staged.Write(body)
		w.staged.WriteByte('\n')
	} else if err := w.compress(body); err != nil {
		return err
	}
	w.size += int64(len(body)) + 1
	if w.staged.Len() >= maxStagedCompressed || w.gz == nil && w.staged.Len() >= maxStaged {
		return w.write()
	}
	return nil
}

func (w *output) compress(body []byte) error {
	w.beginMember()
	_, err := w.gz.Write(body)
	_, newlineErr := w.gz.Write([]byte{'\n'})
	return errors.Join(err, newlineErr)
}

func (w *output) beginMember() {
	if !w.member {
		w.gz.Reset(&w.staged)
		w.member = true
	}
}

// flush writes what can be read without the end of a gzip member.
func (w *output) flush() error {
	if w.gz != nil {
		return nil
	}
	return w.write()
}

// write writes what is staged. The lock keeps it in one piece, as other topics and
// other processes may append to the same file.
func (w *output) write() error {
	if w.staged.Len() == 0 {
		return nil
	}
	err := w.locked(func() error {
		size, err := w.f.Size()
		if err != nil {
			return err
		}
		w.alone = w.alone && size == w.end
		n, err := w.f.Write(w.staged.Bytes())
		if err != nil {
			return errors.Join(err, w.takeBack(size, n))
		}
		w.end = size + int64(n)
		return nil
	})
	if err != nil {
		return err
	}
	w.resetStaged()
	return nil
}

// takeBack removes n bytes, which may be half a record, before somebody else appends
// to them.
func (w *output) takeBack(size int64, n int) error {
	if n == 0 {
		return nil
	}
	err := w.f.Truncate(size)
	if err != nil {
		w.end = size + int64(n)
	}
	return err
}

func (w *output) resetStaged() {
	if w.staged.Cap() > 4*maxStagedCompressed { // one huge record does not stay in memory
		w.staged = bytes.Buffer{}
	}
	w.staged.Reset()
}

func (w *output) locked(do func() error) error {
	if w.held {
		return do()
	}
	if err := w.f.Lock(); err != nil {
		return err
	}
	return errors.Join(do(), w.f.Unlock())
}

// sync returns when all records are on stable storage.
func (w *output) sync() error {
	if !w.isOpen() {
		return nil
	}
	if w.gz != nil && w.end == 0 && !w.o.skipEmptyFiles {
		w.beginMember() // without one, an empty file could not be decompressed
	}
	if w.member {
		if err := w.gz.Close(); err != nil {
			return err
		}
		w.member = false
	}
	if err := w.write(); err != nil {
		return err
	}
	if w.end == w.synced {
		return nil
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	w.synced, w.alone, w.kept = w.end, true, w.size
	return nil
}

// rollback takes back what was appended since the last sync, after an error. If that
// fails, too, no more is written to the file as it is.
func (w *output) rollback() {
	w.resetStaged()
	w.member, w.size = false, w.kept
	if !w.isOpen() {
		return
	}
	if err := w.locked(w.cutBack); err != nil {
		w.log.errorf("%s %s may end with part of a record: %v", w.label, w.path, err)
		w.f.Close()
		w.f, w.unmoved = nil, w.o.moves()
	}
}

func (w *output) cutBack() error {
	size, err := w.f.Size()
	alone := w.alone && size == w.end
	switch {
	case err != nil:
		return err
	case alone && size > w.synced:
		err = w.f.Truncate(w.synced)
	case alone:
	case w.gz != nil:
		return errors.New("somebody else has written to it")
	default:
		_, err = cutTail(w.f)
	}
	if err == nil {
		w.end, err = w.f.Size()
		w.synced = w.end
	}
	return err
}

// open opens the file for a record of this moment. Where files are not continued, or
// those that are there are full, it has the next number.
func (w *output) open(now time.Time) error {
	if err := w.move(); err != nil {
		return err
	}
	if name := w.names.at(now); name != w.name {
		w.name, w.rev = name, 0
	}
	for {
		taken, err := w.tryOpen(now)
		if err != nil || !taken {
			return err
		}
		w.rev++
	}
}

// rotate closes a file that is full. The next one has another name or number.
func (w *output) rotate(now time.Time) error {
	w.log.infof("%s %s is complete", w.label, w.path)
	if err := w.close(); err != nil {
		return err
	}
	if w.names.at(now) == w.name {
		w.rev++
	}
	return nil
}

// tryOpen opens the file with the present number, if it is not taken.
func (w *output) tryOpen(now time.Time) (taken bool, err error) {
	name := withRev(w.name, w.rev)
	w.path = filepath.Join(w.o.workDir, name)
	if w.o.moves() {
		if taken, err = w.isMoved(filepath.Join(w.o.outputDir, name)); err != nil || taken {
			return taken, err
		}
	}
	dir := filepath.Dir(w.path)
	if err := w.disk.MkdirAll(dir); err != nil {
		return false, err
	}
	flag := os.O_CREATE
	if w.o.exclusive() {
		flag |= os.O_EXCL
	}
	f, err := w.disk.OpenFile(w.path, flag)
	if w.o.exclusive() && errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	w.f = f
	if taken, err = w.hold(); err == nil && !taken {
		err = w.locked(w.start)
	}
	if taken = taken || err == nil && w.o.rotation.over(w.end); err == nil && !taken {
		err = w.disk.SyncDir(dir)
	}
	if err != nil || taken {
		f.Close()
		w.f = nil
		return taken, err
	}
	w.opened = now
	w.log.infof("%s writing to %s", w.label, w.path)
	return false, nil
}

// start looks at the file, and cuts off half a record that a crash has left at its
// end.
func (w *output) start() error {
	err := w.cutUnfinished(w.f, w.path)
	if err != nil {
		return err
	}
	w.size, err = w.f.Size()
	w.end, w.synced, w.alone, w.kept = w.size, w.size, true, w.size
	return err
}

// close syncs and closes the file, if one is open, and moves it where complete files
// are. Whatever it returns, nothing has to be taken back after a sync that succeeded.
func (w *output) close() error {
	if w.isOpen() {
		if err := w.sync(); err != nil {
			return err
		}
		err := w.f.Close()
		w.f, w.unmoved = nil, w.o.moves()
		if err != nil {
			return err
		}
		if w.end == 0 && w.o.skipEmptyFiles {
			w.unmoved = false
			return w.unlink()
		}
	}
	return w.move()
}
