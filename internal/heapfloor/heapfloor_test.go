package heapfloor

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var sink []byte

// collections returns how many there are while so many bytes flow through the heap.
func collections(bytes int) uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range bytes / (32 << 10) {
		sink = make([]byte, 32<<10)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

// settle waits until the percentage follows a collection.
func settle(t *testing.T, ok func(percent int) bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		runtime.GC()
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		if ok(percent) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the percentage is still %d", percent)
		}
		runtime.Gosched()
	}
}

func TestSmallHeapIsCollectedRarely(t *testing.T) {
	t.Setenv("GOGC", "")
	const flow = 256 << 20
	without := collections(flow)
	stop := Keep(32 << 20)
	settle(t, func(percent int) bool { return percent > 400 })
	with := collections(flow)
	stop()
	if want := uint32(flow / (32 << 20) / 2); with < want {
		t.Errorf("%d collections with a floor of 32 MiB, want at least %d", with, want)
	}
	t.Logf("%d MiB flow through: %d collections, with a floor of 32 MiB %d", flow>>20, without, with)
	if with > without/3 {
		t.Errorf("%d collections with a floor of 32 MiB, %d without", with, without)
	}
	if again := collections(flow); again < without/2 {
		t.Errorf("%d collections after the floor is gone, %d before", again, without)
	}
}

func TestLargeHeapGrowsAsUsual(t *testing.T) {
	t.Setenv("GOGC", "")
	defer Keep(16 << 20)()
	settle(t, func(percent int) bool { return percent > 200 })
	alive := make([]byte, 64<<20)
	settle(t, func(percent int) bool { return percent == 100 })
	runtime.KeepAlive(alive)
	alive = nil
	settle(t, func(percent int) bool { return percent > 200 })
}

// Who sets GOGC gets that.
func TestEnvironmentGoesFirst(t *testing.T) {
	t.Setenv("GOGC", "50")
	before := debug.SetGCPercent(50)
	defer debug.SetGCPercent(before)
	defer Keep(1 << 30)()
	runtime.GC()
	if got := debug.SetGCPercent(50); got != 50 {
		t.Errorf("the percentage is %d, want 50", got)
	}
}
