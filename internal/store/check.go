package store

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// Checked is what Check has read.
type Checked struct {
	Topics, Segments int
	Unsealed         int   // Segments that were not closed: by a kill, or their end is lost, which does not show
	Messages, Bytes  int64 // Messages that could be read, those of channels alone too
}

// Check reads every frame of every log of a store that nobody has open, and does what CheckFiles
// does. It changes nothing, also not what a crash left half written. damage is told of each damaged
// place; that is no error.
func Check(ctx context.Context, fsys vfs.FS, dir string, damage func(topic string, d seglog.Damage)) (c Checked, err error) {
	if err := CheckFiles(fsys, dir, damage); err != nil {
		return c, err
	}
	err = eachTopic(fsys, dir, func(topic, path string) error {
		c.Topics++
		for _, log := range []string{logDir, keptDir} {
			err := c.log(ctx, seglog.Options{
				FS: fsys, Dir: fsys.PathJoin(path, log), ReadOnly: true,
				Damage: func(d seglog.Damage) { damage(topic, d) },
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
	return c, err
}

// CheckFiles reads what Open mends, or does without, and tells nobody but its log: the format, what names
// the channels of topics, and the write-ahead log of the index. damage is as for Check, with an empty
// topic where it is in no topic's file.
func CheckFiles(fsys vfs.FS, dir string, damage func(topic string, d seglog.Damage)) error {
	ofNone := func(d seglog.Damage) { damage("", d) }
	return errors.Join(
		checkFormatFile(fsys, dir, ofNone),
		checkIndexLogs(fsys, fsys.PathJoin(dir, indexDir), ofNone),
		eachTopic(fsys, dir, func(topic, path string) error {
			if _, err := readMeta(fsys, path); isDamage(err) {
				damage(topic, metaDamage(fsys, path))
			}
			return nil
		}))
}

// eachTopic calls f with the names of the topics of a store, as their directories have them, and these.
func eachTopic(fsys vfs.FS, dir string, f func(topic, path string) error) error {
	topics := fsys.PathJoin(dir, topicsDir)
	names, err := fsys.List(topics)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if !isTopicDir(name) {
			continue
		}
		_, topic, _ := parseTopicDir(name)
		if err := f(topic, fsys.PathJoin(topics, name)); err != nil {
			return err
		}
	}
	return nil
}

// checkFormatFile tells of a format that Open would write again.
func checkFormatFile(fsys vfs.FS, dir string, damage func(seglog.Damage)) error {
	name := fsys.PathJoin(dir, formatFile)
	data, err := readFile(fsys, name)
	if _, known := parseFormat(data); err == nil && !known || errors.Is(err, fs.ErrNotExist) {
		damage(seglog.Damage{File: name, Bytes: int64(len(data))})
		return nil
	}
	return err
}

// log reads one log.
func (c *Checked) log(ctx context.Context, o seglog.Options) (err error) {
	l, err := seglog.Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for _, seg := range l.Segments() {
		c.Segments++
		c.Bytes += seg.Bytes
		if !seg.Sealed {
			c.Unsealed++
		}
		err := l.Scan(seg.ID, func(r seglog.Record) error {
			c.Messages += int64(r.Count)
			return context.Cause(ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Rebuilt returns why Open has made the index anew from the logs, nil if it has not.
func (s *Store) Rebuilt() error { return s.rebuilt }
