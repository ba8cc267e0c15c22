package nsqtest

import (
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
)

// Resources are what this process uses.
type Resources struct {
	Goroutines, Files int
	Memory            int64
}

// TakeResources returns what is used now.
func TakeResources() Resources {
	memory := MemoryInUse()
	return Resources{runtime.NumGoroutine(), OpenFiles(), memory}
}

// WaitFor waits until no more goroutines run and no more files are open than
// there were.
func (r Resources) WaitFor(t *testing.T) {
	t.Helper()
	Eventually(t, "goroutines and descriptors are back at the start's level", func() bool {
		return runtime.NumGoroutine() <= r.Goroutines && OpenFiles() <= r.Files
	})
	t.Logf("at the end %d goroutines and %d descriptors, at the start %d and %d", runtime.NumGoroutine(), OpenFiles(), r.Goroutines, r.Files)
}

// MemoryInUse returns the bytes of the heap's live objects and of stacks.
func MemoryInUse() int64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go in the first
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
}

// OpenFiles returns how many descriptors this process has, 0 where the system
// does not show them.
func OpenFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list) - 1 // without the one of the list
}
