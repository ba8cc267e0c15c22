package diskq

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A space refuses writes that would leave less than keep bytes free on the disk,
// until what is kept may be used.
type space struct {
	keep int64
	free func() (int64, error)
	used atomic.Bool // what is kept may be

	budget atomic.Int64 // bytes that may be written before it is asked again
	until  atomic.Int64 // in nanoseconds since the Unix epoch, when it is asked again anyway

	mu sync.Mutex // one asks at a time
}

// Between two questions others may write as well, so a budget is a part of what
// is free, and soon over. What they take is no fault: then the write itself fails.
const (
	budgetShare = 4
	budgetTime  = 100 * time.Millisecond
)

// take reports whether n bytes may be written.
func (s *space) take(n int64) error {
	if s.keep == 0 || s.used.Load() {
		return nil
	}
	now := time.Now().UnixNano()
	if s.budget.Add(-n) >= 0 && now < s.until.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	free, err := s.free()
	if err != nil {
		return nil // the write will see
	}
	left := free - s.keep - n
	s.budget.Store(max(0, left/budgetShare))
	s.until.Store(now + int64(budgetTime))
	if left < 0 {
		return fmt.Errorf("%w: %d bytes are free, and %d are kept for what is in memory when the daemon stops", syscall.ENOSPC, free, s.keep)
	}
	return nil
}
