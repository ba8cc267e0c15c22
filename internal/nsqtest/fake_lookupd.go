package nsqtest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A FakeLookupd is an nsqlookupd that knows of topic t what the test says. Its
// fields are changed by Set alone once it is asked.
type FakeLookupd struct {
	URL string // of the HTTP API, once it is served

	mu       sync.Mutex
	Known    bool             // whether topic t is
	Addrs    []string         // of the topic's producers
	Hangs    bool             // answers nothing
	Status   int              // of every answer, 0 for the right one
	NoTags   bool             // as one that does not know of watches
	Watch    http.HandlerFunc // in place of the right one
	changed  chan struct{}    // closed and replaced
	requests []LookupRequest
}

// A LookupRequest is one that a FakeLookupd was asked, and when.
type LookupRequest struct {
	*http.Request
	At time.Time
}

// NewFakeLookupd returns a fake that nobody can ask yet but through Client.
func NewFakeLookupd(addrs ...string) *FakeLookupd {
	return &FakeLookupd{Known: true, Addrs: addrs, changed: make(chan struct{})}
}

// StartFakeLookupd serves a fake until the end of the test.
func StartFakeLookupd(t testing.TB, addrs ...string) *FakeLookupd {
	f := NewFakeLookupd(addrs...)
	f.Serve(t, "127.0.0.1:0")
	return f
}

// Serve serves at addr until the end of the test, or until stop is called.
func (f *FakeLookupd) Serve(t testing.TB, addr string) (stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: f}}
	server.Start()
	stop = sync.OnceFunc(func() {
		server.CloseClientConnections()
		server.Close()
	})
	t.Cleanup(stop)
	f.URL = server.URL
	return stop
}

// Set changes what the fake does, and tells those who watch.
func (f *FakeLookupd) Set(change func(f *FakeLookupd)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	close(f.changed)
	f.changed = make(chan struct{})
}

// List makes the fake list producers.
func (f *FakeLookupd) List(addrs ...string) {
	f.Set(func(f *FakeLookupd) { f.Known, f.Addrs = true, addrs })
}

// Asked returns the requests whose path ends in path.
func (f *FakeLookupd) Asked(path string) []LookupRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.requests), func(r LookupRequest) bool { return r.URL.Path != path })
}

func (f *FakeLookupd) tagLocked() string { return fmt.Sprintf("W/%q", fmt.Sprint(f.Known, f.Addrs)) }

// ServeHTTP implements http.Handler.
func (f *FakeLookupd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, LookupRequest{r, time.Now()})
	watch := r.URL.Path == "/watch"
	special := f.Watch
	if f.Hangs {
		f.mu.Unlock()
		<-r.Context().Done()
		return
	}
	if watch && f.Status == 0 && special != nil {
		f.mu.Unlock()
		special(w, r)
		return
	}
	if watch && !f.NoTags && f.Status == 0 {
		f.awaitChangeLocked(r)
	}
	defer f.mu.Unlock()
	w.Header().Set("X-NSQ-Content-Type", "nsq; version=1.0")
	if !f.NoTags {
		w.Header().Set("ETag", f.tagLocked())
	}
	switch {
	case f.Status != 0:
		w.WriteHeader(f.Status)
	case watch && f.NoTags:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"NOT_FOUND"}`)
	case r.URL.Path != "/nodes" && (!f.Known || r.URL.Query().Get("topic") != "t"):
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"TOPIC_NOT_FOUND"}`)
	default:
		json.NewEncoder(w).Encode(map[string]any{"channels": []string{}, "producers": producers(f.Addrs)})
	}
}

func (f *FakeLookupd) awaitChangeLocked(r *http.Request) {
	d, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil {
		panic(err)
	}
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	for f.tagLocked() == r.Header.Get("If-None-Match") {
		changed := f.changed
		f.mu.Unlock()
		over := false
		select {
		case <-changed:
		case <-timeout.C:
			over = true
		case <-r.Context().Done():
			over = true
		}
		f.mu.Lock()
		if over {
			return
		}
	}
}

func producers(addrs []string) []map[string]any {
	all := []map[string]any{}
	for _, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		n, _ := strconv.Atoi(port)
		all = append(all, map[string]any{"broadcast_address": host, "tcp_port": n})
	}
	return all
}

// Client returns a client that calls the fake without a network, so that a test
// can run on a fake clock.
func (f *FakeLookupd) Client() *http.Client { return &http.Client{Transport: handlerTransport{f}} }

type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
