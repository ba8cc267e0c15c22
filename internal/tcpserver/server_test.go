package tcpserver

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
)

// pipes is a listener for the other ends of pipes.
type pipes struct {
	conns  chan net.Conn
	broken chan error
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.broken:
		return nil, err
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4150} }

func (p *pipes) Close() error {
	err := net.ErrClosed
	p.once.Do(func() { close(p.closed); err = nil })
	return err
}

// running is a server in a bubble.
type running struct {
	*Server
	pipes  *pipes
	log    strings.Builder // read it when nothing runs
	panics atomic.Int32
	served chan error // what Serve returned
}

// start runs a server whose peers say "MAGC".
func start(t *testing.T, handle func(net.Conn)) *running {
	r := &running{
		pipes:  &pipes{conns: make(chan net.Conn), broken: make(chan error), closed: make(chan struct{})},
		served: make(chan error, 1),
	}
	r.Server = New(r.pipes, Config{
		Log:      slog.New(logging.NewHandler(&r.log, "", slog.LevelDebug)),
		Magic:    "MAGC",
		BadMagic: []byte("bad magic"),
		Handle:   handle,
		OnPanic:  func() { r.panics.Add(1) },
	})
	go func() { r.served <- r.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		r.Stop()
	})
	return r
}

// dial connects and says something.
func (r *running) dial(t *testing.T, words string) net.Conn {
	t.Helper()
	peer, conn := net.Pipe()
	t.Cleanup(func() { peer.Close() })
	r.pipes.conns <- conn
	if words == "" {
		return peer
	}
	if _, err := io.WriteString(peer, words); err != nil {
		t.Fatal(err)
	}
	return peer
}

func echo(conn net.Conn) { io.Copy(conn, conn) }

// answer returns all that the server sends until it closes.
func answer(t *testing.T, peer net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(peer)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func TestHandlersStartAfterTheMagic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, echo)
		peer := r.dial(t, "MAG")
		<-time.After(magicTimeout - 1)
		if _, err := io.WriteString(peer, "C"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour) // the limit is over with the magic
		if _, err := io.WriteString(peer, "hello"); err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 5)
		if _, err := io.ReadFull(peer, text); err != nil || string(text) != "hello" {
			t.Errorf("got %q, %v", text, err)
		}
	})
}

func TestPeersWithoutTheMagicAreClosed(t *testing.T) {
	for name, c := range map[string]struct {
		words, want string
		after       time.Duration
		logged      string
	}{
		"silent":      {"", "", magicTimeout, "TCP: connection ended before the protocol magic client=pipe error="},
		"half of it":  {"MAG", "", magicTimeout, "TCP: connection ended before the protocol magic client=pipe error="},
		"another one": {"GET\n", "bad magic", 0, `WARNING: CLIENT(pipe): bad protocol magic 'GET\u000a'` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, func(net.Conn) { t.Error("is handled") })
				began := time.Now()
				peer := r.dial(t, c.words)
				if got := answer(t, peer); got != c.want || time.Since(began) != c.after {
					t.Errorf("got %q after %v, want %q after %v", got, time.Since(began), c.want, c.after)
				}
				synctest.Wait()
				if !strings.Contains(r.log.String(), c.logged) {
					t.Errorf("logged %s, want %s", r.log.String(), c.logged)
				}
			})
		})
	}
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(conn net.Conn) {
			word := make([]byte, 1)
			if io.ReadFull(conn, word); word[0] == '!' {
				panic("ouch")
			}
			conn.Write(word)
		})
		other := r.dial(t, "MAGC")
		if got := answer(t, r.dial(t, "MAGC!")); got != "" {
			t.Errorf("the one that panics sent %q", got)
		}
		io.WriteString(other, "x")
		if got := answer(t, other); got != "x" {
			t.Errorf("the other one sent %q", got)
		}
		synctest.Wait()
		if text := r.log.String(); r.panics.Load() != 1 || !strings.Contains(text, "ERROR: TCP: panic, the connection is closed client=pipe panic=ouch stack=") {
			t.Errorf("%d panics counted, logged %s", r.panics.Load(), text)
		}
	})
}

func TestStopWaitsForNoPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		r := start(t, func(conn net.Conn) {
			echo(conn)
			ended.Add(1)
		})
		peers := []net.Conn{r.dial(t, ""), r.dial(t, "MA"), r.dial(t, "MAGC"), r.dial(t, "MAGChalf")}
		synctest.Wait()
		began := time.Now()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := <-r.served; err != nil {
			t.Errorf("Serve returned %v", err)
		}
		synctest.Wait()
		if ended.Load() != 0 {
			t.Error("Close ended connections")
		}
		r.Stop()
		if took := time.Since(began); took != 0 || ended.Load() != 2 {
			t.Errorf("after %v %d handlers have ended, want both at once", took, ended.Load())
		}
		for _, p := range peers {
			if _, err := p.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("a connection is still there: %v", err)
			}
		}
	})
}

// Accept may have returned a connection just when Stop began.
func TestWhatIsAcceptedAfterAStopIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, func(net.Conn) { t.Error("is handled") })
		r.Stop()
		if got := answer(t, r.dial(t, "")); got != "" {
			t.Errorf("the server sent %q", got)
		}
	})
}

func TestABrokenListenerIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, echo)
		want := errors.New("broken")
		r.pipes.broken <- want
		if err := <-r.served; !errors.Is(err, want) {
			t.Errorf("Serve returned %v, want %v", err, want)
		}
		if text := r.log.String(); !strings.HasSuffix(text, " INFO: TCP: listening on 127.0.0.1:4150\n") {
			t.Errorf("logged %q", text)
		}
	})
}
