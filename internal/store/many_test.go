package store

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

func TestAThousandTopicsShareGoroutines(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	before := runtime.NumGoroutine()
	for i := range 1000 {
		topic, _ := mustCreate(t, s, fmt.Sprint("t", i), "a")
		topic.Release()
		mustAppend(t, topic, numbered(0, 3))
		wantBodies(t, next(t, topic.Channels()[0], 1), numbers(0, 1))
		topic.rest()
	}
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	s = reopen(t, s, o)
	defer mustClose(t, s)
	for _, topic := range s.Topics() {
		topic.Release()
		wantBodies(t, next(t, topic.Channels()[0], 9), numbers(0, 3))
	}
}

func TestAHundredThousandDeferredTakeLittleMemory(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	topic, _ := mustCreate(t, s, "orders", "a")
	topic.Release()
	n := 100_000
	if raceDetector {
		n = 10_000
	}
	for i := 0; i < n; i += 100 {
		b := numbered(i, i+100)
		b.Due = hour(0) + int64(i*7919%n+1)*1e9 // in any order
		mustAppend(t, topic, b)
		if i%5000 == 0 {
			noteAll(s)
		}
	}
	s = reopen(t, s, o)
	defer func() { mustClose(t, s) }()
	topic = topicNamed(t, s, "orders")
	topic.Release()
	c := topic.Channels()[0]
	if all, due := c.Deferred(hour(1) * 2); all != int64(n) || due != int64(n) {
		t.Fatalf("%d are deferred, %d due, want %d", all, due, n)
	}
	var last int64
	for given := 0; given < n; {
		messages, _ := due(t, c, 1<<62, 500)
		if len(messages) == 0 {
			t.Fatalf("%d came, want %d", given, n)
		}
		for _, m := range messages {
			if m.Batch.Due < last {
				t.Fatal("not in the order in which they are due")
			}
			last = m.Batch.Due
			c.Finish([]Run{{m.Seq(), 1}})
		}
		given += len(messages)
		if w := len(c.deferred.window); w > 2*1024 {
			t.Fatalf("the window has %d entries", w)
		}
		if given%5000 == 0 {
			noteAll(s)
		}
	}
}

// A position is a set of numbers.
func TestPositionIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := position{floor: rapid.Uint64Range(0, 10000).Draw(t, "floor")}
		finished := make(map[uint64]bool)
		done := func(seq uint64) bool { return seq < p.floor || finished[seq] }
		first := p.floor
		for range rapid.IntRange(0, 30).Draw(t, "runs") {
			from := first + rapid.Uint64Range(0, 20000).Draw(t, "from")
			to := from + uint64(rapid.SampledFrom([]int{0, 1, 5, 64, 100, 4096, 9000}).Draw(t, "count"))
			want := uint64(0)
			for seq := from; seq < to; seq++ {
				if !done(seq) {
					want++
				}
				finished[seq] = true
			}
			if fresh := p.mark(from, to); fresh != want {
				t.Fatalf("%d were not finished, want %d", fresh, want)
			}
		}
		n := noted{name: "a", position: p}
		b, err := n.append(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseNoted(b)
		if err != nil {
			t.Fatal(err)
		}
		for seq := first; seq < first+30000; seq++ {
			want := finished[seq]
			if p.finished(seq) != want || back.position.finished(seq) != want {
				t.Fatalf("%d: %v, and %v when it is read, want %v", seq, p.finished(seq), back.position.finished(seq), want)
			}
			if clear := p.nextClear(seq, seq+1) == seq; clear == want {
				t.Fatalf("%d: clear %v", seq, clear)
			}
			if seq >= p.floor && (p.nextMarked(seq, seq+1) == seq) != want {
				t.Fatalf("%d: not marked", seq)
			}
		}
		if finished[p.floor] {
			t.Fatalf("the floor %d is finished", p.floor)
		}
	})
}

func TestANoteOfAFinishedChannelIsSmall(t *testing.T) {
	n := noted{name: "archive", position: position{floor: 5_000_000_000}}
	b, err := n.append(nil)
	if err != nil || len(b) > 20 {
		t.Errorf("it has %d bytes, %v", len(b), err)
	}
}

func FuzzParseNoted(f *testing.F) {
	n := noted{name: "archive", position: position{floor: 70}, attempts: []attempted{{80, 3, 2}}, entries: 3, sum: 9}
	n.position.mark(90, 120)
	n.position.mark(1000, 1001)
	good, err := n.append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNoted(b)
		if err != nil {
			return
		}
		if _, err := n.append(nil); err != nil {
			t.Errorf("%x was parsed, and cannot be written: %v", b, err)
		}
	})
}

func TestAllDeferredMessagesAreDueInTheEnd(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
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
	if all, due := channels[0].Deferred(math.MaxInt64); all != 20 || due != 20 {
		t.Errorf("%d are deferred and %d due in the end, want 20", all, due)
	}
	if all, due := channels[0].Deferred(hour(10)); all != 20 || due != 10 {
		t.Errorf("%d are deferred and %d due in ten hours, want 20 and 10", all, due)
	}
}
