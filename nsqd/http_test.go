package nsqd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/nsqd"
)

// An api is the HTTP API of a broker inside a test. It does not follow
// redirects.
type api struct {
	tb     testing.TB
	base   string
	client *http.Client
}

func newAPI(tb testing.TB, n *nsqtest.NSQD) *api {
	a := &api{tb: tb, base: n.HTTPURL()}
	transport := &http.Transport{}
	if addr := n.RealHTTPAddr(); addr.Network() == "unix" {
		a.base = "http://unix.socket"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", addr.String())
		}
	}
	a.useTransport(transport)
	return a
}

// newSecureAPI is the API over HTTPS. A client without a certificate is none.
func newSecureAPI(tb testing.TB, n *nsqtest.NSQD, roots *x509.CertPool, client ...tls.Certificate) *api {
	a := &api{tb: tb, base: "https://" + n.RealHTTPSAddr().String()}
	a.useTransport(&http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: client},
		ForceAttemptHTTP2: true, // the server does not offer it
	})
	return a
}

func (a *api) useTransport(transport *http.Transport) {
	a.client = &http.Client{
		Transport: transport,
		Timeout:   time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	a.tb.Cleanup(transport.CloseIdleConnections)
}

// chunked is a body whose length is not announced.
type chunked struct{ io.Reader }

// try is for any goroutine. body may be nil.
func (a *api) try(method, path string, body io.Reader) (*http.Response, string, error) {
	req, err := http.NewRequest(method, a.base+path, body)
	if err != nil {
		return nil, "", err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// want does a request and compares status and body of the answer.
func (a *api) want(status int, answer, method, path, body string) {
	a.tb.Helper()
	resp, text, err := a.try(method, path, strings.NewReader(body))
	if err != nil {
		a.tb.Fatal(err)
	}
	if resp.StatusCode != status || text != answer {
		a.tb.Errorf("%s %s: %d %s, want %d %s", method, path, resp.StatusCode, text, status, answer)
	}
}

// post does a request that must be answered with 200 and nothing.
func (a *api) post(path string) {
	a.tb.Helper()
	a.want(200, "", "POST", path, "")
}

func (a *api) pub(topic, body string) {
	a.tb.Helper()
	a.want(200, "OK", "POST", "/pub?topic="+topic, body)
}

// stats returns the answer to /stats with that query, as JSON.
func (a *api) stats(query string) (s nsqd.Stats) {
	a.tb.Helper()
	_, text, err := a.try("GET", "/stats?format=json&"+query, nil)
	if err == nil {
		err = json.Unmarshal([]byte(text), &s)
	}
	if err != nil {
		a.tb.Fatal(err)
	}
	return s
}

// topics returns the names of all topics, joined by commas.
func (a *api) topics() string {
	a.tb.Helper()
	var names []string
	for _, t := range a.stats("").Topics {
		names = append(names, t.Name)
	}
	return strings.Join(names, ",")
}

// overEveryListener runs a test against a broker with each kind of listener for
// HTTP. change, which may be nil, changes its options.
func overEveryListener(t *testing.T, change func(*nsqd.Options), test func(t *testing.T, n *nsqtest.NSQD, a *api)) {
	for _, kind := range []string{"tcp", "unix", "https"} {
		t.Run(kind, func(t *testing.T) {
			opts := nsqtest.Options(t)
			if change != nil {
				change(opts)
			}
			var pair certstest.Pair
			switch kind {
			case "unix":
				dir, err := os.MkdirTemp("", "nsqd") // the path of a socket must be short
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(dir) })
				opts.TCPAddress = filepath.Join(dir, "tcp")
				opts.HTTPAddress = filepath.Join(dir, "http")
			case "https":
				pair = certstest.SelfSigned(t)
				opts.TLSCert, opts.TLSKey = pair.Write(t, t.TempDir(), "server")
				opts.HTTPSAddress = "127.0.0.1:0"
			}
			n := nsqtest.Start(t, opts)
			if kind == "https" {
				test(t, n, newSecureAPI(t, n, pair.Pool()))
				return
			}
			test(t, n, newAPI(t, n))
		})
	}
}

const (
	isText = "text/plain; charset=utf-8"
	isJSON = "application/json; charset=utf-8"
)

func TestHTTPInfo(t *testing.T) {
	overEveryListener(t, nil, func(t *testing.T, n *nsqtest.NSQD, a *api) {
		hostname, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		tcpPort, httpPort := -1, -1
		if addr, ok := n.RealTCPAddr().(*net.TCPAddr); ok {
			tcpPort = addr.Port
		}
		if addr, ok := n.RealHTTPAddr().(*net.TCPAddr); ok {
			httpPort = addr.Port
		}
		want := fmt.Sprintf(`{"version":"%s","broadcast_address":"127.0.0.1","hostname":"%s","http_port":%d,"tcp_port":%d,"start_time":%d,`+
			`"max_heartbeat_interval":60000000000,"max_output_buffer_size":65536,"max_output_buffer_timeout":30000000000,`+
			`"max_deflate_level":6,"topology_zone":"","topology_region":""}`,
			version.Binary, hostname, httpPort, tcpPort, a.stats("").StartTime)
		resp, text, err := a.try("GET", "/info", nil)
		if err != nil {
			t.Fatal(err)
		}
		if text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		if h := resp.Header; h.Get("Content-Type") != isJSON || h.Get("X-NSQ-Content-Type") != "nsq; version=1.0" {
			t.Errorf("headers %v", h)
		}
	})
}

func TestHTTPStatsFormats(t *testing.T) {
	overEveryListener(t, nil, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
		for query, want := range map[string]string{
			"":                isText,
			"?format=JSON":    isText,
			"?format=text":    isText,
			"?format=json":    isJSON,
			"?format=json&a=": isJSON,
		} {
			resp, text, err := a.try("GET", "/stats"+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			h := resp.Header
			if resp.StatusCode != 200 || h.Get("Content-Type") != want || h.Get("X-NSQ-Content-Type") != "nsq; version=1.0" {
				t.Errorf("%q: %d with headers %v, want type %s", query, resp.StatusCode, h, want)
			}
			if isPage := strings.HasPrefix(text, "nsqd v"+version.Binary+" (built w/go"); isPage != (want == isText) {
				t.Errorf("%q: %.100s", query, text)
			}
		}
	})
}
