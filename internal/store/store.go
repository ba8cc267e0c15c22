package store

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/seed893f581e/nsq/internal/seglog"
)

// Options say where a store lies and how much memory it may take. Dir and
// Logger must be set; what else is zero takes its default.
type Options struct {
	FS           vfs.FS // vfs.Default
	Dir          string
	Logger       *slog.Logger
	SegmentBytes int64         // of a log's files, 64 MiB
	TailMessages int           // recent messages that a topic keeps in memory at most, 65,536
	TailBytes    int64         // and their bytes, 4 MiB
	NoteEvery    time.Duration // how often positions are written at most, 100 ms

	// Room, if set, is asked before anything is appended: its error refuses it.
	Room func() error
	// Damage, if set, is told of every damaged place of a log, once.
	Damage func(topic string, d seglog.Damage)
	// Health, if set, is told when the store begins to fail (see Err), and nil
	// when it works again.
	Health func(error)
}

// A Store is a directory of topics. Its methods and those of its topics and
// channels are safe for concurrent use.
type Store struct{}

// Open opens the store of a directory, which is made if it is not there. No
// other process may have it open. All topics are held at first.
func Open(o Options) (*Store, error) { panic("store: Open") }

// Topics returns the topics in the order of their creation.
func (s *Store) Topics() []*Topic { panic("store: Topics") }

// Create makes a topic, which is held at first. It is there after a power cut
// once Create returned. The name must be a valid one and not taken.
func (s *Store) Create(name string, d Durability) (*Topic, error) { panic("store: Create") }

// Err returns why the store fails, nil while it works. What is in memory goes
// on being served; a failing index is rebuilt when the store is opened again.
func (s *Store) Err() error { panic("store: Err") }

// Close writes all positions with a sync and closes all files. Nothing may be
// called during and after it.
func (s *Store) Close() error { panic("store: Close") }
