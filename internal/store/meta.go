package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// meta is what exists of a topic, in its meta.json.
type meta struct {
	Name        string        `json:"name"`
	Durability  string        `json:"durability"`
	NextChannel uint32        `json:"next_channel"`
	Channels    []channelMeta `json:"channels"`
}

type channelMeta struct {
	ID    uint32 `json:"id"`
	Name  string `json:"name"`
	Begin uint64 `json:"begin"` // number of the first message that was for it
}

// has tells whether there is a channel of a name.
func (m *meta) has(channel string) bool {
	return slices.ContainsFunc(m.Channels, func(c channelMeta) bool { return c.Name == channel })
}

const metaFile = "meta.json"

func readMeta(fs vfs.FS, dir string) (*meta, error) {
	name := fs.PathJoin(dir, metaFile)
	data, err := readFile(fs, name)
	if err != nil {
		return nil, err
	}
	m := new(meta)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := ParseDurability(m.Durability); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// metaDamage tells of a meta.json that cannot be read.
func metaDamage(fs vfs.FS, dir string) seglog.Damage {
	d := seglog.Damage{File: fs.PathJoin(dir, metaFile)}
	if info, err := fs.Stat(d.File); err == nil {
		d.Bytes = info.Size()
	}
	return d
}

// IsMeta reports whether damage is that of a topic's meta.json, which is in no log.
func IsMeta(d seglog.Damage) bool { return strings.HasSuffix(d.File, metaFile) }

func (m *meta) write(fs vfs.FS, dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(fs, fs.PathJoin(dir, metaFile), append(data, '\n'))
}

// topicDir is the name of a topic's directory.
func topicDir(id uint32, name string) string { return fmt.Sprintf("%08x-%s", id, name) }

// parseTopicDir is the inverse of topicDir.
func parseTopicDir(dir string) (id uint32, name string, ok bool) {
	hex, name, ok := strings.Cut(dir, "-")
	v, err := strconv.ParseUint(hex, 16, 32)
	return uint32(v), name, ok && err == nil && len(hex) == 8 && name != ""
}

// readFile returns the content of a small file.
func readFile(fs vfs.FS, name string) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// writeFile replaces a file as a whole; it returns once that is durable.
func writeFile(fs vfs.FS, name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err != nil {
		_ = fs.Remove(tmp) // the reason is what counts; the next write replaces what is left
		return err
	}
	return seglog.SyncDir(fs, fs.PathDir(name))
}
