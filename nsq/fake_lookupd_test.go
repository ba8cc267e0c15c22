package nsq

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

// fakeLookupd is an nsqlookupd that knows of topic t what the test says.
type fakeLookupd struct {
	url string

	mu       sync.Mutex
	known    bool
	addrs    []string
	hangs    bool             // answers nothing
	status   int              // of every answer, 0 for the right one
	noTags   bool             // as one that does not know of watches
	watch    http.HandlerFunc // in place of the right one
	changed  chan struct{}    // closed and replaced
	requests []lookupRequest
}

type lookupRequest struct {
	*http.Request
	at time.Time
}

func newFakeLookupd(addrs ...string) *fakeLookupd {
	return &fakeLookupd{known: true, addrs: addrs, changed: make(chan struct{})}
}

// startFakeLookupd serves a fake until the end of the test.
func startFakeLookupd(t testing.TB, addrs ...string) *fakeLookupd {
	f := newFakeLookupd(addrs...)
	f.serve(t, "127.0.0.1:0")
	return f
}

// serve serves at addr until the end of the test, or until stop is called.
func (f *fakeLookupd) serve(t testing.TB, addr string) (stop func()) {
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
	f.url = server.URL
	return stop
}

// set changes what the fake does, and tells those who watch.
func (f *fakeLookupd) set(change func(f *fakeLookupd)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	close(f.changed)
	f.changed = make(chan struct{})
}

// list makes the fake list producers.
func (f *fakeLookupd) list(addrs ...string) {
	f.set(func(f *fakeLookupd) { f.known, f.addrs = true, addrs })
}

// asked returns the requests whose path ends in path.
func (f *fakeLookupd) asked(path string) []lookupRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.requests), func(r lookupRequest) bool { return r.URL.Path != path })
}

func (f *fakeLookupd) tagLocked() string { return fmt.Sprintf("W/%q", fmt.Sprint(f.known, f.addrs)) }

func (f *fakeLookupd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, lookupRequest{r, time.Now()})
	watch := r.URL.Path == "/watch"
	special := f.watch
	if f.hangs {
		f.mu.Unlock()
		<-r.Context().Done()
		return
	}
	if watch && f.status == 0 && special != nil {
		f.mu.Unlock()
		special(w, r)
		return
	}
	if watch && !f.noTags && f.status == 0 {
		f.awaitChangeLocked(r)
	}
	defer f.mu.Unlock()
	w.Header().Set("X-NSQ-Content-Type", "nsq; version=1.0")
	if !f.noTags {
		w.Header().Set("ETag", f.tagLocked())
	}
	switch {
	case f.status != 0:
		w.WriteHeader(f.status)
	case watch && f.noTags:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"NOT_FOUND"}`)
	case !f.known || r.URL.Query().Get("topic") != "t":
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"TOPIC_NOT_FOUND"}`)
	default:
		json.NewEncoder(w).Encode(map[string]any{"channels": []string{}, "producers": producers(f.addrs)})
	}
}

func (f *fakeLookupd) awaitChangeLocked(r *http.Request) {
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

// client returns a client that calls the fake without a network, so that a test
// can run on a fake clock.
func (f *fakeLookupd) client() *http.Client { return &http.Client{Transport: handlerTransport{f}} }

type handlerTransport struct{ http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}
