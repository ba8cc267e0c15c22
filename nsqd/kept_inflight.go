package nsqd

import "math/bits"

// What a consumer has in flight of a channel with a log.

// enterKept is add for what was taken from a queue with a log, if any, after emptyings of that returned
// before. What an Empty has finished since is not in flight.
func (t *inflight) enterKept(l *channelLog, before uint64, groups []span, now, timeout int64) (arm int64) {
	arm = t.add(groups, now, timeout)
	if emptied := l.emptyings(); emptied != before {
		t.dropBefore(emptied - 1)
	}
	return arm
}

// dropBefore takes out what was given out before a number of the log.
func (t *inflight) dropBefore(end uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := t.first; i != 0; {
		f := &t.flights[i]
		next := f.next
		if f.s.isBefore(end) {
			t.n -= bits.OnesCount64(f.left)
			f.left = 0
			t.delete(i)
		}
		i = next
	}
	t.near = 0
}

// appendAttempted appends what is in flight.
func (t *inflight) appendAttempted(list []attempted) []attempted {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := t.first; i != 0; i = t.flights[i].next {
		list = t.flights[i].appendAttempted(list)
	}
	return list
}

// appendAttempted appends the messages of the group that are in flight, a run for
// those that follow each other.
func (f *flight) appendAttempted(list []attempted) []attempted {
	seq := f.s.seq()
	for left, skipped := f.left>>(f.id%groupLen), 0; left != 0; {
		gap := bits.TrailingZeros64(left)
		run := bits.TrailingZeros64(^(left >> gap))
		list = append(list, attempted{seq + uint64(skipped+gap), run, f.s.attempts})
		skipped += gap + run
		left = left >> gap >> run
	}
	return list
}
