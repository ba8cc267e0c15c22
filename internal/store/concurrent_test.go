package store

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Publishers, consumers that defer some of what they get, notes and trimming
// at the same time: each channel gets every message, and nothing is left.
func TestManyAtATimeLoseNothing(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	o.NoteEvery, o.SegmentBytes, o.TailMessages, o.window = time.Millisecond, 4096, 50, 4
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a", "b")
	const publishers, batches, each = 3, 100, 5
	var consumers, all sync.WaitGroup
	var left [2]atomic.Int64
	for i, c := range channels {
		left[i].Store(publishers * batches * each)
		ready := make(chan struct{}, 1)
		wake := func() {
			select {
			case ready <- struct{}{}:
			default:
			}
		}
		c.OnReady(wake)
		c.OnDue(wake)
		consumers.Go(func() { consume(t, c, ready, wake, &left[i]) })
	}
	topic.Release()
	for range publishers {
		all.Go(func() {
			for i := range batches {
				b := numbered(i*each, (i+1)*each)
				if i%10 == 0 {
					b.Due = time.Now().Add(time.Millisecond).UnixNano()
				}
				mustAppend(t, topic, b)
			}
		})
	}
	all.Wait()
	consumers.Wait()
	waitForTrim(t, topic, 3)
	s = reopen(t, s, o)
	defer mustClose(t, s)
	for _, c := range topicNamed(t, s, "orders").Channels() {
		wantDepth(t, c, 0)
		if all, _ := c.Deferred(0); all != 0 {
			t.Errorf("%d are deferred", all)
		}
	}
}

// waitForTrim waits until upkeep has left no more than so many segments.
func waitForTrim(t *testing.T, topic *Topic, most int) {
	t.Helper()
	late := time.After(10 * time.Second)
	for len(topic.log.Segments()) > most {
		select {
		case <-late:
			t.Fatalf("%d segments are left, want %d at most", len(topic.log.Segments()), most)
		case <-time.After(time.Millisecond):
		}
	}
}

// consume finishes messages until all have come; every seventh is deferred
// once.
func consume(t *testing.T, c *Channel, ready chan struct{}, wake func(), left *atomic.Int64) {
	for left.Load() > 0 {
		messages, err := c.Next(nil, 7, 300)
		if err != nil {
			t.Error(err)
			return
		}
		messages, at, err := c.Due(messages, time.Now().UnixNano(), 10)
		if err != nil {
			t.Error(err)
			return
		}
		for _, m := range messages {
			if m.Count == 1 && m.Seq()%7 == 0 && m.Attempts == 0 {
				m.Attempts = 1
				if err := c.Defer(m, time.Now().Add(time.Millisecond).UnixNano()); err != nil {
					t.Error(err)
				}
				continue
			}
			c.Finish([]Run{{m.Seq(), m.Count}})
			left.Add(-int64(m.Count))
		}
		switch {
		case len(messages) > 0 || left.Load() == 0:
		case at > 0:
			time.AfterFunc(time.Until(time.Unix(0, at)), wake)
			<-ready
		default:
			<-ready
		}
	}
}
