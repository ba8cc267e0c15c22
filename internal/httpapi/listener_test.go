package httpapi

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serveTCP runs a server on a TCP port until the end of the test.
func serveTCP(t *testing.T) (s *Server, address string) {
	s = NewServer(Config{Log: slog.New(slog.DiscardHandler)})
	return s, serve(t, s)
}

// serve runs s on a TCP port until the end of the test.
func serve(t *testing.T, s *Server) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

func dialTCP(t *testing.T, address string) net.Conn {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// Whoever takes the port for that of another protocol reads what it is, also
// when the server has not read all that was sent.
func TestWrongProtocolReadsWhy(t *testing.T) {
	_, address := serveTCP(t)
	for name, sent := range map[string]string{
		"the magic":        "  V2SUB a b\n",
		"much of anything": "  V2" + strings.Repeat("x\n", 1<<18),
		"a TLS handshake":  startOfHello + "\r\n\r\n" + strings.Repeat("\x00", 1<<10),
	} {
		conn := dialTCP(t, address)
		io.WriteString(conn, sent) // may fail half-way: it was refused
		answer, err := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 400 Bad Request\r\n") || err != nil {
			t.Errorf("%s: got %.50q, %v", name, answer, err)
		}
	}
}

// halfCloser is one end of a pipe that can be closed for writing alone, as far
// as the peer does not look.
type halfCloser struct{ net.Conn }

func (halfCloser) CloseWrite() error { return nil }

// A connection that lingers for its peer ends at once when the server stops,
// and one that comes in later is of no use.
func TestAbortEndsLingering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newPipeListener()
		l := newListener(inner)
		accept := func() net.Conn {
			_, end := net.Pipe()
			go func() { inner.conns <- halfCloser{end} }()
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return conn
		}
		began := time.Now()
		accept().Close()
		if time.Since(began) == 0 {
			t.Error("the peer was given no time")
		}

		conn := accept()
		closed := make(chan error)
		go func() { closed <- conn.Close() }()
		synctest.Wait()
		began = time.Now()
		l.abort()
		<-closed
		if took := time.Since(began); took != 0 {
			t.Errorf("lingered for %v in spite of it", took)
		}
		late := accept()
		if _, err := late.Read(make([]byte, 1)); err != io.ErrClosedPipe {
			t.Errorf("a connection that comes in later can be read: %v", err)
		}
		late.Close()
		if len(l.conns) != 0 {
			t.Errorf("%d connections are still known", len(l.conns))
		}
	})
}

// A daemon may be told to stop before it serves, or just then: nobody waits, and
// the listener is closed.
func TestCloseWhileServeBegins(t *testing.T) {
	for range 3000 {
		s := NewServer(Config{Log: slog.New(slog.DiscardHandler)})
		s.V1Direct("/echo", func(*http.Request) (any, error) { return nil, nil })
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var closing sync.WaitGroup
		closing.Go(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		if err := s.Serve(l); err != nil {
			t.Errorf("Serve: %v", err)
		}
		closing.Wait()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) { // a connection may reach another that has got the port
			t.Fatalf("the listener is not closed: %v", err)
		}
	}
}
