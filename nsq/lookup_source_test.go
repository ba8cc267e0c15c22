package nsq

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestLookupRequests(t *testing.T) {
	for _, tt := range []struct {
		name, secret, path string
		send               bool
		auth, uri          string
	}{
		{"no secret", "", "", true, "", "/lookup?topic=t"},
		{"a secret", "s3cret", "/", true, "Bearer s3cret", "/lookup?topic=t"},
		{"a secret that is kept", "s3cret", "/lookup", false, "", "/lookup?topic=t"},
		{"a path of its own", "", "/find/it?x=%20&y", true, "", "/find/it?x=%20&y&topic=t"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := nsqtest.StartFakeLookupd(t)
			r := discoverer(t, func(c *Config) { c.AuthSecret, c.LookupdAuthorization = tt.secret, tt.send })
			mustConnect(t, r, f.URL+tt.path)
			path, _, _ := strings.Cut(tt.uri, "?")
			q := f.Asked(path)[0]
			if q.Method != http.MethodGet || q.RequestURI != tt.uri || q.Header.Get("Authorization") != tt.auth ||
				q.Header.Get("Accept") != "application/vnd.nsq; version=1.0" || "http://"+q.Host != f.URL {
				t.Errorf("%s %s of %s with %v", q.Method, q.RequestURI, q.Host, q.Header)
			}
		})
	}
}

// headerTransport adds a header, as a program's own client may.
type headerTransport struct{ hosts chan string }

func (h headerTransport) RoundTrip(q *http.Request) (*http.Response, error) {
	select {
	case h.hosts <- q.URL.Host:
	default:
	}
	q = q.Clone(q.Context())
	q.URL.Host = "127.0.0.1:" + q.URL.Port()
	q.Header.Set("X-Tenant", "me")
	return http.DefaultTransport.RoundTrip(q)
}

func TestLookupHTTPClient(t *testing.T) {
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	n := startLiveNSQD(t)
	f := nsqtest.StartFakeLookupd(t, n.addr)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(f.URL, "http://"))
	r := discoverer(t, nil)
	r.discovery.resolve = func(context.Context, string) ([]netip.Addr, error) {
		t.Error("a name was resolved that is up to the client")
		return nil, errors.New("no")
	}
	h := headerTransport{make(chan string, 1)}
	r.SetLookupdHttpClient(&http.Client{Transport: h})
	mustConnect(t, r, "lookup.internal:"+port)
	awaitConnected(t, r, n)
	if host := <-h.hosts; host != "lookup.internal:"+port {
		t.Errorf("the client was asked for %s", host)
	}
	if q := f.Asked("/lookup")[0]; q.Header.Get("X-Tenant") != "me" {
		t.Errorf("header %v", q.Header)
	}
	nsqtest.Eventually(t, "a watch with the client", func() bool { return len(f.Asked("/watch")) > 0 })
	if q := f.Asked("/watch")[0]; q.Header.Get("X-Tenant") != "me" {
		t.Errorf("header %v", q.Header)
	}
}

func TestLookupdOverTLS(t *testing.T) {
	n := startLiveNSQD(t)
	f := nsqtest.NewFakeLookupd(n.addr)
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	defer server.CloseClientConnections()
	r := discoverer(t, nil)
	r.SetLookupdHttpClient(server.Client())
	mustConnect(t, r, server.URL)
	awaitConnected(t, r, n)

	r = discoverer(t, nil)
	l := &callingLog{call: func() {}}
	r.SetLogger(l, LogLevelInfo)
	mustConnect(t, r, server.URL) // our own client does not know the certificate
	l.expect(t, "error querying nsqlookupd ("+server.URL+"/lookup) - tls: failed to verify certificate")
}

// An nsqlookupd may have moved to another host, which has addresses of its own.
func TestLookupdRedirects(t *testing.T) {
	n := startLiveNSQD(t)
	f := nsqtest.StartFakeLookupd(t, n.addr)
	redirect := httptest.NewServer(http.RedirectHandler(f.URL+"/lookup?topic=t", http.StatusMovedPermanently))
	defer redirect.Close()
	_, port, _ := net.SplitHostPort(redirect.Listener.Addr().String())
	r := discoverer(t, func(c *Config) { c.AuthSecret = "s3cret" })
	r.discovery.resolve = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	mustConnect(t, r, "lookup.internal:"+port)
	awaitConnected(t, r, n)
	if q := f.Asked("/lookup")[0]; q.Header.Get("Authorization") != "" {
		t.Errorf("another host was sent %s", q.Header.Get("Authorization"))
	}
}
