//go:build unix

package main

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// A message is done with after the right answer, and comes again after any other.
func TestStatus(t *testing.T) {
	elsewhere := newServer(t)
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) }
	}
	post, get := newServer(t), newServer(t)
	for name, c := range map[string]struct {
		handler  http.HandlerFunc
		post     bool // it is the right one for POST
		get      bool
		redirect int // which status
	}{
		"200":                            {answer(200), true, true, 0},
		"201":                            {answer(201), true, false, 0},
		"202":                            {answer(202), true, false, 0},
		"204":                            {answer(204), true, false, 0},
		"299":                            {answer(299), true, false, 0},
		"a redirect to nowhere":          {answer(302), false, false, 0},
		"not modified":                   {answer(304), false, false, 0},
		"a redirect of any method":       {redirect(307), true, true, 307},
		"a redirect that makes POST GET": {redirect(303), true, true, 303},
		"400":                            {answer(400), false, false, 0},
		"404":                            {answer(404), false, false, 0},
		"429":                            {answer(429), false, false, 0},
		"500":                            {answer(500), false, false, 0},
		"503":                            {answer(503), false, false, 0},
		"nonsense":                       {rawAnswer("this is not HTTP\r\n\r\n"), false, false, 0},
		"half a header":                  {rawAnswer("HTTP/1.1 200 OK\r\nContent-Le"), false, false, 0},
		"no answer":                      {rawAnswer(""), false, false, 0},
		"a body that is cut short":       {rawAnswer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), true, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			post.handle(c.handler)
			get.handle(c.handler)
			for s, want := range map[*server]bool{post: c.post, get: c.get} {
				send := func(body string) error { return sendOnce(t, s, s == post, body) }
				if err := send("a message"); (err == nil) != want {
					t.Errorf("%s: %v", s.all()[0].method, err)
				} else if err != nil && (!strings.HasPrefix(err.Error(), s.URL) || strings.Contains(err.Error(), "message")) {
					t.Errorf("the error is %v, which should begin with the URL and have nothing of the message", err)
				}
			}
			if c.redirect == http.StatusTemporaryRedirect && elsewhere.bodies()["a message"] == 0 {
				t.Error("the message did not arrive where the redirect led")
			}
		})
	}
}

// rawAnswer answers with bytes, and hangs up.
func rawAnswer(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		nc, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(nc, bytes)
		nc.Close()
	}
}

// sendOnce sends a message to a server.
func sendOnce(t *testing.T, s *server, post bool, body string) error {
	t.Helper()
	header, err := newHeader(nil)
	if err != nil {
		t.Fatal(err)
	}
	target, err := newGetTarget(s.URL+"/?m=%s", header)
	if post {
		target, err = newPostTarget(s.URL, "text/plain", header)
	}
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return target.send(t.Context(), client, []byte(body))
}

func TestFailedMessagesComeAgain(t *testing.T) {
	closed := "http://" + nsqtest.ClosedPort(t)
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		args    []string
		logged  string // with the server's URL for URL
	}{
		"an error":               {failFirst(2, 500), nil, `URL: got status code 500`},
		"a server that hangs":    {hangFirst(2), []string{"-http-client-request-timeout=50ms"}, `URL: context deadline exceeded \(Client\.Timeout exceeded while awaiting headers\)`},
		"a server not there":     {nil, []string{"-mode=round-robin", "-post=" + closed}, closed + `: dial tcp .*`},
		"no time to connect":     {nil, []string{"-mode=all", "-http-client-connect-timeout=1ns", "-consumer-opt=max_attempts,2"}, `URL: dial tcp .*: i/o timeout`},
		"one that is hung up on": {hangUpFirst(2), nil, `URL: EOF`},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := nsqtest.Start(t, nil), newServer(t)
			if c.handler != nil {
				s.handle(c.handler)
			}
			tooltest.Publish(t, d, "t", "one")
			p := start(t, d, slices.Concat(retrySoon, []string{"-post=" + s.URL}, c.args)...)
			finished(t, d, 1)
			r := stop(t, p)
			want := strings.Replace(c.logged, "URL", s.URL, 1)
			if !regexp.MustCompile(`ERR .* \[t/nsq_to_http\] .*` + want).MatchString(r.Stderr) {
				t.Errorf("stderr does not have %s:\n%s", want, r.Stderr)
			}
			if c := channel(t, d); c.Requeues == 0 {
				t.Error("the message did not come again")
			}
		})
	}
}

// hangFirst does not answer the first n requests.
func hangFirst(n int64) http.HandlerFunc {
	fail := failFirst(n, http.StatusTeapot)
	return func(w http.ResponseWriter, r *http.Request) {
		recorder := &status{ResponseWriter: w}
		if fail(recorder, r); recorder.written {
			hang(w, r)
		}
	}
}

// hangUpFirst ends the connection of the first n requests.
func hangUpFirst(n int64) http.HandlerFunc {
	fail := failFirst(n, http.StatusTeapot)
	return func(w http.ResponseWriter, r *http.Request) {
		recorder := &status{ResponseWriter: w}
		if fail(recorder, r); recorder.written {
			panic(http.ErrAbortHandler)
		}
	}
}

// status keeps a status from being sent.
type status struct {
	http.ResponseWriter
	written bool
}

func (s *status) WriteHeader(int) { s.written = true }

// After the last attempt a message is not sent any more.
func TestMessageIsDroppedAfterFiveAttempts(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(answer(500))
	tooltest.Publish(t, d, "t", "one")
	p := start(t, d, append(slices.Clone(retrySoon), "-post="+s.URL)...)
	finished(t, d, 1)
	stop(t, p)
	if got := len(s.all()); got != 5 {
		t.Errorf("%d requests, want 5", got)
	}
}

// While a server fails, it is left alone more and more, and as soon as it works
// again everything goes on.
func TestBackoff(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(failFirst(3, 503))
	bodies := numbers(100)
	tooltest.Publish(t, d, "t", bodies...)
	p := start(t, d, "-post="+s.URL, "-n=1", "-max-in-flight=1", "-consumer-opt=default_requeue_delay,1ms", "-consumer-opt=backoff_multiplier,20ms")
	finished(t, d, uint64(len(bodies)))
	r := stop(t, p)
	for _, want := range []string{"40ms (backoff level 1)", "80ms (backoff level 2)", "160ms (backoff level 3)"} {
		if !strings.Contains(r.Stderr, "backing off for "+want) {
			t.Errorf("stderr does not say %s:\n%s", want, r.Stderr)
		}
	}
	if got := s.bodies(); len(got) != len(bodies) {
		t.Errorf("%d of %d messages arrived", len(got), len(bodies))
	}
}

// nsqd is told to wait while a server is slow, and while others are being sent, so
// no message is delivered twice.
func TestSlowServer(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(after(1300 * time.Millisecond))
	bodies := numbers(4)
	tooltest.Publish(t, d, "t", bodies...)
	p := start(t, d, "-post="+s.URL, "-n=2", "-consumer-opt=msg_timeout,1s")
	finished(t, d, uint64(len(bodies)))
	stop(t, p)
	for body, n := range s.bodies() {
		if n != 1 {
			t.Errorf("%s was sent %d times", body, n)
		}
	}
	if c := channel(t, d); c.Timeouts > 0 {
		t.Errorf("%d messages timed out", c.Timeouts)
	}
}

// Answers are read, however long, so that connections are used again, unless they
// are too long for that.
func TestAnswersAreReadWithinLimits(t *testing.T) {
	for size, few := range map[int]bool{0: true, 10_000: true, maxDrained: true, 10 << 20: false} {
		d, s := nsqtest.Start(t, nil), newServer(t)
		s.handle(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, size)) // the client may hang up
		})
		tooltest.Publish(t, d, "t", numbers(50)...)
		p := start(t, d, "-post="+s.URL, "-n=2")
		finished(t, d, 50)
		stop(t, p)
		// Two, and now and then one more for a request that comes just before
		// another's connection is free.
		if got := s.connections(); (got <= 10) != few {
			t.Errorf("answers of %d bytes: %d connections for 50 requests, two at a time", size, got)
		}
		d.Stop()
	}
}

// An answer whose end is long in coming keeps nobody waiting.
func TestAnswerWithoutAnEnd(t *testing.T) {
	for status, right := range map[int]bool{200: true, 500: false} {
		s := newServer(t)
		s.handle(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			w.(http.Flusher).Flush()
			hang(w, r)
		})
		sent := make(chan error, 1)
		go func() { sent <- sendOnce(t, s, true, "a message") }()
		if err := nsqtest.Receive(t, "the status", sent); (err == nil) != right {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A server may close a connection just when it is to be used again: that is no
// failure.
func TestConnectionClosedWhenUsedAgain(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		nc, bw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, _ = bw.ReadByte() // the next request is on its way
	})
	bodies := numbers(20)
	tooltest.Publish(t, d, "t", bodies...)
	p := start(t, d, "-post="+s.URL, "-n=1")
	finished(t, d, uint64(len(bodies)))
	r := stop(t, p)
	if c := channel(t, d); c.Requeues > 0 || len(s.bodies()) != len(bodies) {
		t.Errorf("%d of %d messages arrived, %d came again, stderr:\n%s", len(s.bodies()), len(bodies), c.Requeues, r.Stderr)
	}
}
