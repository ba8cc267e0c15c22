// Package heapfloor keeps the garbage collector from running hundreds of times per
// second in a program whose heap is small but through which much flows.
//
// The collector lets the heap grow to twice what was alive after the last cycle,
// and to 4 MiB at least. A broker that keeps up with its producers keeps next to
// nothing alive, so every 4 MiB of messages cost a cycle, whose fixed costs
// (stacks, roots, sweeping, waking of threads) are then a quarter of all CPU.
package heapfloor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// A floor keeps the percentage of the collector at what makes the heap grow to so
// many bytes, but never below the usual one.
type floor struct {
	bytes uint64

	mu      sync.Mutex // what follows
	percent int        // in force
	stopped bool
}

const usualPercent = 100

// Keep has the collector wait until the heap has so many bytes, where twice what
// is alive is less, until stop is called. It leaves everything as it is where the
// environment sets GOGC. A limit by GOMEMLIMIT goes before. One can keep a floor at
// a time.
func Keep(bytes uint64) (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	f := &floor{bytes: bytes, percent: usualPercent}
	f.follow()
	return f.stop
}

// A cycle is garbage, so that its cleanup tells that a collection has ended.
type cycle struct{ _ *cycle }

// follow sets the percentage now and after each collection.
func (f *floor) follow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return
	}
	// Each change stops the world for a moment, so small ones are left out.
	if want := f.percentFor(liveHeap()); want > f.percent+f.percent/4 || want < f.percent-f.percent/4 {
		debug.SetGCPercent(want)
		f.percent = want
	}
	runtime.AddCleanup(new(cycle), (*floor).follow, f)
}

// smallestHeap is what the heap grows to before the first collection, and always
// where little is alive, with the usual percentage. Others change it in proportion.
const smallestHeap = 4 << 20

// percentFor returns how much the heap may grow, in percent of what is alive.
func (f *floor) percentFor(live uint64) int {
	most := f.bytes * usualPercent / smallestHeap
	if live < smallestHeap/2 {
		return int(most)
	}
	missing := max(f.bytes, live) - live
	return int(max(usualPercent, min(most, missing*100/live)))
}

func (f *floor) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	debug.SetGCPercent(usualPercent)
}

// liveHeap returns the bytes that the last collection found alive; little before
// the first.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
