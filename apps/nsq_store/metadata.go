package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed893f581e/nsq/internal/durable"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/version"
)

// metadata is nsqd.dat as software without durable topics knows it.
type metadata struct {
	Topics  []topicMetadata `json:"topics"`
	Version string          `json:"version"`
}

type topicMetadata struct {
	Name     string            `json:"name"`
	Paused   bool              `json:"paused"`
	Channels []channelMetadata `json:"channels"`
}

type channelMetadata struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

const metadataName = "nsqd.dat"

// readMetadata reads the file of a data path; nothing is said of what is paused
// where it is missing.
func readMetadata(dataPath string) (m metadata, err error) {
	name := filepath.Join(dataPath, metadataName)
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return m, err
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s is damaged (start an nsqd on the data path once, it mends it): %w", name, err)
	}
	return m, nil
}

// add adds the durable topics and channels that are not there.
func (m *metadata) add(topics []*store.Topic) {
	for _, t := range topics {
		at := slices.IndexFunc(m.Topics, func(tm topicMetadata) bool { return tm.Name == t.Name() })
		if at < 0 {
			at = len(m.Topics)
			m.Topics = append(m.Topics, topicMetadata{Name: t.Name()})
		}
		for _, ch := range t.Channels() {
			m.Topics[at].add(ch.Name())
		}
	}
}

func (tm *topicMetadata) add(channel string) {
	if !slices.ContainsFunc(tm.Channels, func(cm channelMetadata) bool { return cm.Name == channel }) {
		tm.Channels = append(tm.Channels, channelMetadata{Name: channel})
	}
}

func (t *target) writeMetadata(m metadata) error {
	m.Version = version.Binary
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(t.dir, metadataName), data)
}
