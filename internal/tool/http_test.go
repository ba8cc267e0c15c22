package tool

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// timeouts returns what args make of the flags' defaults.
func timeouts(t *testing.T, args ...string) *HTTPTimeouts {
	t.Helper()
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	h := HTTPTimeoutFlags(fs, 2*time.Second, 5*time.Second)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHTTPTimeoutFlags(t *testing.T) {
	for _, c := range []struct {
		args             []string
		connect, request time.Duration
		err              string
	}{
		{nil, 2 * time.Second, 5 * time.Second, ""},
		{[]string{"-http-client-connect-timeout=1ms", "-http-client-request-timeout=1h"}, time.Millisecond, time.Hour, ""},
		{[]string{"-http-client-connect-timeout=0"}, 0, 5 * time.Second, "--http-client-connect-timeout should be positive"},
		{[]string{"-http-client-request-timeout=-1s"}, 2 * time.Second, -time.Second, "--http-client-request-timeout should be positive"},
	} {
		h := timeouts(t, c.args...)
		if h.Connect != c.connect || h.Request != c.request {
			t.Errorf("%q: %+v", c.args, h)
		}
		if err := h.Check(); (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%q: %v, want %q", c.args, err, c.err)
		}
	}
}

func TestRequestsTimeOut(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))
	defer s.Close()
	h := timeouts(t, "-http-client-request-timeout=10ms")

	client := h.Client(1)
	defer client.CloseIdleConnections()
	if resp, err := client.Get(s.URL); err == nil {
		resp.Body.Close()
		t.Error("Client waits for ever")
	}
	daemons := h.Cluster()
	defer daemons.Close()
	if err := daemons.Get(t.Context(), strings.TrimPrefix(s.URL, "http://"), "/stats", nil, &struct{}{}); err == nil {
		t.Error("Cluster waits for ever")
	}
}
