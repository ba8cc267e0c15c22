package store

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestEveryChannelGetsEveryMessageOnce(t *testing.T) {
	s := mustOpen(t, testOptions(t, vfs.NewMem()))
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a", "b")
	topic.Release()
	mustAppend(t, topic, numbered(0, 5), numbered(5, 6))
	mustAppend(t, topic, numbered(6, 9))
	for _, c := range channels {
		wantDepth(t, c, 9)
		wantBodies(t, next(t, c, 2), numbers(0, 2))
		wantDepth(t, c, 7)
		wantBodies(t, next(t, c, 100), numbers(2, 9))
		wantBodies(t, next(t, c, 100), nil)
		wantDepth(t, c, 0)
	}
}

func TestWhatIsNotFinishedComesAgainAfterARestart(t *testing.T) {
	for _, noted := range []bool{false, true} {
		o := testOptions(t, vfs.NewMem())
		s := mustOpen(t, o)
		topic, channels := mustCreate(t, s, "orders", "a")
		topic.Release()
		mustAppend(t, topic, numbered(0, 20))
		c := channels[0]
		c.Attempts(func(yield func(uint64, int, uint16)) { yield(4, 2, 7) })
		all := next(t, c, 10)
		finish(c, all[:3])
		finish(c, all[6:8])
		if noted {
			noteAll(s)
		}
		s = reopen(t, s, o)
		topic = topicNamed(t, s, "orders")
		topic.Release()
		c = topic.Channels()[0]
		wantDepth(t, c, 15)
		all = next(t, c, 100)
		wantBodies(t, all, slices.Concat(numbers(3, 6), numbers(8, 20)))
		for _, m := range all {
			if want := map[uint64]uint16{4: 7, 5: 7}[m.seq]; m.attempts != want {
				t.Errorf("message %d has %d attempts, want %d", m.seq, m.attempts, want)
			}
		}
		mustClose(t, s)
	}
}

func TestHeldMessagesAreOfTheTopic(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	topic, _ := mustCreate(t, s, "orders")
	mustAppend(t, topic, numbered(0, 5))
	if d := topic.Depth(); d != 5 {
		t.Errorf("depth is %d, want 5", d)
	}
	s = reopen(t, s, o)
	defer func() { mustClose(t, s) }()
	topic = topicNamed(t, s, "orders")
	if d := topic.Depth(); d != 5 {
		t.Errorf("depth is %d after a restart, want 5", d)
	}
	c, err := topic.CreateChannel("first")
	if err != nil {
		t.Fatal(err)
	}
	wantDepth(t, c, 0)
	topic.Release()
	wantDepth(t, c, 5)
	later, err := topic.CreateChannel("later")
	if err != nil {
		t.Fatal(err)
	}
	wantDepth(t, later, 0)
	topic.Hold()
	mustAppend(t, topic, numbered(5, 8))
	wantBodies(t, next(t, c, 100), numbers(0, 5))
	if err := topic.Empty(); err != nil {
		t.Fatal(err)
	}
	topic.Release()
	mustAppend(t, topic, numbered(8, 9))
	wantBodies(t, next(t, c, 100), numbers(8, 9))
	wantBodies(t, next(t, later, 100), numbers(8, 9))
}

func TestDeferredMessagesComeWhenTheyAreDue(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	c := channels[0]
	published := numbered(0, 3)
	published.Due = hour(2)
	mustAppend(t, topic, published, numbered(3, 5))
	wantDepth(t, c, 2)
	messages, err := c.Next(nil, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	wantBodies(t, each(messages), numbers(3, 5))
	m := messages[0]
	m.Count, m.Attempts = 1, 9
	at := hour(1)
	if err := c.Defer(m, at); err != nil {
		t.Fatal(err)
	}
	c.Finish([]Run{{5, 1}})
	for range 2 {
		if all, due := c.Deferred(hour(1)); all != 4 || due != 1 {
			t.Errorf("%d are deferred, %d due, want 4 and 1", all, due)
		}
		wantDepth(t, c, 0)
		if messages, next := due(t, c, at-1, 10); len(messages) != 0 || next > at {
			t.Errorf("%d came too early; next is %d, want %d", len(messages), next, at)
		}
		s = reopen(t, s, o)
		topic = topicNamed(t, s, "orders")
		topic.Release()
		c = topic.Channels()[0]
	}
	defer mustClose(t, s)
	messages, next := due(t, c, at, 10)
	if all := each(messages); len(all) != 1 || all[0] != (got{4, "3", 9}) || next != published.Due {
		t.Errorf("got %v, next at %d, want message 3 and %d", all, next, published.Due)
	}
	messages, _ = due(t, c, published.Due, 10)
	wantBodies(t, each(messages), numbers(0, 3))
	if _, next := due(t, c, published.Due, 10); next != 0 {
		t.Errorf("the next is at %d, want none", next)
	}
	c.Finish([]Run{{1, 4}})
	if c.deferred.live != 0 || c.lowest() != 6 {
		t.Errorf("%d entries are left, and messages from %d", c.deferred.live, c.lowest())
	}
}

func TestWhatWasAppendedBeforeFsyncWasChosenSurvivesAPowerCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := testOptions(t, fs)
	o.SegmentBytes = 1000
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, _ := mustCreate(t, s, "orders", "a")
	for i := range 50 {
		mustAppend(t, topic, numbered(i, i+1))
	}
	if err := topic.SetDurability(Fsync); err != nil {
		t.Fatal(err)
	}
	o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	s = mustOpen(t, o)
	defer mustClose(t, s)
	topic = topicNamed(t, s, "orders")
	topic.Release()
	wantBodies(t, next(t, topic.Channels()[0], 100), numbers(0, 50))
}

func TestWhatIsGivenOutOrDeferredIsUnfinished(t *testing.T) {
	s := mustOpen(t, testOptions(t, vfs.NewMem()))
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a", "b")
	want := func(n int64) {
		t.Helper()
		if got := topic.Unfinished(); got != n {
			t.Fatalf("%d messages are unfinished, want %d", got, n)
		}
	}
	a, b := channels[0], channels[1]
	mustAppend(t, topic, numbered(0, 3))
	want(3)
	topic.Release()
	want(6)
	given, err := a.Next(nil, 2, 1000)
	if err != nil {
		t.Fatal(err)
	}
	want(6)
	if err := a.Defer(Message{Batch: given[0].Batch, Count: 1}, 1); err != nil {
		t.Fatal(err)
	}
	want(6)
	taken, _ := due(t, a, 2, 1)
	want(6)
	finish(a, each(taken))
	want(5)
	finish(a, each(given))
	finish(a, next(t, a, 1))
	want(3)
	finish(b, next(t, b, 3))
	want(0)
}

// What is delivered again and again changes nothing in the store.
func TestCloseKeepsTheLastAttempts(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	attempts := uint16(1)
	channels[0].Attempts(func(yield func(uint64, int, uint16)) { yield(1, 2, attempts) })
	mustAppend(t, topic, numbered(0, 2))
	next(t, channels[0], 2)
	noteAll(s)
	attempts = 7
	s = reopen(t, s, o)
	defer mustClose(t, s)
	wantAttempts(t, s, attempts)
}

// wantAttempts reads two messages of the first channel of orders.
func wantAttempts(t *testing.T, s *Store, want uint16) {
	t.Helper()
	topic := topicNamed(t, s, "orders")
	topic.Release()
	for _, m := range next(t, topic.Channels()[0], 2) {
		if m.attempts != want {
			t.Errorf("message %s has %d attempts, want %d", m.body, m.attempts, want)
		}
	}
}

// Attempts of messages that are delivered again are noted, though nothing else changes.
func TestAKillKeepsTheAttemptsOfWhatIsRetried(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := testOptions(t, fs)
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	attempts := uint16(1)
	channels[0].Attempts(func(yield func(uint64, int, uint16)) { yield(1, 2, attempts) })
	mustAppend(t, topic, numbered(0, 2))
	next(t, channels[0], 2)
	noteAll(s)
	attempts = 3
	channels[0].Retried()
	noteAll(s)
	o.FS = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	mustClose(t, s)

	s = mustOpen(t, o)
	defer mustClose(t, s)
	wantAttempts(t, s, attempts)
}

func TestOnlyTheOwnerReadsWhatIsInAStore(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes on Windows")
	}
	dir := filepath.Join(t.TempDir(), "store")
	mustClose(t, mustOpen(t, Options{Dir: dir, Logger: slog.New(slog.DiscardHandler), NoteEvery: -1}))
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
}

// Whatever a topic is called, it is not taken for what is left of another.
func TestTopicsOfAllNamesStay(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	names := []string{"orders.new", "orders.deleted", "orders", "meta.json", "orders.tmp", ".new", ".deleted", "-", "00000001-orders"}
	for _, name := range names {
		topic, _ := mustCreate(t, s, name, "c")
		topic.Release()
		mustAppend(t, topic, batch(name))
	}
	for range 2 {
		s = reopen(t, s, o)
		for _, name := range names {
			if !slices.ContainsFunc(s.Topics(), func(topic *Topic) bool { return topic.Name() == name }) {
				t.Fatalf("topic %q is gone", name)
			}
			wantDepth(t, topicNamed(t, s, name).Channels()[0], 1)
		}
	}
	for _, name := range names {
		if err := topicNamed(t, s, name).Delete(); err != nil {
			t.Errorf("deleting topic %q: %v", name, err)
		}
	}
	s = reopen(t, s, o)
	defer mustClose(t, s)
	if left := s.Topics(); len(left) > 0 {
		t.Errorf("%d topics are left", len(left))
	}
	if there, err := Exists(o.FS, o.Dir); there || err != nil {
		t.Errorf("there is a store of deleted topics: %v, %v", there, err)
	}
}
