package gcpace

import (
	"runtime"
	"testing"
	"time"
)

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 100, 1: 400, 1 << 20: 400, 9 << 20: 400, 12 << 20: 300, 16 << 20: 200, 20 << 20: 100, 24 << 20: 100, 1 << 40: 100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", live, got, want)
		}
	}
}

func TestThePaceFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	Start()
	wantGoal := func(what string, ok func(goal uint64) bool) {
		t.Helper()
		var m runtime.MemStats
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			runtime.GC()
			if runtime.ReadMemStats(&m); ok(m.NextGC) {
				return
			}
		}
		t.Errorf("%s: the next collection is at %d bytes, at %d before", what, m.NextGC, before.NextGC)
	}
	wantGoal("a small heap", func(goal uint64) bool { return goal > before.NextGC })
	large := make([]byte, 100<<20)
	wantGoal("a large one", func(goal uint64) bool { return goal < 220<<20 && goal > 200<<20 })
	runtime.KeepAlive(large)
}
