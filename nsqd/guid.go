package nsqd

import "sync/atomic"

// A guid is a message id as a number: 42 bits of time, 10 bits of node, 12 bits
// of sequence, as existing programs decode it (protocol reference §6). One unit
// of time is 2^20 ns, counted from a fixed day in 2012.
type guid uint64

const (
	guidNodeBits = 10
	guidSeqBits  = 12
	guidEpoch    = 1288834974288 // units of 2^20 ns since the Unix epoch

	// maxBatch is how many ids one unit of time has, and so the most messages
	// of a batch: their ids are consecutive and must not carry into the node.
	maxBatch = 1 << guidSeqBits
)

// guidFactory gives out the ids of one topic on one node. They only grow. When
// the clock stands still, steps back or is too coarse for the load, it runs
// ahead of the clock rather than waiting for it. It is safe for concurrent use.
type guidFactory struct {
	node uint64
	next atomic.Uint64 // time<<guidSeqBits | sequence of the next id
}

// take returns the first of n consecutive ids, 1 <= n <= maxBatch. now is in
// nanoseconds since the Unix epoch.
func (f *guidFactory) take(now int64, n int) guid {
	clock := uint64(max(0, now>>20-guidEpoch)) << guidSeqBits
	for {
		old := f.next.Load()
		first := max(old, clock)
		if seq := first % maxBatch; seq+uint64(n) > maxBatch {
			first += maxBatch - seq
		}
		if f.next.CompareAndSwap(old, first+uint64(n)) {
			return guid(first>>guidSeqBits<<(guidNodeBits+guidSeqBits) | f.node<<guidSeqBits | first%maxBatch)
		}
	}
}
