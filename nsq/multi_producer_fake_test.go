package nsq

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// storeNSQD is an nsqd that keeps what is published to it, for as long as the test
// wants it to.
type storeNSQD struct {
	addr string

	mu      sync.Mutex
	hangs   chan struct{} // closed when it goes on; nil while it does not hang
	refuses string        // the error frame in place of every answer
	takes   time.Duration // for each message
	got     []string      // the bodies that were answered
	refused int           // how often it refused
	dead    bool
	conns   []net.Conn
	ln      net.Listener
	serving sync.WaitGroup
}

func startStores(t testing.TB, n int) (stores []*storeNSQD, addrs []string) {
	t.Helper()
	for range n {
		s := startStore(t, "127.0.0.1:0")
		stores, addrs = append(stores, s), append(addrs, s.addr)
	}
	return stores, addrs
}

func startStore(t testing.TB, addr string) *storeNSQD {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &storeNSQD{addr: ln.Addr().String(), ln: ln}
	s.serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			if s.conns = append(s.conns, nc); s.dead {
				nc.Close()
			} else {
				s.serving.Go(func() { s.serve(nsqtest.NewFakeConn(t, nc)) })
			}
			s.mu.Unlock()
		}
	})
	t.Cleanup(s.kill)
	return s
}

// kill ends the nsqd as a signal would: what it has not answered is lost.
func (s *storeNSQD) kill() {
	s.mu.Lock()
	s.dead = true
	s.ln.Close()
	for _, nc := range s.conns {
		nc.(*net.TCPConn).SetLinger(0)
		nc.Close()
	}
	s.mu.Unlock()
	s.goOn()
	s.serving.Wait()
}

// hang makes it answer nothing until goOn.
func (s *storeNSQD) hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs == nil && !s.dead {
		s.hangs = make(chan struct{})
	}
}

func (s *storeNSQD) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs != nil {
		close(s.hangs)
		s.hangs = nil
	}
}

func (s *storeNSQD) set(change func(s *storeNSQD)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *storeNSQD) serve(c *nsqtest.FakeConn) {
	defer c.Conn.Close()
	if _, err := c.Reader.Discard(len(wire.MagicV2)); err != nil {
		return
	}
	for {
		line, body, err := c.Read()
		if err != nil {
			return
		}
		frameType, reply := wire.FrameResponse, wire.OK
		switch name, _, _ := strings.Cut(line, " "); name {
		case "IDENTIFY":
			reply = `{"max_rdy_count":2500}`
		case "PUB", "MPUB", "DPUB":
			if failure := s.store(string(body)); failure != "" {
				frameType, reply = wire.FrameError, failure
			}
		default:
			continue
		}
		_, err = c.Conn.Write(wire.AppendFrame(nil, frameType, reply))
		if err != nil || frameType == wire.FrameError {
			return
		}
	}
}

// store returns the error frame with which it refuses the message, if it does.
func (s *storeNSQD) store(body string) (failure string) {
	s.mu.Lock()
	hangs, takes := s.hangs, s.takes
	s.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	if takes > 0 {
		<-time.After(takes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses != "" {
		s.refused++
		return s.refuses
	}
	s.got = append(s.got, body)
	return ""
}

// bodies returns what was published to it.
func (s *storeNSQD) bodies() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// storedBy returns how many times each body was kept, by all stores together.
func storedBy(stores ...*storeNSQD) map[string]int {
	times := map[string]int{}
	for _, s := range stores {
		for _, body := range s.bodies() {
			times[body]++
		}
	}
	return times
}

func newTestMulti(t testing.TB, addrs []string, change func(*Config)) *MultiProducer {
	t.Helper()
	cfg := NewConfig()
	if change != nil {
		change(cfg)
	}
	p, err := NewMultiProducer(addrs, cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(testLog{t}, LogLevelDebug)
	t.Cleanup(p.Stop)
	return p
}

// connectedTo waits until p is connected to exactly these nsqds, and publishes to no
// others.
func (p *MultiProducer) connectedTo(t testing.TB, addrs ...string) {
	t.Helper()
	addrs = slices.Sorted(slices.Values(addrs))
	nsqtest.Eventually(t, "connected to "+strings.Join(addrs, ", "), func() bool {
		var connected []string
		for _, m := range *p.members.Load() {
			if _, ok := m.producer.load(); !ok {
				return false
			}
			connected = append(connected, m.addr)
		}
		slices.Sort(connected)
		return slices.Equal(connected, addrs)
	})
}
