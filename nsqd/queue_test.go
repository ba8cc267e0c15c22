package nsqd

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// testEnv returns what topics and channels need, with a data path of its own
// and room for memQueueSize messages in memory.
func testEnv(t testing.TB, memQueueSize int64) *env {
	opts := NewOptions()
	opts.DataPath = t.TempDir()
	opts.MemQueueSize = memQueueSize
	e := &env{opts: opts, log: slog.New(slog.DiscardHandler), start: time.Now(), changed: func() {}}
	e.scan = newQueueScan(e)
	e.durable.init(e)
	if err := e.openDisk(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.closeDisk)
	return e
}

func testQueue(t testing.TB, e *env, name string) *queue {
	q := newQueue(e, name, false, func() guid { return 0 })
	t.Cleanup(func() { q.delete() })
	return q
}

// takeAll takes until nothing is left, n messages at a time.
func takeAll(q *queue, n int) []span {
	var all []span
	for {
		if total, _ := q.depth(); total == 0 {
			return all
		}
		all, _ = q.take(all, n, 1<<20)
	}
}

// Messages leave in the order in which they came, through memory and disk, in
// portions of any size.
func TestQueueKeepsOrder(t *testing.T) {
	names := 0
	e := testEnv(t, 0)
	rapid.Check(t, func(rt *rapid.T) {
		names++
		e.opts.MemQueueSize = rapid.Int64Range(0, 8).Draw(rt, "mem-queue-size")
		q := newQueue(e, fmt.Sprint("q", names), false, nil)
		defer q.delete()
		next, expect := guid(1), guid(1)
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n := rapid.IntRange(1, 6).Draw(t, "n")
				if err := q.put(batchOf(next, slices.Repeat([]string{"x"}, n)...).all()); err != nil {
					t.Fatal(err)
				}
				next += guid(n)
			},
			"take": func(t *rapid.T) {
				n := rapid.IntRange(1, 10).Draw(t, "n")
				spans, _ := q.take(nil, n, 1<<20)
				if back := rapid.Bool().Draw(t, "put back"); back {
					q.putBack(spans)
					return
				}
				if len(spans) == 0 && next != expect {
					t.Fatalf("nothing taken, %d to %d are waiting", expect, next)
				}
				for _, s := range spans {
					for s.count > 0 {
						if m := s.pop(); m.id() != expect {
							t.Fatalf("took %d, want %d", m.id(), expect)
						}
						expect++
					}
				}
			},
			"": func(t *rapid.T) {
				if total, _ := q.depth(); total != int64(next-expect) {
					t.Fatalf("depth is %d, want %d", total, next-expect)
				}
			},
		})
	})
}

func TestPausedQueueGivesNothing(t *testing.T) {
	q := testQueue(t, testEnv(t, 1), "q")
	q.put(batchOf(1, "memory", "disk").all())
	q.pause()
	if spans, _ := q.take(nil, 10, 1<<20); len(spans) != 0 {
		t.Errorf("a paused queue gave %q", describe(spans...))
	}
	q.unpause()
	if got := describe(takeAll(q, 1)...); got != "1:memory 2:disk" {
		t.Errorf("after the pause came %q", got)
	}
}

// breakDisk takes the data path away, and returns what brings it back.
func breakDisk(t *testing.T, e *env) (mend func()) {
	dir := e.opts.DataPath
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	mend = sync.OnceFunc(func() {
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(mend)
	return mend
}

func TestFailedWriteStoresNothing(t *testing.T) {
	e := testEnv(t, 0)
	mend := breakDisk(t, e)
	q := testQueue(t, e, "q")
	err := q.put(batchOf(1, "a", "b").all())
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("put on a missing disk = %v", err)
	}
	if total, _ := q.depth(); total != 0 {
		t.Errorf("%d messages of a refused batch are in the queue", total)
	}
	if e.health.Err() == nil {
		t.Error("health does not show the failed write")
	}
	mend()
	if err := q.put(batchOf(1, "a", "b").all()); err != nil || describe(takeAll(q, 1)...) != "1:a 2:b" {
		t.Errorf("put after the disk is back = %v", err)
	}
	if err := e.health.Err(); err != nil {
		t.Errorf("health after a good write is %v", err)
	}
}

// A batch half stored would be published twice by whoever tries again.
func TestBatchIsStoredWholeOrNotAtAll(t *testing.T) {
	e := testEnv(t, 2)
	breakDisk(t, e)
	q := testQueue(t, e, "q")
	if err := q.put(batchOf(1, "a", "b", "c").all()); err != nil {
		t.Errorf("a batch that fits in part, with the disk gone: %v", err)
	}
	if err := q.put(batchOf(4, "d").all()); err == nil {
		t.Error("a batch that does not fit at all was accepted, with the disk gone")
	}
	if got := describe(takeAll(q, 2)...); got != "1:a 2:b 3:c" {
		t.Errorf("the queue held %q", got)
	}
}

func TestRequeueSurvivesAFailingDisk(t *testing.T) {
	e := testEnv(t, 0)
	breakDisk(t, e)
	q := testQueue(t, e, "q")
	if err := q.requeue(batchOf(1, "a").all()); err != nil {
		t.Fatal(err)
	}
	if got := describe(takeAll(q, 1)...); got != "1:a" {
		t.Errorf("the requeued message came back as %q", got)
	}
}

func TestEphemeralQueueDropsWhatDoesNotFit(t *testing.T) {
	for size, want := range map[int64]string{0: "1:a 2:b 3:c", 1: "1:a", 2: "1:a 2:b", 5: "1:a 2:b 3:c"} {
		q := newQueue(testEnv(t, size), "q#ephemeral", true, nil)
		if err := q.put(batchOf(1, "a", "b", "c").all()); err != nil {
			t.Errorf("mem-queue-size %d: put = %v", size, err)
		}
		if got := describe(takeAll(q, 10)...); got != want {
			t.Errorf("mem-queue-size %d kept %q, want %q", size, got, want)
		}
	}
}

func TestClosedQueueRefuses(t *testing.T) {
	q := testQueue(t, testEnv(t, 1), "q")
	q.put(batchOf(1, "a").all())
	if got := describe(q.close()...); got != "1:a" {
		t.Errorf("close returned %q", got)
	}
	for what, err := range map[string]error{
		"put":       q.put(batchOf(2, "b").all()),
		"putMemory": q.putMemory(batchOf(2, "b").all()),
		"requeue":   q.requeue(batchOf(2, "b").all()),
	} {
		if !errors.Is(err, errExiting) {
			t.Errorf("%s into a closed queue = %v", what, err)
		}
	}
	if spans, _ := q.take(nil, 1, 1<<20); len(spans) != 0 {
		t.Errorf("a closed queue gave %q", describe(spans...))
	}
}

func TestFlushedQueueComesBack(t *testing.T) {
	e := testEnv(t, 2)
	q := newQueue(e, "q", false, nil)
	q.put(batchOf(1, "a", "b", "c").all())
	again := batchOf(4, "d").all()
	again.attempts = 7
	if lost, err := q.flush(again); lost != 0 || err != nil {
		t.Fatalf("flush lost %d: %v", lost, err)
	}
	q = testQueue(t, e, "q")
	if err := q.open(); err != nil {
		t.Fatal(err)
	}
	spans := takeAll(q, 10)
	if got := describe(spans...); got != "3:c 1:a 2:b 4:d" {
		t.Errorf("came back as %q", got)
	}
	if last := spans[len(spans)-1]; last.attempts != 7 {
		t.Errorf("attempts came back as %d, want 7", last.attempts)
	}
}

// One put wakes as many takers as there is work: each passes the token on.
func TestTokenIsPassedOn(t *testing.T) {
	q := testQueue(t, testEnv(t, 10), "q")
	q.put(batchOf(1, "a", "b", "c").all())
	for _, want := range []string{"1:a", "2:b", "3:c"} {
		select {
		case <-q.ready:
		default:
			t.Fatalf("no token while %s is waiting", want)
		}
		if spans, _ := q.take(nil, 1, 1<<20); describe(spans...) != want {
			t.Errorf("took %q, want %q", describe(spans...), want)
		}
	}
	select {
	case <-q.ready:
		t.Error("a token for an empty queue")
	default:
	}
}

func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1, 200} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			q := testQueue(b, testEnv(b, 10000), "q")
			s := batchOf(1, slices.Repeat([]string{"0123456789"}, n)...).all()
			var spans []span
			b.ReportAllocs()
			for b.Loop() {
				q.put(s)
				spans, _ = q.take(spans[:0], n, 1<<20)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}

// Large messages are read from disk a few at a time, whatever came before them.
func TestTakeFromDiskKeepsToItsBytes(t *testing.T) {
	q := testQueue(t, testEnv(t, 0), "q")
	large := strings.Repeat("x", 100_000)
	for i := range guid(3) {
		q.put(batchOf(i, "small").all())
	}
	for i := range guid(60) {
		q.put(batchOf(10+i, large).all())
	}
	for {
		spans, _ := q.take(nil, 2500, 64<<10)
		if len(spans) == 0 {
			break
		}
		if len(spans) > 4 {
			t.Fatalf("one take read %d messages", len(spans))
		}
	}
	q.put(batchOf(100, large).all())
	q.put(batchOf(101, large).all())
	if spans, _ := q.take(nil, 2500, 64<<10); len(spans) != 1 {
		t.Errorf("one take read %d messages that each exceed what it may take", len(spans))
	}
}
