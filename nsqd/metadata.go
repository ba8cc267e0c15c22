package nsqd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/durable"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/internal/wire"
)

// metadata keeps nsqd.dat: the topics and channels, and which are paused. One
// goroutine writes it, so that a burst of changes costs one write and nothing
// that publishes ever waits for it.
type metadata struct {
	n     *NSQD
	dirty chan struct{} // a token while a change is not written

	writing sync.Mutex // one write at a time; guards only the file, and nothing else waits for it
}

func (m *metadata) init(n *NSQD) {
	m.n = n
	m.dirty = make(chan struct{}, 1)
}

// change has the metadata written soon.
func (m *metadata) change() {
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

// metadataRetry is how long metadataLoop waits after a write that failed.
const metadataRetry = time.Second

// metadataLoop writes what changed until ctx ends. A write that fails is tried
// again: without it the messages of a new topic would not be found after a crash.
func (m *metadata) metadataLoop(ctx context.Context) error {
	var pause <-chan time.Time // after a failure
	for {
		dirty := m.dirty
		if pause != nil {
			dirty = nil
		}
		select {
		case <-dirty:
			if err := m.write(); err != nil {
				m.n.log.Error("NSQ: failed to persist metadata, will try again", "in", metadataRetry, "error", err)
				pause = time.After(metadataRetry)
			}
		case <-pause:
			pause = nil
		case <-ctx.Done():
			return nil
		}
	}
}

// The form of nsqd.dat, shared with classic software.
type (
	metadataFile struct {
		Topics  []topicMetadata `json:"topics"`
		Version string          `json:"version"`
	}
	topicMetadata struct {
		Name     string            `json:"name"`
		Paused   bool              `json:"paused"`
		Channels []channelMetadata `json:"channels"`
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
	m.n.log.Info("NSQ: persisting topic/channel metadata to " + m.fileName())
	data, err := json.Marshal(m.snapshot())
	if err == nil {
		err = durable.WriteFile(m.fileName(), data)
	}
	if err != nil {
		m.change() // it has still to be written, whoever asked for it
	}
	return err
}

func (m *metadata) snapshot() metadataFile {
	file := metadataFile{Version: version.Binary}
	for _, t := range m.n.topics.all() {
		if t.ephemeral || t.isExiting() {
			continue
		}
		tm := topicMetadata{Name: t.name, Paused: t.isPaused()}
		for _, ch := range t.allChannels() {
			if !ch.ephemeral && !ch.isExiting() {
				tm.Channels = append(tm.Channels, channelMetadata{Name: ch.name, Paused: ch.queue.isPaused()})
			}
		}
		file.Topics = append(file.Topics, tm)
	}
	return file
}

// ErrLoad is why New fails where nsqd.dat cannot be read.
var ErrLoad = errors.New("failed to load metadata")

// load creates the topics and channels of the last run and opens what they
// left on disk.
func (n *NSQD) load() error {
	if err := removeTempFiles(n.opts.DataPath); err != nil {
		n.log.Warn("NSQ: left-over temporary files could not be removed", "error", err)
	}
	name := n.metadata.fileName()
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w - %w", ErrLoad, err)
	}
	var file metadataFile
	if err := json.Unmarshal(data, &file); err != nil {
		return fmt.Errorf("%w - failed to parse metadata in %s - %w", ErrLoad, name, err)
	}
	for _, tm := range file.Topics {
		if !wire.ValidName(tm.Name) {
			n.log.Warn(fmt.Sprintf("skipping creation of invalid topic %s", tm.Name))
			continue
		}
		if err := n.loadTopic(tm); err != nil {
			return fmt.Errorf("failed to load topic %s: %w", tm.Name, err)
		}
	}
	return nil
}

func (n *NSQD) loadTopic(tm topicMetadata) error {
	t, err := n.topics.topic([]byte(tm.Name))
	if err != nil {
		return err
	}
	t.setPaused(true) // until every channel is there to get its copy
	for _, cm := range tm.Channels {
		if !wire.ValidName(cm.Name) {
			n.log.Warn(fmt.Sprintf("skipping creation of invalid channel %s", cm.Name))
			continue
		}
		ch, err := t.channel(cm.Name)
		if err != nil {
			return err
		}
		if cm.Paused {
			ch.queue.pause()
		}
		if err := ch.load(); err != nil {
			return fmt.Errorf("channel %s: %w", ch.name, err)
		}
	}
	if err := t.load(); err != nil {
		return err
	}
	t.setPaused(tm.Paused)
	return nil
}
