package heapfloor

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

var sink []byte

// measure returns a figure of the runtime.
func measure(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// goal returns what the heap may grow to after a collection before there is the next.
func goal() uint64 {
	runtime.GC()
	return measure("/gc/heap/goal:bytes")
}

// settle waits until the percentage follows a collection.
func settle(t *testing.T, ok func(percent uint64) bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		percent := measure("/gc/gogc:percent")
		if ok(percent) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the percentage is still %d", percent)
		}
		runtime.Gosched()
	}
}

// How often the collector runs while much flows through the heap also depends on what else
// the machine does: what is allocated while it waits for a processor lives. Here nothing
// is allocated meanwhile, and what is looked at is how much may be until it runs again.
func TestSmallHeapIsCollectedRarely(t *testing.T) {
	t.Setenv("GOGC", "")
	const floor = 32 << 20
	usual := goal()
	stop := Keep(floor)
	settle(t, func(percent uint64) bool { return percent > 400 })
	for range 20 {
		sink = make([]byte, 512<<10)
		if got := goal(); got < floor*3/4 || got > floor*5/4 {
			t.Errorf("with a floor of 32 MiB the heap may grow to %d bytes", got)
		}
	}
	stop()
	if again := goal(); usual > floor/4 || again > floor/4 {
		t.Errorf("the heap may grow to %d bytes before there is a floor, and to %d after it is gone", usual, again)
	}
}

func TestLargeHeapGrowsAsUsual(t *testing.T) {
	t.Setenv("GOGC", "")
	defer Keep(16 << 20)()
	settle(t, func(percent uint64) bool { return percent > 200 })
	alive := make([]byte, 64<<20)
	settle(t, func(percent uint64) bool { return percent == 100 })
	runtime.KeepAlive(alive)
	alive = nil
	settle(t, func(percent uint64) bool { return percent > 200 })
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
