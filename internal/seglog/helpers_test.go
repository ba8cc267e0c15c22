package seglog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// payloadOf is what messages with these bodies are in a record.
func payloadOf(bodies ...string) (p []byte) {
	for _, b := range bodies {
		p = binary.BigEndian.AppendUint32(p, uint32(len(b)))
		p = append(p, b...)
	}
	return p
}

func messages(bodies ...string) *Record {
	return &Record{Kind: Messages, Count: len(bodies), Payload: payloadOf(bodies...)}
}

func moved(first uint64, body string) *Record {
	return &Record{Kind: Moved, First: first, Count: 1, Due: 5, Channel: 7, Attempts: 3, Payload: payloadOf(body)}
}

// numbered are n messages that tell where they are from.
func numbered(who string, n, size int) *Record {
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = fmt.Sprintf("%s.%d.", who, i)
		bodies[i] += strings.Repeat("x", max(0, size-len(bodies[i])))
	}
	return messages(bodies...)
}

// bodies takes a payload apart.
func bodies(payload []byte) (all []string) {
	for len(payload) > 0 {
		n := int(binary.BigEndian.Uint32(payload))
		all = append(all, string(payload[4:4+n]))
		payload = payload[4+n:]
	}
	return all
}

// heard collects what a log tells.
type heard struct {
	mu      sync.Mutex
	damages []Damage
	commits []Record
}

func (h *heard) lost() (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.damages {
		n += d.Messages
	}
	return n
}

func (h *heard) options(fs vfs.FS) Options {
	return Options{
		FS: fs, Dir: "log",
		Damage: func(d Damage) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.damages = append(h.damages, d)
		},
		OnCommit: func(records []Record) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.commits = append(h.commits, records...)
		},
	}
}

func openLog(t testing.TB, opts Options) *Log {
	t.Helper()
	l, err := Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func mustAppend(t testing.TB, l *Log, records ...*Record) {
	t.Helper()
	if err := l.Append(records); err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// message is one that a cursor found.
type message struct {
	seq  uint64
	body string
}

// rest reads all that a cursor has.
func rest(t testing.TB, c *Cursor) (all []message) {
	t.Helper()
	for {
		records, err := c.Next(10_000)
		if err != nil {
			t.Fatal(err)
		}
		if records == nil {
			return all
		}
		for _, r := range records {
			for i, body := range bodies(r.Payload) {
				all = append(all, message{r.First + uint64(i), body})
			}
		}
	}
}

func readAll(t testing.TB, l *Log) []message {
	t.Helper()
	c := l.Seek(0)
	defer c.Close()
	return rest(t, c)
}

func bodiesOf(all []message) (b []string) {
	for _, m := range all {
		b = append(b, m.body)
	}
	return b
}

func wantBodies(t testing.TB, l *Log, want ...string) {
	t.Helper()
	if got := bodiesOf(readAll(t, l)); !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// files are the paths of a log's files, in order.
func files(t testing.TB, fs vfs.FS) (paths []string) {
	t.Helper()
	names, err := fs.List("log")
	check(t, err)
	slices.Sort(names)
	for _, name := range names {
		paths = append(paths, fs.PathJoin("log", name))
	}
	return paths
}

func content(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	check(t, err)
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(f)
	check(t, err)
	return b.Bytes()
}

func replace(t testing.TB, fs vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	check(t, err)
	_, err = f.Write(slices.Clone(data))
	check(t, err)
	check(t, f.Close())
}
