package nsqadmin

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// A testAdmin is an nsqadmin inside a test, on a port of its own.
type testAdmin struct {
	*NSQAdmin
	t    testing.TB
	main chan error
}

// testOptions returns options for an nsqadmin inside a test, which asks the given
// nsqlookupds. Its log shows with the test's output when it fails.
func testOptions(tb testing.TB, lookupds ...*nsqtest.Lookupd) *Options {
	opts := NewOptions()
	opts.HTTPAddress = "127.0.0.1:0"
	opts.Logger = slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	for _, l := range lookupds {
		opts.LookupdHTTPAddresses = append(opts.LookupdHTTPAddresses, l.HTTPAddr())
	}
	return opts
}

// start runs an nsqadmin until the end of the test, and checks that it stops
// cleanly.
func start(tb testing.TB, opts *Options) *testAdmin {
	tb.Helper()
	n, err := New(opts)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return startNew(tb, n)
}

// startNew runs what New returned, like start.
func startNew(tb testing.TB, n *NSQAdmin) *testAdmin {
	a := &testAdmin{NSQAdmin: n, t: tb, main: make(chan error, 1)}
	go func() { a.main <- n.Main() }()
	tb.Cleanup(a.exit)
	return a
}

func (a *testAdmin) exit() {
	a.t.Helper()
	if err := a.Exit(); err != nil {
		a.t.Errorf("Exit: %v", err)
	}
	if err := <-a.main; err != nil {
		a.t.Errorf("Main: %v", err)
	}
}

// url returns the URL of a path.
func (a *testAdmin) url(path string) string { return "http://" + a.RealHTTPAddr().String() + path }

// do sends a request, with headers as "Name: value", and returns the answer with
// its body. Redirects are not followed.
func (a *testAdmin) do(method, path, body string, headers ...string) (*http.Response, string) {
	a.t.Helper()
	req, err := http.NewRequest(method, a.url(path), strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(answer)
}

// want expects an answer with this status and body.
func (a *testAdmin) want(status int, body, method, path, sent string, headers ...string) {
	a.t.Helper()
	resp, got := a.do(method, path, sent, headers...)
	if resp.StatusCode != status || got != body {
		a.t.Errorf("%s %s: %d %s, want %d %s", method, path, resp.StatusCode, got, status, body)
	}
}

// get returns the body of a page that must be there.
func (a *testAdmin) get(path string, headers ...string) string {
	a.t.Helper()
	resp, body := a.do("GET", path, "", headers...)
	if resp.StatusCode != http.StatusOK {
		a.t.Errorf("GET %s: %d %s", path, resp.StatusCode, body)
	}
	return body
}
