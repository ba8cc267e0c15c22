package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// wantDeferred checks that a channel defers messages with these bodies, and no more.
func wantDeferred(t *testing.T, c *Channel, want []string) {
	t.Helper()
	var got []string
	for {
		messages, _ := due(t, c, hour(10), 100)
		if len(messages) == 0 {
			break
		}
		got = append(got, bodies(each(messages))...)
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%d messages are deferred, want %d", len(got), len(want))
	}
}

// However many deferred messages a topic held, when it is released they do not all wait in memory for
// the next note.
func TestReleaseNotesManyDeferredMessagesMeanwhile(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	o.changes = 5000
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	const all = 50_000
	for from := 0; from < all; from += 1000 {
		b := numbered(from, from+1000)
		b.Due = hour(1)
		mustAppend(t, topic, b)
	}
	topic.Release()
	const read = readBytes / 5 // messages that are entered between two looks, at most
	if n := len(channels[0].deferred.pending); n >= o.changes+read || n >= all {
		t.Errorf("%d changes wait", n)
	}
	s = reopen(t, s, o)
	wantDeferred(t, s.Topics()[0].Channels()[0], numbers(0, all))
	mustClose(t, s)
}

// An index that is rebuilt has all deferred messages, as they were deferred last, though they are
// noted by and by.
func TestRebuildNotesManyDeferredMessagesByAndBy(t *testing.T) {
	disk := vfs.NewMem()
	o := testOptions(t, disk)
	o.changes = 3
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a", "b")
	topic.Release()
	mustAppend(t, topic, numbered(0, 40))
	for _, c := range channels {
		messages, err := c.Next(nil, 40, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		m := messages[0]
		for m.Count = 1; m.Index < 20; m.Index++ {
			if err := c.Defer(m, hour(1)); err != nil {
				t.Fatal(err)
			}
			m.Offset = nextOffset(m.Batch.Payload, m.Offset)
		}
	}
	mustClose(t, s)
	damageIndex(t, disk, true)
	s = mustOpen(t, o)
	if s.rebuilt == nil {
		t.Fatal("it was not rebuilt")
	}
	for range 2 {
		s.Topics()[0].Release()
		for _, c := range s.Topics()[0].Channels() {
			wantDeferred(t, c, numbers(0, 20))
			if got := bodies(next(t, c, 100)); fmt.Sprint(got) != fmt.Sprint(numbers(20, 40)) {
				t.Errorf("%s: waiting are %q", c.name, got)
			}
		}
		s = reopen(t, s, o)
	}
	mustClose(t, s)
}
