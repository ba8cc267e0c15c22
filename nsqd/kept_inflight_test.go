package nsqd

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/store"
)

// keptOf returns a batch of a log with n messages.
func keptOf(first guid, seq uint64, n int) *batch {
	b := batchOf(first, slices.Repeat([]string{"x"}, n)...)
	b.kept = &store.Batch{First: seq, ID: uint64(first), Count: n, Payload: b.payload}
	return b
}

// What is in flight is told to the log message by message, whatever was finished or
// touched of it; what was given out before an Empty is dropped, and only that.
func TestInflightOfALog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var table inflight
		want := make(map[uint64]bool)
		first, seq := guid(1<<40), uint64(1)
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			n := rapid.IntRange(1, 150).Draw(rt, "messages")
			b := keptOf(first+guid(rapid.IntRange(0, 100).Draw(rt, "id")), seq, n)
			table.add(groupsOf(b.all()), 1, 100)
			for i := range n {
				id, finished := b.first+guid(i), seq+uint64(i)
				switch rapid.IntRange(0, 3).Draw(rt, "answer") {
				case 0:
					var runs []store.Run
					table.finish(fins(id), new(latency.Batch), &runs)
					if len(runs) != 1 || runs[0] != (store.Run{First: finished, Count: 1}) {
						rt.Fatalf("finished %d, told was %v", finished, runs)
					}
				case 1:
					table.touch(id, 50, 100, 1000)
					want[finished] = true
				default:
					want[finished] = true
				}
			}
			first, seq = first+1<<22, seq+uint64(n)
		}
		check := func(what string) {
			got := make(map[uint64]bool)
			for _, a := range table.appendAttempted(nil) {
				for i := range a.count {
					if s := a.seq + uint64(i); got[s] || !want[s] || a.attempts != 1 {
						rt.Fatalf("%s: %d is in flight at attempt %d, before: %v, expected: %v", what, s, a.attempts, got[s], want[s])
					}
					got[a.seq+uint64(i)] = true
				}
			}
			if len(got) != len(want) || table.len() != len(want) {
				rt.Fatalf("%s: %d in flight, %d told, want %d", what, table.len(), len(got), len(want))
			}
		}
		check("before")
		table.dropBefore(seq)
		want = map[uint64]bool{seq: true}
		table.add(groupsOf(keptOf(first, seq, 1).all()), 1, 100)
		table.dropBefore(seq)
		check("after an Empty")
	})
}

// A message that was taken out for REQ goes back with its time-out.
func TestPutBack(t *testing.T) {
	var table inflight
	b := keptOf(1<<40, 7, 3)
	table.add(groupsOf(b.all()), 1, 100)
	f, ok := table.removeFlight(b.first + 1)
	if !ok || f.s.seq() != 8 || f.s.attempts != 1 || table.len() != 2 {
		t.Fatalf("took %+v, %v, %d are left", f, ok, table.len())
	}
	table.putBack(f)
	if expired, _ := table.expire(nil, 100); len(expired) != 0 {
		t.Errorf("%d messages timed out early", len(expired))
	}
	if expired, _ := table.expire(nil, 101); len(expired) != 3 {
		t.Errorf("%d messages timed out, want 3", len(expired))
	}
}
