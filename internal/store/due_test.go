package store

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Who counts what is due by some time reads much of the index. Nobody waits for that.
func TestNotesGoOnWhileDeferredMessagesAreCounted(t *testing.T) {
	var slow atomic.Bool
	reading, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o := testOptions(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if slow.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsRead && strings.HasSuffix(op.Path, ".sst") {
			once.Do(func() { close(reading) })
			<-goOn
		}
		return nil
	})))
	o.window = 3
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	for i := range 20 {
		b := numbered(i, i+1)
		b.Due = hour(i + 1)
		mustAppend(t, topic, b)
	}
	noteAll(s)
	if err := s.index.db.Flush(); err != nil {
		t.Fatal(err)
	}
	slow.Store(true)
	var all sync.WaitGroup
	defer all.Wait()
	defer close(goOn)
	all.Go(func() {
		if deferred, due := channels[0].Deferred(hour(10)); deferred != 20 || due != 10 {
			t.Errorf("%d are deferred and %d due, want 20 and 10", deferred, due)
		}
	})
	<-reading
	mustAppend(t, topic, numbered(100, 110))
	finish(channels[0], next(t, channels[0], 10))
	noted := make(chan struct{})
	all.Go(func() {
		noteAll(s)
		close(noted)
	})
	select {
	case <-noted:
	case <-time.After(10 * time.Second):
		t.Error("notes wait for who counts")
	}
}

// What was given out before an Empty and is deferred after it is finished, also what was taken over, whose
// numbers are far above all others.
func TestWhatIsEmptiedIsNotDeferred(t *testing.T) {
	s := mustOpen(t, testOptions(t, vfs.NewMem()))
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	c := channels[0]
	if err := c.Adopt([]Adopted{{ID: 1, Time: 1, Body: []byte("adopted")}}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, topic, batch("appended"))
	given, _ := due(t, c, hour(0), 10)
	given, err := c.Next(given, 10, 1<<20)
	if err != nil || len(given) != 2 {
		t.Fatalf("got %d messages, %v", len(given), err)
	}
	if err := c.Empty(); err != nil {
		t.Fatal(err)
	}
	for _, m := range given {
		if err := c.Defer(m, hour(1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := topic.Unfinished(); n != 0 {
		t.Errorf("%d messages are there", n)
	}
}
