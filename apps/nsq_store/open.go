package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/dirlock"
	"github.com/seed893f581e/nsq/internal/overlay"
	"github.com/seed893f581e/nsq/internal/seglog"
	"github.com/seed893f581e/nsq/internal/store"
)

// storeDir is where in a data path the durable topics are.
const storeDir = "store"

// A lockedSource is a data path with durable topics that no nsqd uses.
type lockedSource struct {
	dir  string // of the store
	lock *dirlock.Lock
}

func lockSource(dataPath string) (*lockedSource, error) {
	lock, err := dirlock.Acquire(dataPath)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, fmt.Errorf("%s is in use by an nsqd: stop that first", named(dataPath))
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read: %w", named(dataPath), err)
	}
	dir := filepath.Join(dataPath, storeDir)
	if _, err = os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s has no durable topics: there is no %s", named(dataPath), dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return &lockedSource{dir, lock}, nil
}

func (l *lockedSource) unlock() error { return l.lock.Unlock() }

// named is a data path in words.
func named(dataPath string) string {
	if dataPath != "" {
		return "--data-path=" + dataPath
	}
	dir, err := os.Getwd()
	if err != nil {
		return "the working directory, without --data-path,"
	}
	return "the working directory " + dir + ", without --data-path,"
}

// A source is the durable topics of a data path, opened to be read.
type source struct {
	*store.Store
	damages
	at *lockedSource
}

// openOver opens a store. What opening it mends and reading it changes is changed in
// memory: the files stay as they are. What it would log is for an nsqd.
func openOver(dir string, damage func(string, seglog.Damage)) (*store.Store, error) {
	return store.Open(store.Options{
		FS: overlay.New(vfs.Default), Dir: dir, Logger: slog.New(slog.DiscardHandler), Damage: damage,
	})
}

// openSource locks a data path and opens its durable topics.
func openSource(dataPath string) (*source, error) {
	at, err := lockSource(dataPath)
	if err != nil {
		return nil, err
	}
	s := &source{at: at}
	s.Store, err = openOver(at.dir, s.add)
	if err != nil {
		return nil, errors.Join(err, at.unlock())
	}
	if rebuilt := s.Rebuilt(); rebuilt != nil {
		fmt.Fprintf(os.Stderr, "messages that were finished are taken for ones that wait, as the index cannot be used: %v\n", rebuilt)
	}
	return s, nil
}

func (s *source) close() error { return errors.Join(s.Store.Close(), s.at.unlock()) }

// logger logs what is wrong to stderr.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// damages are what was found damaged in logs. It is safe for concurrent use.
type damages struct {
	mu  sync.Mutex // all
	all []damage
}

type damage struct {
	topic string
	seglog.Damage
}

// add adds what was not added before.
func (d *damages) add(topic string, what seglog.Damage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := slices.ContainsFunc(d.all, func(o damage) bool { return o.File == what.File && o.Offset == what.Offset })
	if !known {
		d.all = append(d.all, damage{topic, what})
	}
}

// String tells of it in words.
func (d *damage) String() string {
	switch {
	case store.IsMeta(d.Damage):
		return d.metaString()
	case d.topic == "":
		return d.storeString()
	}
	what := chart.Several(d.Bytes, "byte") + " damaged"
	switch {
	case d.Bytes == 0 && d.Offset == 0:
		what = "files are missing"
	case d.Bytes == 0:
		what = "what followed is missing"
	}
	return fmt.Sprintf("topic %s: %s, offset %d: %s, %s lost", d.topic, d.File, d.Offset, what, chart.Several(d.Messages, "message"))
}

// metaString is String for the file that names a topic's channels.
func (d *damage) metaString() string {
	what := "is damaged"
	if d.Bytes == 0 {
		what = "is missing"
	}
	return fmt.Sprintf("topic %s: %s %s: nsqd finds the topic's channels in the index, or makes those of nsqd.dat anew, with all messages; none is lost", d.topic, d.File, what)
}

// storeString is String for what is of no topic: the format, and the log of the index.
func (d *damage) storeString() string {
	switch {
	case !strings.HasSuffix(d.File, ".log") && d.Bytes == 0:
		return d.File + " is missing or empty: nsqd writes it again; no message is lost"
	case !strings.HasSuffix(d.File, ".log"):
		return d.File + " is damaged: nsqd writes it again; no message is lost"
	}
	return fmt.Sprintf("%s, offset %d: %s damaged: nsqd does without what the index has from there on, and messages that were finished may come again; none is lost",
		d.File, d.Offset, chart.Several(d.Bytes, "byte"))
}

// tell prints them, and reports whether there are any.
func (d *damages) tell(out io.Writer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.all {
		fmt.Fprintln(out, d.all[i].String())
	}
	return len(d.all) > 0
}
