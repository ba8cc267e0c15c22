package httpapi

import (
	"sync"
	"time"
)

// failureInterval is the least time between two log lines about requests that
// failed with the same code.
const failureInterval = time.Second

// failures keeps the log readable while the same fault, as a full disk, makes
// one request after the other fail. The zero value is ready.
type failures struct {
	mu     sync.Mutex // byCode
	byCode map[string]*failureRun
}

type failureRun struct {
	next time.Time // when the next line is due
	left int       // failures without one since the last
}

// admit reports whether a failure at this time is logged, and how many before
// it were not.
func (f *failures) admit(code string, now time.Time) (left int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	run := f.byCode[code]
	if run == nil {
		if f.byCode == nil {
			f.byCode = make(map[string]*failureRun)
		}
		run = new(failureRun)
		f.byCode[code] = run
	}
	if now.Before(run.next) {
		run.left++
		return 0, false
	}
	left = run.left
	*run = failureRun{next: now.Add(failureInterval)}
	return left, true
}
