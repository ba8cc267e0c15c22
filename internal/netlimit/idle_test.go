package netlimit

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// setIdle says of connection i, from 0, whether it is idle.
func (s *server) setIdle(i int, idle bool) {
	s.mu.Lock()
	c := s.conns[i].(*conn)
	s.mu.Unlock()
	c.SetIdle(idle)
}

func (s *server) closed(i int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[i].SetDeadline(time.Time{}) != nil
}

// An idle connection makes room for one that waits, if that can be served then.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(6, "the test", slog.New(slog.DiscardHandler))
		tcp, http := serve(pool.Group("TCP", 3)), serve(pool.Group("HTTP", 1))
		var dialing sync.WaitGroup
		dial := func(s *server, n int) {
			for range n {
				dialing.Go(func() { s.dial() })
			}
			synctest.Wait()
		}

		dial(http, 3)
		for _, i := range []int{1, 0, 2} {
			http.setIdle(i, true)
		}
		http.setIdle(0, true)
		http.setIdle(1, false)
		want(t, "idle ones stay while there is room", http, 3)
		dial(http, 1)
		want(t, "HTTP may not have TCP's share, but the place of an idle one", http, 4)
		for i, closed := range []bool{true, false, false, false} {
			if http.closed(i) != closed {
				t.Errorf("connection %d is closed: %v, want the one that is idle the longest", i, !closed)
			}
		}

		http.setIdle(2, false)
		dial(http, 1)
		want(t, "none is idle", http, 4)
		http.setIdle(1, true)
		want(t, "one becomes idle", http, 5)
		if !http.closed(1) {
			t.Error("it is not closed")
		}

		http.setIdle(1, true) // after its end
		dial(tcp, 5)
		want(t, "TCP has its share", tcp, 3)
		for i := range 5 {
			http.setIdle(i, true)
		}
		want(t, "TCP has all that is nobody's share", tcp, 5)
		if http.closed(4) {
			t.Error("the share of HTTP is closed, which is of no use to TCP")
		}

		tcp.limited.Close()
		http.limited.Close()
		dialing.Wait()
		if n := pool.waiting; n != 0 {
			t.Errorf("%d wait in the end", n)
		}
	})
}
