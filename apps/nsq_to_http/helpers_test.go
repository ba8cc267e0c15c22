//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// start starts the program with a topic and a broker.
func start(t *testing.T, d *nsqtest.NSQD, args ...string) *tooltest.Process {
	t.Helper()
	return tooltest.Start(t, "nsq_to_http", append(args, "-topic=t", "-nsqd-tcp-address="+d.TCPAddr())...)
}

// stop ends the program in order.
func stop(t *testing.T, p *tooltest.Process) tooltest.Result {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	r := p.End()
	if r.Code != 0 || r.Stdout != "" {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// retrySoon makes a message that failed come again at once.
var retrySoon = []string{"-consumer-opt=default_requeue_delay,1ms", "-consumer-opt=backoff_multiplier,1ms"}

// request is what a server got.
type request struct {
	method, path, rawQuery, host, body string
	query                              url.Values
	header                             http.Header
}

// server is an HTTP server that notes what it gets, and then answers 200 unless
// told otherwise. A handler may stay: it ends with the test, or with its request.
type server struct {
	*httptest.Server
	t     *testing.T
	conns atomic.Int64

	mu      sync.Mutex // what follows
	got     []request
	handler http.HandlerFunc
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, handler: func(http.ResponseWriter, *http.Request) {}}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the program was killed at the end of a test
	}
	s.mu.Lock()
	s.got = append(s.got, request{r.Method, r.URL.Path, r.URL.RawQuery, r.Host, string(body), r.URL.Query(), r.Header})
	handler := s.handler
	s.mu.Unlock()
	handler(w, r)
}

// handle sets what is done after a request was noted.
func (s *server) handle(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = h
}

// all returns the requests so far.
func (s *server) all() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[:len(s.got):len(s.got)]
}

// bodies returns how often each body has come.
func (s *server) bodies() map[string]int {
	counts := map[string]int{}
	for _, r := range s.all() {
		counts[r.body]++
	}
	return counts
}

// wait waits for n requests.
func (s *server) wait(n int) []request {
	s.t.Helper()
	nsqtest.Eventually(s.t, fmt.Sprint(n, " requests"), func() bool { return len(s.all()) >= n })
	return s.all()
}

// connections returns how many were made.
func (s *server) connections() int { return int(s.conns.Load()) }

// answer answers every request with a status.
func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// failFirst answers the first n requests with a status, and the others with 200.
func failFirst(n int64, status int) http.HandlerFunc {
	var requests atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) <= n {
			w.WriteHeader(status)
		}
	}
}

// after answers after a while, or when the client has gone.
func after(d time.Duration) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
		}
	}
}

// slow is much slower than a server that does nothing.
var slow = after(20 * time.Millisecond)

// until answers when release is closed, or when the client has gone.
func until(release <-chan struct{}) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
}

// first answers the first n requests at once, and leaves the others to then.
func first(n int64, then http.HandlerFunc) http.HandlerFunc {
	var requests atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > n {
			then(w, r)
		}
	}
}

// hang does not answer.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// numbers returns n messages.
func numbers(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("message %d", i))
	}
	return all
}

// channel returns the statistics of the program's channel.
func channel(t *testing.T, d *nsqtest.NSQD) stats.Channel {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(d.HTTPURL() + "/stats?format=json&topic=t&channel=nsq_to_http")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var snapshot stats.Stats
	if err := json.NewDecoder(resp.Body).Decode(&snapshot); err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Topics) == 0 || len(snapshot.Topics[0].Channels) == 0 {
		return stats.Channel{}
	}
	return snapshot.Topics[0].Channels[0]
}

// finished waits until the program has finished n messages.
func finished(t *testing.T, d *nsqtest.NSQD, n uint64) {
	t.Helper()
	nsqtest.Eventually(t, fmt.Sprint(n, " messages are finished"), func() bool {
		clients := channel(t, d).Clients
		return len(clients) == 1 && clients[0].Finished == n
	})
}

// drain returns what is left in the channel.
func drain(t *testing.T, d *nsqtest.NSQD) []string {
	t.Helper()
	return tooltest.Drain(t, d, "t", "nsq_to_http")
}
