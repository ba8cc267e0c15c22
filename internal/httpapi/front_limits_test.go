package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/netlimit"
)

// A front has the same patience as net/http's server; where a deadline is not set
// anew each time, up to deadlineSlack more.
func TestFrontCutsPeersThatStall(t *testing.T) {
	one := post("/echo", "a")
	for name, c := range map[string]struct {
		send  []string      // with just under headerTimeout between them
		after time.Duration // since the last
	}{
		"nothing at all":                          {nil, headerTimeout},
		"half a head":                             {[]string{"POST /echo HTTP/1.1\r\nHos"}, headerTimeout},
		"half a head, late":                       {[]string{"", "POST /echo HTTP/1.1\r\nHos"}, time.Second},
		"half a head of another, late":            {[]string{"", "PUT /echo HTTP/1.1\r\nHos"}, time.Second},
		"half a head after a request":             {[]string{one, "POST /echo HTTP/1.1\r\nHos"}, headerTimeout},
		"half a head that comes slowly":           {[]string{one, "POST", " /e"}, time.Second},
		"half a head of another after a request":  {[]string{one, "PUT /echo HTTP/1.1\r\nHos"}, headerTimeout},
		"half a body":                             {[]string{strings.TrimSuffix(one, "a")}, bodyTimeout},
		"half a body that nobody asks for":        {[]string{strings.TrimSuffix(post("/ignore", "ab"), "b")}, bodyTimeout},
		"no further request":                      {[]string{one}, idleTimeout},
		"no further request after several":        {[]string{one, one, one}, idleTimeout},
		"no further request after a slow body":    {[]string{one, strings.TrimSuffix(one, "a"), "a"}, idleTimeout},
		"no further request after a slow head":    {[]string{one, one[:10], one[10:]}, idleTimeout},
		"no further request after one of another": {[]string{one, "GET /other HTTP/1.1\r\nHost: h\r\n\r\n"}, idleTimeout},
		"only the ends of lines after a request":  {[]string{one, "\r\n"}, idleTimeout - headerTimeout + time.Second},
	} {
		for way, add := range ways {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, nil, func(s *Server) { addEcho(s, add) })
				conn := r.dial(t)
				began := time.Now()
				var sending sync.WaitGroup
				defer sending.Wait()
				sending.Go(func() {
					for i, text := range c.send {
						if i > 0 {
							<-time.After(headerTimeout - time.Second)
						}
						began = time.Now()
						io.WriteString(conn, text)
					}
				})
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("%s, %s: the connection was not closed: %v", name, way, err)
				}
				if took := time.Since(began); took < c.after || took > c.after+deadlineSlack {
					t.Errorf("%s, %s: closed after %v, want %v", name, way, took, c.after)
				}
			})
		}
	}
}

func TestFrontCutsBodyThatTrickles(t *testing.T) {
	for path, want := range map[string]time.Duration{"/echo": maxBodyTime, "/ignore": bodyTimeout} {
		for way, add := range ways {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, nil, func(s *Server) { addEcho(s, add) })
				conn := r.dial(t)
				began := time.Now()
				var sending sync.WaitGroup
				defer sending.Wait()
				sending.Go(func() {
					_, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", path)
					for err == nil {
						<-time.After(bodyTimeout - time.Second)
						_, err = io.WriteString(conn, "x")
					}
				})
				answer, err := io.ReadAll(conn)
				if !strings.Contains(string(answer), "\r\nConnection: close\r\n") || err != nil {
					t.Errorf("%s, %s: the answer is %q, %v", path, way, answer, err)
				}
				if took := time.Since(began); took != want {
					t.Errorf("%s, %s: closed after %v, want %v", path, way, took, want)
				}
			})
		}
	}
}

func TestFrontCutsPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := start(t, nil, func(s *Server) { addEcho(s, (*Server).V1Direct) }).dial(t)
		io.WriteString(conn, post("/echo", "a"))
		<-time.After(writeTimeout + deadlineSlack + time.Second)
		if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
			t.Errorf("%d bytes were sent, the end was %v", n, err)
		}
	})
}

// readAnswer returns the body of an answer, and whether the server says that the
// connection ends with it.
func readAnswer(t *testing.T, answers *bufio.Reader) (body string, isLast bool) {
	t.Helper()
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), resp.Close
}

// Close waits for requests that run, but for nothing else.
func TestCloseOfFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, leave := make(chan struct{}), make(chan struct{})
		r := start(t, nil, func(s *Server) {
			addEcho(s, (*Server).V1Direct)
			s.V1Direct("/slow", func(*http.Request) (any, error) {
				close(entered)
				<-leave
				return "done", nil
			})
		})
		silent, begun, idle, slow := r.dial(t), r.dial(t), r.dial(t), r.dial(t)
		io.WriteString(begun, "POST /echo HTTP")
		io.WriteString(idle, post("/echo", "a"))
		readAnswer(t, bufio.NewReader(idle))
		io.WriteString(slow, post("/slow", "a"))
		<-entered

		began := time.Now()
		closed := make(chan error)
		go func() { closed <- r.Server.Close() }()
		for name, conn := range map[string]net.Conn{"silent": silent, "begun": begun, "idle": idle} {
			if n, err := conn.Read(make([]byte, 1)); n > 0 || err != io.EOF {
				t.Errorf("the connection that is %s: %v", name, err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("connections without a request were closed after %v", took)
		}
		<-time.After(stopTimeout / 2)
		close(leave)
		if body, isLast := readAnswer(t, bufio.NewReader(slow)); body != "done" || !isLast {
			t.Errorf("got %q, the last: %v", body, isLast)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != stopTimeout/2 {
			t.Errorf("Close took %v", took)
		}
	})
}

// What does not end is cut: a body that does not come, an answer that is not read.
func TestCloseOfFrontCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, func(s *Server) { addEcho(s, (*Server).V1Direct) })
		io.WriteString(r.dial(t), strings.TrimSuffix(post("/echo", "ab"), "b"))
		io.WriteString(r.dial(t), strings.TrimSuffix(post("/ignore", "ab"), "b"))
		io.WriteString(r.dial(t), post("/echo", "a"))
		synctest.Wait()
		began := time.Now()
		if err := r.Server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != stopTimeout {
			t.Errorf("Close took %v, want %v", took, stopTimeout)
		}
	})
}

// Requests that come in while Close begins are answered or cut; no client
// waits for ever.
func TestCloseOfFrontInTraffic(t *testing.T) {
	for range 20 {
		s := NewServer(Config{Log: slog.New(slog.DiscardHandler)})
		addEcho(s, (*Server).V1Direct)
		address := serve(t, s)
		var clients sync.WaitGroup
		served := make(chan struct{}, 1000)
		for i := range 8 {
			clients.Go(func() {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					return
				}
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				answers := bufio.NewReader(conn)
				for n := 0; ; n++ {
					request := post("/echo", "a")
					if (n+i)%50 == 49 {
						request = "GET /other HTTP/1.1\r\nHost: h\r\n\r\n"
					}
					if _, err := io.WriteString(conn, request); err != nil {
						return
					}
					resp, err := http.ReadResponse(answers, nil)
					if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
						t.Error("a client waits for ever")
					}
					if err != nil {
						return
					}
					_, err = io.Copy(io.Discard, resp.Body)
					if err != nil || resp.StatusCode != 200 && resp.StatusCode != 503 {
						t.Errorf("status %d, %v", resp.StatusCode, err)
					}
					select {
					case served <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 200 {
			<-served
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		clients.Wait()
	}
}

func TestFrontOutlivesPanics(t *testing.T) {
	r := start(t, nil, func(s *Server) { addEcho(s, (*Server).V1Direct) })
	conn := r.dial(t)
	answers := bufio.NewReader(conn)
	for _, want := range []string{`{"message":"INTERNAL_ERROR"}`, "||h|pipe|b"} {
		path := "/panic"
		if strings.HasSuffix(want, "b") {
			path = "/echo"
		}
		io.WriteString(conn, post(path, "b"))
		if body, _ := readAnswer(t, answers); body != want {
			t.Errorf("%s: got %q, want %q", path, body, want)
		}
	}
	if r.panics != 1 || !strings.Contains(r.log.String(), "oh dear") {
		t.Errorf("%d panics were counted, want 1: %s", r.panics, r.log)
	}
}

// A connection is idle for others' sake as soon as it has its answer, and not
// while a request runs.
func TestFrontMakesRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Config{Log: slog.New(slog.DiscardHandler)})
	addEcho(s, (*Server).V1Direct)
	entered, leave := make(chan struct{}), make(chan struct{})
	s.V1Direct("/slow", func(*http.Request) (any, error) {
		close(entered)
		<-leave
		return "done", nil
	})
	limited := netlimit.NewPool(3, "the test", slog.New(slog.DiscardHandler)).Group("HTTP", 0).Listener(l)
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(limited) })
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})

	slow := dialTCP(t, l.Addr().String())
	io.WriteString(slow, post("/slow", "a"))
	<-entered
	for i := range 10 {
		conn := dialTCP(t, l.Addr().String())
		io.WriteString(conn, post("/echo", "a"))
		if body, _ := readAnswer(t, bufio.NewReader(conn)); !strings.HasSuffix(body, "|a") {
			t.Errorf("client %d: got %q", i, body)
		}
	}
	close(leave)
	if body, _ := readAnswer(t, bufio.NewReader(slow)); body != "done" {
		t.Errorf("got %q", body)
	}
}
