package nsqtest

import (
	"os"
	"runtime"
	"runtime/metrics"
)

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
