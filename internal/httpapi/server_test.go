package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// A pipeListener accepts connections that never leave the process, for tests
// on the fake clock.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial opens a connection that ends with the test.
func (l *pipeListener) dial(t *testing.T) net.Conn {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	l.conns <- server
	return client
}

// running is a server inside a test.
type running struct {
	*Server
	*pipeListener
	log    *loggingtest.Buffer
	panics int // read it when a request is answered
	client http.Client
}

// start runs a server with the routes that add adds, until the end of the test.
func start(t *testing.T, quiet func(*http.Request) bool, add func(*Server)) *running {
	return startWith(t, Config{Quiet: quiet}, add)
}

func startWith(t *testing.T, c Config, add func(*Server)) *running {
	r := &running{pipeListener: newPipeListener(), log: &loggingtest.Buffer{}}
	c.Log = r.log.Logger(slog.LevelInfo)
	c.OnPanic = func() { r.panics++ }
	r.Server = NewServer(c)
	add(r.Server)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := r.Serve(r.pipeListener); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return r.dial(t), nil }
	r.client = http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	t.Cleanup(func() {
		if err := r.Server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		serving.Wait()
	})
	return r
}

// do returns status, body and headers of the answer.
func (r *running) do(t *testing.T, method, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://pipe"+strings.TrimPrefix(path, "*"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if path == "*" {
		req.URL.Opaque = "*"
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

type unmarshalable struct{}

func (unmarshalable) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON today") }

func TestAnswers(t *testing.T) {
	answers := map[string]struct {
		value any
		err   error

		v1       string // status, content type and body, joined by |
		plain    string
		inTheLog string
	}{
		"nothing":           {nil, nil, "200||", "200||", ""},
		"empty text":        {"", nil, "200||", "200||", ""},
		"text":              {"<b>", nil, "200|text/plain; charset=utf-8|<b>", "200|text/plain; charset=utf-8|<b>", ""},
		"a value":           {[]int{1}, nil, "200|application/json; charset=utf-8|[1]", "200|application/json; charset=utf-8|[1]", ""},
		"JSON":              {JSON("{ }"), nil, "200|application/json; charset=utf-8|{ }", "200|application/json; charset=utf-8|{ }", ""},
		"an error for them": {nil, Error{Status: 418, Code: "TEAPOT"}, `418|application/json; charset=utf-8|{"message":"TEAPOT"}`, "418|text/plain; charset=utf-8|TEAPOT", ""},
		"a wrapped error":   {nil, fmt.Errorf("so: %w", Error{Status: 418, Code: "TEAPOT"}), `418|application/json; charset=utf-8|{"message":"TEAPOT"}`, "418|text/plain; charset=utf-8|TEAPOT", ""},
		"an error with a cause": {nil, Error{Status: 507, Code: "FULL", Err: errors.New("the cause")},
			`507|application/json; charset=utf-8|{"message":"FULL"}`, "507|text/plain; charset=utf-8|FULL", "the cause"},
		"any other error": {nil, errors.New("the secret"),
			`500|application/json; charset=utf-8|{"message":"INTERNAL_ERROR"}`, "500|text/plain; charset=utf-8|INTERNAL_ERROR", "the secret"},
		"a value that fails": {unmarshalable{}, nil,
			`500|application/json; charset=utf-8|{"message":"INTERNAL_ERROR"}`, "500|text/plain; charset=utf-8|INTERNAL_ERROR", "no JSON today"},
	}
	for name, a := range answers {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil, func(s *Server) {
				s.V1("GET", "/v1", func(*http.Request) (any, error) { return a.value, a.err })
				s.Plain("GET", "/plain", func(*http.Request) (any, error) { return a.value, a.err })
			})
			for path, want := range map[string]string{"/v1": a.v1, "/plain": a.plain} {
				resp, body := r.do(t, "GET", path)
				got := fmt.Sprintf("%d|%s|%s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
				if got != want {
					t.Errorf("%s answered %s, want %s", path, got, want)
				}
				if resp.ContentLength != int64(len(body)) {
					t.Errorf("%s: content length %d with %d bytes", path, resp.ContentLength, len(body))
				}
				version := resp.Header.Get("X-NSQ-Content-Type")
				if isV1 := path == "/v1"; isV1 != (version == "nsq; version=1.0") {
					t.Errorf("%s: X-NSQ-Content-Type is %q", path, version)
				}
			}
			if n := strings.Count(r.log.String(), "level=ERROR"); (n > 0) != (a.inTheLog != "") {
				t.Errorf("%d errors in the log: %s", n, r.log)
			}
			if !strings.Contains(r.log.String(), a.inTheLog) {
				t.Errorf("%q is not in the log: %s", a.inTheLog, r.log)
			}
		})
	}
}

// What writes itself is sent as it comes, whatever its length.
func TestStream(t *testing.T) {
	long := "[" + strings.Repeat(`"some text",`, 10_000) + "0]"
	for _, text := range []string{"[]", long} {
		r := start(t, nil, func(s *Server) {
			s.V1("GET", "/", func(*http.Request) (any, error) {
				return Stream(func(w io.Writer) error {
					_, err := io.Copy(w, iotest.OneByteReader(strings.NewReader(text)))
					return err
				}), nil
			})
		})
		resp, body := r.do(t, "GET", "/")
		if body != text || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != typeJSON || resp.Header.Get("X-NSQ-Content-Type") != version {
			t.Errorf("got %d %v %.40q of %d bytes", resp.StatusCode, resp.Header, body, len(body))
		}
		if !strings.Contains(r.log.String(), "200 GET / ") {
			t.Errorf("not in the access log: %s", r.log)
		}
	}
}

func TestTagged(t *testing.T) {
	r := start(t, nil, func(s *Server) {
		s.V1("GET", "/value", func(*http.Request) (any, error) { return Tagged{`W/"1"`, JSON("[]")}, nil })
		s.V1("GET", "/error", func(*http.Request) (any, error) {
			return Tagged{ETag: `W/"2"`}, Error{Status: 404, Code: "NOTHING"}
		})
	})
	for path, want := range map[string]string{"/value": `200 W/"1" []`, "/error": `404 W/"2" {"message":"NOTHING"}`} {
		resp, body := r.do(t, "GET", path)
		if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("ETag"), " ", body); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestQuery(t *testing.T) {
	parse := func(query string) (Query, error) {
		r, err := http.NewRequest("POST", "http://host/path?"+query, strings.NewReader("form=1"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return ParseQuery(r)
	}
	q, err := parse("a=1&a=2&empty=&flag")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "1 true", "empty": " true", "flag": " true", "form": " false"} {
		value, ok := q.Lookup(name)
		if got := fmt.Sprint(value, " ", ok); got != want {
			t.Errorf("Lookup(%s) = %s, want %s", name, got, want)
		}
	}
	if !q.Is("a", "0", "1") || q.Is("a", "2") || !q.Is("empty", "") || q.Is("absent", "") {
		t.Error("Is is wrong")
	}
	for _, malformed := range []string{"%zz", "a=1;b=2", "a=%"} {
		_, err := parse(malformed)
		if e, _ := errors.AsType[Error](err); e != (Error{Status: 400, Code: "INVALID_REQUEST"}) {
			t.Errorf("%s: %v", malformed, err)
		}
	}
}

func TestPathsMethodsAndAccessLog(t *testing.T) {
	ok := func(*http.Request) (any, error) { return "OK", nil }
	r := start(t, func(r *http.Request) bool { return r.URL.Path == "/quiet" }, func(s *Server) {
		s.V1("GET", "/known", ok)
		s.V1("POST", "/known", ok)
		s.V1("POST", "/write", ok)
		s.V1("GET", "/quiet", ok)
	})
	for request, want := range map[string]struct {
		status          int
		allow, location string
		body            string
	}{
		"GET /known":        {200, "", "", "OK"},
		"GET /known/?a=1":   {301, "", "/known?a=1", ""},
		"GET /Known?a=1":    {301, "", "/known?a=1", ""},
		"POST /WRITE/?a=1":  {307, "", "/write?a=1", ""},
		"GET /write":        {405, "OPTIONS, POST", "", `{"message":"METHOD_NOT_ALLOWED"}`},
		"DELETE /known":     {405, "GET, OPTIONS, POST", "", `{"message":"METHOD_NOT_ALLOWED"}`},
		"HEAD /known":       {405, "GET, OPTIONS, POST", "", ""},
		"OPTIONS /write":    {200, "OPTIONS, POST", "", ""},
		"OPTIONS /unknown":  {404, "", "", `{"message":"NOT_FOUND"}`},
		"GET /unknown?%zz":  {404, "", "", `{"message":"NOT_FOUND"}`},
		"GET /quiet":        {200, "", "", "OK"},
		"GET /known/deeper": {404, "", "", `{"message":"NOT_FOUND"}`},
	} {
		method, path, _ := strings.Cut(request, " ")
		resp, body := r.do(t, method, path)
		if resp.StatusCode == http.StatusMovedPermanently {
			body = "" // a line of HTML for people
		}
		if resp.StatusCode != want.status || body != want.body ||
			resp.Header.Get("Allow") != want.allow || resp.Header.Get("Location") != want.location {
			t.Errorf("%s: %d %q, Allow %q, Location %q; want %+v", request,
				resp.StatusCode, body, resp.Header.Get("Allow"), resp.Header.Get("Location"), want)
		}
		if want.status >= 400 && resp.Header.Get("X-NSQ-Content-Type") != "nsq; version=1.0" {
			t.Errorf("%s: an error without X-NSQ-Content-Type", request)
		}
		line := fmt.Sprintf("%d %s (pipe) ", want.status, request)
		if logged := strings.Contains(r.log.String(), line); logged == (path == "/quiet") {
			t.Errorf("%q in the log: %v", line, logged)
		}
	}
}

// A refusal shows although the access log leaves the request out, but cannot
// fill the log.
func TestRefusalsAreLogged(t *testing.T) {
	quiet := func(*http.Request) bool { return true }
	r := start(t, quiet, func(s *Server) {
		s.V1("GET", "/refused", func(*http.Request) (any, error) {
			return nil, Error{Status: http.StatusForbidden, Code: "UNAUTHORIZED"}
		})
		s.V1("GET", "/missing", func(*http.Request) (any, error) { return nil, Error{Status: http.StatusNotFound, Code: "NOT_FOUND"} })
	})
	for range 3 {
		r.do(t, "GET", "/refused")
		r.do(t, "GET", "/missing")
	}
	if got := strings.Count(r.log.String(), `msg="HTTP: request refused" method=GET path=/refused client=pipe code=UNAUTHORIZED`); got != 1 || strings.Contains(r.log.String(), "missing") {
		t.Errorf("%d refusals are logged, want 1 for the second: %s", got, r.log)
	}
}

func TestLogLinesAreBounded(t *testing.T) {
	var log loggingtest.Buffer
	r := start(t, nil, func(s *Server) { s.config.Log = slog.New(logging.NewHandler(&log, "[nsqd] ", slog.LevelInfo)) })
	r.do(t, "GET", "/"+strings.Repeat("x", 9000))
	for line := range strings.Lines(log.String()) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if !strings.Contains(log.String(), "404 GET /xxx") {
		t.Errorf("not logged: %s", &log)
	}
}

func TestPanicEndsOneRequestOnly(t *testing.T) {
	r := start(t, nil, func(s *Server) {
		s.V1("GET", "/panic", func(*http.Request) (any, error) { panic("oh dear") })
		s.V1("GET", "/fine", func(*http.Request) (any, error) { return "OK", nil })
		s.routes.HandlerFunc("GET", "/late", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, strings.Repeat("x", 50))
			panic("too late for a status")
		})
		s.routes.HandlerFunc("GET", "/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	})
	resp, body := r.do(t, "GET", "/panic")
	if resp.StatusCode != 500 || body != `{"message":"INTERNAL_ERROR"}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
	if r.panics != 1 {
		t.Errorf("%d panics were counted, want 1", r.panics)
	}
	for _, want := range []string{"level=ERROR", "oh dear", "server_test.go", "500 GET /panic (pipe)"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, r.log)
		}
	}
	for _, path := range []string{"/late", "/abort"} {
		resp, err := r.client.Get("http://pipe" + path)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: half an answer looks like a whole one", path)
		}
	}
	if resp, body := r.do(t, "GET", "/fine"); resp.StatusCode != 200 || body != "OK" {
		t.Errorf("after the panics: %d %s", resp.StatusCode, body)
	}
	if r.panics != 2 {
		t.Errorf("%d panics were counted, want 2: http.ErrAbortHandler is none", r.panics)
	}
}

func TestPeersThatStallAreCut(t *testing.T) {
	read := func(r *http.Request) (any, error) {
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	}
	for name, c := range map[string]struct {
		send  string
		after time.Duration
	}{
		"nothing at all":         {"", headerTimeout},
		"half a header":          {"POST /read HTTP/1.1\r\nHost: h\r\n", headerTimeout},
		"half a body":            {"POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf", bodyTimeout},
		"half a chunk":           {"POST /read HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", bodyTimeout},
		"a body nobody asks for": {"POST /ignore HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf", bodyTimeout},
		"no further request":     {"GET /ignore HTTP/1.1\r\nHost: h\r\n\r\n", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, nil, func(s *Server) {
					s.V1("POST", "/read", read)
					s.V1("POST", "/ignore", func(*http.Request) (any, error) { return nil, nil })
					s.V1("GET", "/ignore", func(*http.Request) (any, error) { return nil, nil })
				})
				began := time.Now()
				conn := r.dial(t)
				if _, err := io.WriteString(conn, c.send); err != nil {
					t.Fatal(err)
				}
				conn.SetReadDeadline(began.Add(time.Hour))
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("the connection was not closed: %v", err)
				}
				if took := time.Since(began).Round(time.Second); took != c.after {
					t.Errorf("closed after %v, want %v", took, c.after)
				}
			})
		})
	}
}

func TestSlowBodyIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, func(s *Server) {
			s.V1("POST", "/read", func(r *http.Request) (any, error) {
				body, err := io.ReadAll(r.Body)
				<-time.After(2 * bodyTimeout) // as a slow handler: the peer has sent everything and waits
				if r.Context().Err() != nil {
					t.Error("the request was given up although its peer waits")
				}
				return string(body), err
			})
		})
		conn := r.dial(t)
		io.WriteString(conn, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
		for _, b := range []byte("hello") {
			<-time.After(bodyTimeout - time.Second)
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "hello" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
	})
}

func TestBodyThatTricklesForEverIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, func(s *Server) {
			s.V1("POST", "/read", readBody)
		})
		conn := r.dial(t)
		began := time.Now()
		io.WriteString(conn, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
		var trickle sync.WaitGroup
		defer trickle.Wait()
		trickle.Go(func() {
			for _, err := conn.Write([]byte("x")); err == nil; _, err = conn.Write([]byte("x")) {
				<-time.After(bodyTimeout - time.Second)
			}
		})
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the connection was not closed: %v", err)
		}
		if took := time.Since(began).Round(time.Second); took != maxBodyTime {
			t.Errorf("closed after %v, want %v", took, maxBodyTime)
		}
	})
}

func readBody(r *http.Request) (any, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return nil, err
}

// Also what the server writes by itself has a deadline.
func TestPeerThatDoesNotReadIsCut(t *testing.T) {
	for name, request := range map[string]string{
		"an answer":     "GET /large HTTP/1.1\r\nHost: h\r\n\r\n",
		"100 Continue":  "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
		"a bad request": "GET / HTTP/1.1\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, nil, func(s *Server) {
				s.V1("GET", "/large", func(*http.Request) (any, error) { return strings.Repeat("x", 1<<20), nil })
				s.V1("POST", "/read", readBody)
			})
			conn := r.dial(t)
			io.WriteString(conn, request)
			<-time.After(writeTimeout + time.Second) // on the fake clock
			if n, err := io.Copy(io.Discard, conn); n > 0 || err != nil {
				t.Errorf("%s: %d bytes were sent, the end was %v", name, n, err)
			}
		})
	}
}

// The deadline of an answer is not that of what is written next.
func TestContinueAfterAnIdleMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := start(t, nil, func(s *Server) { s.V1("POST", "/read", readBody) }).dial(t)
		answers := bufio.NewReader(conn)
		const request = "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
		io.WriteString(conn, request+"\r\nx")
		if _, err := http.ReadResponse(answers, nil); err != nil {
			t.Fatal(err)
		}
		<-time.After(idleTimeout - time.Second)
		io.WriteString(conn, request)
		<-time.After(2 * time.Second)
		io.WriteString(conn, "Expect: 100-continue\r\n\r\n")
		for _, want := range []int{http.StatusContinue, http.StatusOK} {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil || resp.StatusCode != want {
				t.Fatalf("got %v, %v, want status %d", resp, err, want)
			}
			go conn.Write([]byte("x"))
		}
	})
}

func TestCloseWaitsForRequestsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, leave := make(chan struct{}), make(chan struct{})
		r := start(t, nil, func(s *Server) {
			s.V1("GET", "/slow", func(*http.Request) (any, error) {
				close(entered)
				<-leave
				return "done", nil
			})
		})
		silent := r.dial(t)
		conn := r.dial(t)
		io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
		<-entered

		began := time.Now()
		closed := make(chan error)
		go func() { closed <- r.Server.Close() }()
		const slow = stopTimeout / 2
		<-time.After(slow)
		select {
		case err := <-closed:
			t.Fatalf("Close returned %v while a request ran", err)
		default:
		}
		close(leave)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "done" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took > slow+answerTimeout {
			t.Errorf("Close took %v: the silent connection delayed it", took)
		}
		if _, err := silent.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the silent connection: %v", err)
		}
	})
}

// A connection may bring a request between the moment from which no handler may
// start and the moment it is closed.
func TestRequestsAreRefusedOnceClosing(t *testing.T) {
	r := start(t, nil, func(s *Server) {
		s.V1("GET", "/", func(*http.Request) (any, error) {
			t.Error("a handler runs")
			return nil, nil
		})
	})
	r.do(t, "GET", "/elsewhere") // it serves
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	if resp, body := r.do(t, "GET", "/"); resp.StatusCode != 503 || body != `{"message":"EXITING"}` {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

func TestCloseCutsWhatTakesTooLong(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: stopTimeout, time.Second / 2: time.Second / 2} {
		synctest.Test(t, func(t *testing.T) {
			r := startWith(t, Config{StopTimeout: timeout}, func(s *Server) {
				s.V1("POST", "/read", readBody)
			})
			conn := r.dial(t)
			io.WriteString(conn, "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
			synctest.Wait()
			began := time.Now()
			if err := r.Server.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("Close took %v, want %v", took, want)
			}
		})
	}
}
