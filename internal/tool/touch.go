package tool

import (
	"sync"
	"time"
)

// KeepTouched calls touch whenever half of a message's time-out has passed, until
// stop is called: nsqd then does not take the message, which needs long, for lost.
// A time-out of 0 is not known: touch is never called.
//
// What touch does may still be under way when stop returns, and should not wait.
func KeepTouched(timeout time.Duration, touch func()) (stop func()) {
	if timeout <= 0 {
		return func() {}
	}
	k := &keeper{pause: max(1, timeout/2), touch: touch}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer = time.AfterFunc(k.pause, k.onTimer)
	return k.stop
}

// keeper touches a message.
type keeper struct {
	pause time.Duration
	touch func()

	mu      sync.Mutex // what follows
	timer   *time.Timer
	stopped bool
}

func (k *keeper) onTimer() {
	k.touch()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stopped {
		k.timer.Reset(k.pause)
	}
}

func (k *keeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	k.timer.Stop()
}
