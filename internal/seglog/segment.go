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
	after uint64 // below it are all numbers that were acknowledged when it was begun; at most first
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
	first    uint64 // the numbers from it on, up to after, are lost
	after    tally
}

// fileName is the name of a segment's file. Where numbers were left out before it, as those of
// a failed sync, a fourth part tells it, so that nobody takes them for lost.
func (s *segment) fileName() string {
	name := fmt.Sprintf("%08x-%016x-%08x", s.id, s.first, s.salt)
	if s.after != s.first {
		name += fmt.Sprintf("-%016x", s.after)
	}
	return name + suffix
}

// parseName returns the segment that a file name tells of; false if it is not that of one.
func parseName(name string) (s *segment, ok bool) {
	parts := strings.Split(strings.TrimSuffix(name, suffix), "-")
	if len(parts) < 3 || len(parts) > 4 {
		return nil, false
	}
	var numbers [4]uint64
	for i, part := range parts {
		numbers[i], _ = strconv.ParseUint(part, 16, 64) // what is none has another name
	}
	s = &segment{id: uint32(numbers[0]), first: numbers[1], salt: uint32(numbers[2]), after: numbers[1]}
	if len(parts) == 4 {
		s.after = min(numbers[3], s.first)
	}
	return s, s.fileName() == name
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

// drop closes the file if nobody reads, or is about to, this moment.
func (h *handle) drop() {
	if !h.mu.TryLock() {
		return
	}
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
