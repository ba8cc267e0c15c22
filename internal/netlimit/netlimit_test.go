package netlimit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestBound(t *testing.T) {
	for _, tt := range []struct {
		rule       string
		max, limit int
		want       int // 0 for an error
	}{
		{"small limits keep 64", 0, 160, 96},
		{"from 512 on it is an eighth", 0, 512, 448},
		{"an eighth", 0, 1024, 896},
		{"less is asked for", 10, 1024, 10},
		{"just as many as allowed", 896, 1024, 896},
		{"more is asked for than allowed", 897, 1024, 896},
		{"the least limit", 0, 72, 8},
		{"a limit that leaves nothing", 0, 71, 0},
		{"a limit that leaves nothing, asked for less", 1, 71, 0},
	} {
		got, by, err := bound(tt.max, tt.limit)
		if got != tt.want || (err != nil) != (tt.want == 0) {
			t.Errorf("%s: bound(%d, %d) = %d by %s, %v, want %d", tt.rule, tt.max, tt.limit, got, by, err, tt.want)
		}
	}
}

func TestBoundOfThisProcess(t *testing.T) {
	n, by, err := Bound(9)
	if n != 9 || by != "--max-connections" || err != nil {
		t.Errorf("Bound(9) = %d by %s, %v", n, by, err)
	}
}

// A fakeListener hands out ends of pipes, or errors.
type fakeListener struct {
	net.Listener
	accepts chan any
	closed  chan struct{}
}

func newFakeListener() *fakeListener {
	return &fakeListener{accepts: make(chan any), closed: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case v := <-l.accepts:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error { close(l.closed); return nil }

func (l *fakeListener) dial() net.Conn {
	client, server := net.Pipe()
	select {
	case l.accepts <- server:
	case <-l.closed:
	}
	return client
}

// A server keeps what it accepts.
type server struct {
	*fakeListener
	limited net.Listener
	ended   chan error

	mu    sync.Mutex // conns
	conns []net.Conn
}

func serve(g *Group) *server {
	s := &server{fakeListener: newFakeListener(), ended: make(chan error, 1)}
	s.limited = g.Listener(s)
	go func() {
		for {
			c, err := s.limited.Accept()
			if err != nil {
				s.ended <- err
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
		}
	}()
	return s
}

// serves returns how many connections were accepted once nothing moves.
func (s *server) serves() int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// endOne closes the oldest connection, twice, which must count once.
func (s *server) endOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[0].Close()
	s.conns[0].Close()
	s.conns = s.conns[1:]
}

func want(t *testing.T, when string, s *server, n int) {
	t.Helper()
	if got := s.serves(); got != n {
		t.Errorf("%s: serves %d, want %d", when, got, n)
	}
}

func TestGroupsShareAPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		pool := NewPool(10, "the test", slog.New(slog.NewTextHandler(&log, nil)))
		tcp, http := serve(pool.Group("TCP", 5)), serve(pool.Group("HTTP", 2))

		var waiting sync.WaitGroup
		dial := func(s *server, n int) {
			for range n {
				waiting.Go(func() { s.dial() })
			}
		}
		dial(tcp, 20)
		want(t, "TCP takes its share and what is common", tcp, 8)
		dial(http, 20)
		want(t, "HTTP has its share all the same", http, 2)
		http.endOne()
		want(t, "what HTTP gives back of its share is HTTP's", tcp, 8)
		want(t, "what HTTP gives back of its share is HTTP's", http, 2)
		tcp.endOne()
		if n := tcp.serves() + http.serves(); n != 10 {
			t.Errorf("after a connection ended %d are served, want 10", n)
		}
		for range 6 {
			tcp.endOne()
			if n := tcp.serves() + http.serves(); n != 10 {
				t.Errorf("after a connection ended %d are served, want 10", n)
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines in a second, want 1:\n%s", n, &log)
		}

		// Who waits does not hold up a stop.
		tcp.limited.Close()
		http.limited.Close()
		for _, s := range []*server{tcp, http} {
			if err := <-s.ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept of a closed listener: %v", err)
			}
		}
		waiting.Wait()
	})
}

func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		pool := NewPool(10, "the test", slog.New(slog.NewTextHandler(&log, nil)))
		s := serve(pool.Group("TCP", 5))
		start := time.Now()
		tries := 0
		for time.Since(start) < 10*time.Second {
			s.accepts <- fmt.Errorf("accept: %w", syscall.EMFILE)
			tries++
		}
		synctest.Wait()
		if lines := strings.Count(log.String(), "\n"); tries > 20 || lines > 11 || lines == 0 {
			t.Errorf("%d tries and %d lines in 10 s", tries, lines)
		}
		s.dial()
		want(t, "once it passed", s, 1)

		broken := fmt.Errorf("accept: %w", syscall.EINVAL)
		s.accepts <- broken
		if err := <-s.ended; err != broken {
			t.Errorf("Accept of a broken listener: %v", err)
		}
	})
}

func TestCloseDuringBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := NewPool(10, "the test", slog.New(slog.DiscardHandler))
		s := serve(pool.Group("TCP", 5))
		for range 10 {
			s.accepts <- syscall.ENFILE
		}
		start := time.Now()
		s.limited.Close()
		if err := <-s.ended; !errors.Is(err, net.ErrClosed) || time.Since(start) != 0 {
			t.Errorf("Accept of a closed listener after %v: %v", time.Since(start), err)
		}
	})
}

func TestCloseWrite(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewPool(1, "the test", slog.New(slog.DiscardHandler)).Group("TCP", 0).Listener(inner)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("the peer reads %d bytes, %v, want EOF", n, err)
	}
	_, pipe := net.Pipe()
	if err := (&conn{Conn: pipe}).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe has no halves: %v", err)
	}
}
