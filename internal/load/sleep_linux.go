package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// preciseSleeps makes the sleeps of this thread end on time, rather than within
// 50 µs. If that is refused they are only less precise.
func preciseSleeps() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// sleep is time.Sleep without its rounding to a millisecond. It may end early.
func sleep(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil) // a signal may end it early
}
