package nsqd

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A slowConn takes every write, one after another, in a while. It keeps write
// deadlines as a connection does.
type slowConn struct {
	net.Conn
	takes  time.Duration
	turn   chan struct{}
	cancel chan struct{} // replaced with every deadline, and closed then

	mu       sync.Mutex // deadline, cancel
	deadline time.Time
}

func (c *slowConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.cancel)
	c.cancel, c.deadline = make(chan struct{}), t
	return nil
}

func (c *slowConn) Write(b []byte) (int, error) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	taken := time.After(c.takes)
	for {
		c.mu.Lock()
		deadline, changed := c.deadline, c.cancel
		c.mu.Unlock()
		select {
		case <-taken:
			return len(b), nil
		case <-time.After(time.Until(deadline)):
			return 0, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// writers has two goroutines write to a peer that takes each write within the
// given time, at a heartbeat of a second, and returns when the first failed.
func writers(takes, patience time.Duration) (failed time.Duration) {
	e := &env{opts: NewOptions(), start: time.Now()}
	conn := &slowConn{takes: takes, turn: make(chan struct{}, 1), cancel: make(chan struct{})}
	c := &client{env: e, conn: conn, top: conn, ctx: context.Background(), writing: make(chan struct{}, 1)}
	c.settings.Store(&settings{heartbeat: time.Second})
	var wg sync.WaitGroup
	var once sync.Once
	for range 2 {
		wg.Go(func() {
			for time.Since(e.start) < patience {
				if c.write([]byte("x")) != nil {
					once.Do(func() { failed = time.Since(e.start) })
					return
				}
			}
		})
	}
	wg.Wait()
	return failed
}

func TestBusyWritersAreNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if failed := writers(20*time.Millisecond, time.Minute); failed != 0 {
			t.Errorf("a write to a peer that takes everything failed after %v", failed)
		}
	})
}

// A write that waits behind another and then for the peer is within a heartbeat
// and a quarter, time and again.
func TestEveryWriteHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if failed := writers(550*time.Millisecond, time.Minute); failed != 0 {
			t.Errorf("with a peer that takes every write in time, one failed after %v", failed)
		}
	})
}

func TestWaitingWritesDoNotPutTheDeadlineOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if failed := writers(time.Hour, time.Minute); failed != 1250*time.Millisecond {
			t.Errorf("a write that nobody takes failed after %v, want 1.25s", failed)
		}
	})
}
