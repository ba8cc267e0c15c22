package store

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/seed893f581e/nsq/internal/seglog"
)

const testDir = "data/store"

// testOptions are of a store in memory that notes only when it is told to.
func testOptions(t testing.TB, fs vfs.FS) Options {
	t.Helper()
	if err := fs.MkdirAll(testDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/", "data"} {
		if err := seglog.SyncDir(fs, dir); err != nil {
			t.Fatal(err)
		}
	}
	return Options{FS: fs, Dir: testDir, Logger: slog.New(slog.DiscardHandler), NoteEvery: -1}
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func reopen(t testing.TB, s *Store, o Options) *Store {
	t.Helper()
	mustClose(t, s)
	return mustOpen(t, o)
}

func mustCreate(t testing.TB, s *Store, name string, channels ...string) (*Topic, []*Channel) {
	t.Helper()
	topic, err := s.Create(name, Disk)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range channels {
		if _, err := topic.CreateChannel(name); err != nil {
			t.Fatal(err)
		}
	}
	return topic, topic.Channels()
}

// batch makes a batch of bodies.
func batch(bodies ...string) *Batch {
	b := &Batch{ID: 1000, Time: 5, Count: len(bodies)}
	for _, body := range bodies {
		b.Payload = append(appendSize(b.Payload, len(body)), body...)
	}
	return b
}

// numbered makes a batch of bodies that are numbers.
func numbered(from, to int) *Batch {
	var bodies []string
	for i := from; i < to; i++ {
		bodies = append(bodies, fmt.Sprint(i))
	}
	return batch(bodies...)
}

func mustAppend(t testing.TB, topic *Topic, batches ...*Batch) {
	t.Helper()
	if err := topic.Append(batches); err != nil {
		t.Fatal(err)
	}
}

// got is one message.
type got struct {
	seq      uint64
	body     string
	attempts uint16
}

// each returns the messages of runs, one by one.
func each(messages []Message) (all []got) {
	for _, m := range messages {
		offset := m.Offset
		for i := range m.Count {
			next := nextOffset(m.Batch.Payload, offset)
			size := binary.BigEndian.Uint32(m.Batch.Payload[offset:])
			all = append(all, got{m.Seq() + uint64(i), string(m.Batch.Payload[offset+4:][:size]), m.Attempts})
			offset = next
		}
	}
	return all
}

func bodies(all []got) (s []string) {
	for _, m := range all {
		s = append(s, m.body)
	}
	return s
}

func next(t testing.TB, c *Channel, n int) []got {
	t.Helper()
	messages, err := c.Next(nil, n, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return each(messages)
}

func due(t testing.TB, c *Channel, now int64, n int) (messages []Message, next int64) {
	t.Helper()
	messages, next, err := c.Due(nil, now, n)
	if err != nil {
		t.Fatal(err)
	}
	return messages, next
}

func numbers(from, to int) (s []string) {
	for i := from; i < to; i++ {
		s = append(s, fmt.Sprint(i))
	}
	return s
}

func wantBodies(t testing.TB, all []got, want []string) {
	t.Helper()
	if b := bodies(all); !slices.Equal(b, want) {
		t.Fatalf("got %q, want %q", b, want)
	}
}

func wantDepth(t testing.TB, c *Channel, want int64) {
	t.Helper()
	if d := c.Depth(); d != want {
		t.Fatalf("channel %s: depth %d, want %d", c.name, d, want)
	}
}

func finish(c *Channel, all []got) {
	for _, m := range all {
		c.Finish([]Run{{m.seq, 1}})
	}
}

// noteAll notes and trims what changed, as upkeep would.
func noteAll(s *Store) { s.noteChanges() }

func hour(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).UnixNano() }

func topicNamed(t testing.TB, s *Store, name string) *Topic {
	t.Helper()
	i := slices.IndexFunc(s.Topics(), func(t *Topic) bool { return t.name == name })
	if i < 0 {
		t.Fatalf("there is no topic %q", name)
	}
	return s.Topics()[i]
}
