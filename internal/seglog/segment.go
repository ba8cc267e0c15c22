package seglog

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const suffix = ".log"

// segment is one file of a log.
type segment struct {
	id    uint32
	salt  uint32
	first uint64
	path  string
	read  handle

	// Guarded by Log.mu.
	size     int64 // of what is kept, without seal and what lies behind
	kept     tally
	sealed   bool
	deferred bool
	voids    []void         // what recovery left out; only ever set before the log is in use
	reported map[int64]bool // offsets of damage

	w writer // belongs to whoever has the log's turn
}

// void is a stretch that readers pass over without a word.
type void struct {
	from, to int64
	after    tally
}

func fileName(id uint32, first uint64, salt uint32) string {
	return fmt.Sprintf("%08x-%016x-%08x%s", id, first, salt, suffix)
}

// parseName reads what a file name says; false if it is not that of a segment.
func parseName(name string) (id uint32, first uint64, salt uint32, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, suffix), "-")
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	a, err1 := strconv.ParseUint(parts[0], 16, 32)
	first, err2 := strconv.ParseUint(parts[1], 16, 64)
	c, err3 := strconv.ParseUint(parts[2], 16, 32)
	id, salt = uint32(a), uint32(c)
	ok = err1 == nil && err2 == nil && err3 == nil && fileName(id, first, salt) == name
	return id, first, salt, ok
}

// handle is the open file that all who read a segment share, so that it can be
// closed before the segment is removed, whoever is in it.
type handle struct {
	mu      sync.Mutex // opens and closes one at a time
	file    vfs.File
	pins    int    // who reads this moment
	holders int    // who will read again soon
	gone    bool   // removed, or about to be
	after   func() // removes the file, when the last pin goes
}

// pin opens the file, if need be, and keeps it open until unpin. ErrGone if it is removed.
func (h *handle) pin(fs vfs.FS, path string) (vfs.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return nil, ErrGone
	}
	if h.file == nil {
		file, err := fs.Open(path)
		if err != nil {
			return nil, err
		}
		h.file = file
	}
	h.pins++
	return h.file, nil
}

func (h *handle) unpin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pins--
	if h.pins == 0 && (h.gone || h.holders == 0) {
		h.closeLocked()
	}
	if h.pins == 0 && h.after != nil {
		h.after()
	}
}

// hold keeps the file open between pins, until release or drop.
func (h *handle) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holders++
}

func (h *handle) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holders--
	if h.holders == 0 && h.pins == 0 {
		h.closeLocked()
	}
}

// drop closes the file if nobody reads this moment.
func (h *handle) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pins == 0 {
		h.closeLocked()
	}
}

// remove lets nobody open the file any more, and calls f when it is closed: now, with its
// error, or when the last who reads is done.
func (h *handle) remove(f func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	if h.pins > 0 {
		h.after = func() { f() }
		return nil
	}
	h.closeLocked()
	err := f()
	h.gone = err == nil
	return err
}

func (h *handle) closeLocked() {
	if h.file != nil {
		h.file.Close()
		h.file = nil
	}
}
