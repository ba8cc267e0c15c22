package nsqd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/durable"
	"github.com/seed893f581e/nsq/internal/version"
)

// metadata keeps nsqd.dat: the topics and channels, and which are paused. One
// goroutine writes it, so that a burst of changes costs one write, those who
// wait for theirs share it, and nothing that publishes ever waits.
//
// A publisher that creates a topic does not wait: with its name a crash would
// cost only messages in memory, and those on disk are found by their files.
type metadata struct {
	n       *NSQD
	dirty   chan struct{} // a token while a change is not written
	asked   chan struct{} // a token while somebody waits
	changes atomic.Uint64 // made so far, each counted after it is made
	written atomic.Uint64 // changes on stable storage

	mu      sync.Mutex // waiting, ended
	waiting []metadataWait
	ended   bool // metadataLoop writes no more

	writing sync.Mutex // one write at a time; guards the file, what follows and the entries of topics
	size    int        // of the last write
	failed  bool       // it failed
}

// A metadataWait is somebody who waits for a write.
type metadataWait struct {
	proposal *proposal // nil where the change is in force already
	result   chan<- error
}

func (m *metadata) init(n *NSQD) {
	m.n = n
	m.dirty = make(chan struct{}, 1)
	m.asked = make(chan struct{}, 1)
}

// change has the metadata written soon: something in it has changed.
func (m *metadata) change() {
	m.changes.Add(1)
	giveToken(m.dirty)
}

func giveToken(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// sync returns when all changes made so far are on stable storage, at once if
// they are. With an error they are in force but perhaps not written; that is
// tried again.
func (m *metadata) sync(ctx context.Context) error {
	if m.written.Load() >= m.changes.Load() {
		return nil
	}
	return m.await(ctx, nil)
}

// agree returns when a change that is proposed is on stable storage. With an error it is
// as if it had never been proposed, unless the daemon stops.
func (m *metadata) agree(ctx context.Context, p *proposal) error { return m.await(ctx, p) }

func (m *metadata) await(ctx context.Context, p *proposal) error {
	result := make(chan error, 1)
	m.mu.Lock()
	if m.ended {
		m.mu.Unlock()
		return errExiting
	}
	m.waiting = append(m.waiting, metadataWait{p, result})
	m.mu.Unlock()
	giveToken(m.asked)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// metadataRetry is how long metadataLoop waits after a write that failed,
// unless somebody asks.
const metadataRetry = time.Second

// metadataLoop writes what changed until ctx ends. A write that fails is tried
// again: without it a paused channel would not be paused after a crash.
func (m *metadata) metadataLoop(ctx context.Context) error {
	defer m.end()
	var pause <-chan time.Time // after a failure
	failing := false
	for {
		dirty := m.dirty
		if pause != nil {
			dirty = nil
		}
		select {
		case <-m.asked:
		case <-dirty:
		case <-pause:
			pause = nil
			continue
		case <-ctx.Done():
			return nil
		}
		pause = nil
		err := m.writeForAll()
		if err != nil {
			pause = time.After(metadataRetry)
		}
		switch {
		case err != nil && !failing:
			m.n.log.Error("NSQ: failed to persist metadata, will try again", "every", metadataRetry, "error", err)
		case err == nil && failing:
			m.n.log.Info("NSQ: metadata is persisted again")
		}
		failing = err != nil
	}
}

// writeForAll writes what changed and tells those who waited before it began.
// Who came when the write that has their change was under way needs no other.
func (m *metadata) writeForAll() (err error) {
	m.mu.Lock()
	waiting := m.waiting
	m.waiting = nil
	m.mu.Unlock()
	for _, w := range waiting {
		if w.proposal != nil {
			w.proposal.propose()
		}
	}
	if m.written.Load() < m.changes.Load() {
		err = m.write()
	}
	for _, w := range waiting {
		if w.proposal != nil {
			w.proposal.settle(err == nil)
		}
		w.result <- err
	}
	return err
}

func (m *metadata) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	for _, w := range m.waiting {
		w.result <- errExiting
	}
	m.waiting = nil
}

// The form of nsqd.dat, shared with classic software.
type (
	metadataFile struct {
		Topics  []topicMetadata `json:"topics"`
		Version string          `json:"version"`
	}
	topicMetadata struct {
		Name       string            `json:"name"`
		Paused     bool              `json:"paused"`
		Channels   []channelMetadata `json:"channels"`
		Durability string            `json:"durability,omitempty"` // without it a topic has that of --durability
	}
	channelMetadata struct {
		Name   string `json:"name"`
		Paused bool   `json:"paused"`
	}
)

func (m *metadata) fileName() string { return filepath.Join(m.n.opts.DataPath, "nsqd.dat") }

// write writes the metadata of this moment and returns once it is on stable
// storage.
func (m *metadata) write() error {
	m.writing.Lock()
	defer m.writing.Unlock()
	select {
	case <-m.dirty: // this write has it
	default:
	}
	if !m.failed { // else it is tried again and again
		m.n.log.Info("NSQ: persisting topic/channel metadata to " + m.fileName())
	}
	changes := m.changes.Load()
	err := durable.WriteFile(m.fileName(), m.encode())
	m.failed = err != nil
	m.n.env.health.set(metadataHealth, err)
	if err != nil {
		m.change() // it has still to be written, whoever asked for it
		return err
	}
	m.written.Store(changes)
	return nil
}

// writeAtLast is write for a stop. It fails only where nsqd.dat does not say all that it is to.
func (m *metadata) writeAtLast() error {
	err := m.write()
	if err == nil || m.isSaved() {
		return nil
	}
	return fmt.Errorf("%s stays as it was: after the next start, topics and channels of memory that were created since are not there, and those that were deleted are, without messages: %w", m.fileName(), err)
}

// isSaved reports whether nsqd.dat says what it is to.
func (m *metadata) isSaved() bool {
	m.writing.Lock()
	defer m.writing.Unlock()
	data, err := os.ReadFile(m.fileName())
	return err == nil && bytes.Equal(data, m.encode())
}

// encode returns what nsqd.dat is to hold: compact, as classic software writes
// it, by name.
//
// It leaves out what is being deleted. The order of a deletion is: the files of
// the queue, then this file, then the answer. So whatever was answered has
// neither an entry nor files, as the write here makes the removal durable, too:
// it syncs the directory that both lie in. A crash in between leaves an entry
// without files, which is an empty channel, or files without an entry, which are
// loaded if they hold messages: nobody was told that they are gone.
func (m *metadata) encode() []byte {
	data := make([]byte, 0, m.size+1024)
	data = append(data, `{"topics":`...)
	sep := byte('[')
	add := func(entry []byte) {
		data = append(append(data, sep), entry...)
		sep = ','
	}
	topics, replacing := m.n.topics.toSave()
	for _, t := range topics {
		add(m.entry(t))
	}
	for _, name := range slices.Sorted(maps.Keys(replacing)) {
		add(replacing[name])
	}
	if sep == '[' {
		data = append(data, "null"...)
	} else {
		data = append(data, ']')
	}
	data = append(data, `,"version":"`+version.Binary+`"}`...)
	m.size = len(data)
	return data
}

// entryNow is entry for who does not write.
func (m *metadata) entryNow(t *topic) []byte {
	m.writing.Lock()
	defer m.writing.Unlock()
	return m.entry(t)
}

// entry returns the topic's part of the file. It is made anew only if the topic
// has changed: where there are thousands, one change must not cost all of them.
func (m *metadata) entry(t *topic) []byte {
	edits := t.edits.Load() // first: an edit that comes meanwhile has it made again
	if t.entry != nil && t.entryEdits == edits {
		return t.entry
	}
	tm := topicMetadata{Name: t.name, Paused: t.pause.next.Load(), Durability: t.durabilityToSave()}
	for _, ch := range t.allChannels() {
		if !ch.ephemeral && !ch.isExiting() {
			tm.Channels = append(tm.Channels, channelMetadata{Name: ch.name, Paused: ch.pause.next.Load()})
		}
	}
	t.entry, _ = json.Marshal(tm) // which cannot fail: it is strings and bools
	t.entryEdits = edits
	return t.entry
}
