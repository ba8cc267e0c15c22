package nsqd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Several spans are stored as if each were put on its own: in order, none of them
// torn, and who puts knows which are not in the queue.
func TestPutAll(t *testing.T) {
	const all = "1:a 2:b 3:c 4:d 5:e 6:f"
	for _, test := range []struct {
		name         string
		memQueueSize int64
		broken       bool
		put          int
		want         string
	}{
		{"into memory", 10, false, 3, all},
		{"onto disk", 0, false, 3, all},
		{"into memory up to the end of a span", 3, false, 3, all},
		{"into memory up to the middle of a span", 4, false, 3, all},
		{"with the disk gone, into memory", 6, true, 3, all},
		{"with the disk gone, nothing", 0, true, 0, ""},
		{"with the disk gone, what has begun is completed", 4, true, 2, "1:a 2:b 3:c 4:d 5:e"},
		{"with the disk gone, what has not begun is left out", 3, true, 1, "1:a 2:b 3:c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := testEnv(t, test.memQueueSize)
			q := testQueue(t, e, "q")
			if test.broken {
				breakDisk(t, e)
			}
			spans := []span{batchOf(1, "a", "b", "c").all(), batchOf(4, "d", "e").all(), batchOf(6, "f").all()}
			put, err := q.putAll(spans)
			if put != test.put || (err != nil) != (put < len(spans)) {
				t.Errorf("putAll = %d, %v, want %d", put, err, test.put)
			}
			if got := describe(takeAll(q, 2)...); got != test.want {
				t.Errorf("the queue held %q, want %q", got, test.want)
			}
			if got := describe(spans...); got != all {
				t.Errorf("the caller's spans became %q", got)
			}
		})
	}
}

// What is more than one write is written in several, spans cut where they may be.
func TestPutAllOfMoreThanOneWrite(t *testing.T) {
	q := testQueue(t, testEnv(t, 1), "q")
	large := strings.Repeat("x", spillBytes/4)
	var spans []span
	for i := range guid(10) {
		spans = append(spans, batchOf(1+3*i, large, "x", large).all())
	}
	if put, err := q.putAll(spans); put != len(spans) || err != nil {
		t.Fatalf("putAll = %d, %v", put, err)
	}
	next := guid(1)
	for _, s := range takeAll(q, 7) {
		for ; s.count > 0; next++ {
			if m := s.pop(); m.id() != next {
				t.Fatalf("took %d, want %d", m.id(), next)
			}
		}
	}
	if next != 31 {
		t.Errorf("%d messages came back, want 30", next-1)
	}
}

// A round of the pump may hold both; each has its way, and a channel that is being
// deleted takes neither.
func TestChannelTakesDeferredAmongOthers(t *testing.T) {
	e := testEnv(t, 10)
	ch := newChannel(newTopic(e, "t", nil), "c", nil)
	t.Cleanup(func() { ch.queue.delete() })
	later := batchOf(3, "later", "later").all()
	later.b.deferral = time.Hour
	spans := []span{batchOf(1, "a", "b").all(), later, batchOf(5, "c").all()}
	if taken, err := ch.put(spans); taken != 3 || err != nil {
		t.Errorf("put = %d, %v", taken, err)
	}
	if got := describe(takeAll(ch.queue, 10)...); got != "1:a 2:b 5:c" || ch.deferred.len() != 2 {
		t.Errorf("%q are queued and %d deferred", got, ch.deferred.len())
	}
	if n := ch.messages.Load(); n != 5 {
		t.Errorf("%d messages are counted, want 5", n)
	}
	ch.queue.close()
	if taken, err := ch.put(spans); taken != 0 || !errors.Is(err, errExiting) {
		t.Errorf("put into a closed channel = %d, %v", taken, err)
	}
	if n := ch.messages.Load(); n != 5 {
		t.Errorf("%d messages are counted in the end, want 5", n)
	}
}

// Of a round that a channel could take in part it gets the rest when it can, and
// the others get nothing twice.
func TestFailingChannelGetsTheRestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := testEnv(t, 3)
		tp := newTopic(e, "t", nil)
		var chans []*channel
		for _, name := range []string{"a", "bad", "c"} {
			ch, err := tp.channel(name)
			if err != nil {
				t.Fatal(err)
			}
			chans = append(chans, ch)
		}
		inTheWay := filepath.Join(e.opts.DataPath, "t:bad.diskqueue.000000.dat")
		if err := os.Mkdir(inTheWay, 0o700); err != nil {
			t.Fatal(err)
		}
		tp.setPaused(true)
		tp.run()
		var want []string
		for i := range guid(maxLent) {
			b := batchOf(1+2*i, "x", "y")
			want = append(want, describe(b.all()))
			if err := tp.queue.putMemory(b.all()); err != nil { // so that all are of one round
				t.Fatal(err)
			}
		}
		tp.setPaused(false)
		<-time.After(time.Second)
		if n := chans[1].messages.Load(); n != maxLent {
			t.Errorf("with its disk gone the channel has %d messages, want %d", n, maxLent)
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		for _, ch := range chans {
			if got := describe(takeAll(ch.queue, 3)...); got != strings.Join(want, " ") {
				t.Errorf("channel %s held %q", ch.name, got)
			}
			if n := ch.messages.Load(); n != 2*maxLent {
				t.Errorf("channel %s counts %d messages, want %d", ch.name, n, 2*maxLent)
			}
		}
		if err := tp.flush(); err != nil {
			t.Error(err)
		}
	})
}
