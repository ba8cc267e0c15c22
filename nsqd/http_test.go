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
	"github.com/seed893f581e/nsq/internal/httpapi/httpapitest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
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
	if addr := n.RealHTTPAddr(); addr.Network() == "unix" {
		return newSocketAPI(tb, addr.String())
	}
	a := &api{tb: tb, base: n.HTTPURL()}
	a.useTransport(&http.Transport{})
	return a
}

// newSocketAPI is the API on a unix socket.
func newSocketAPI(tb testing.TB, path string) *api {
	a := &api{tb: tb, base: "http://unix.socket"}
	a.useTransport(&http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	})
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
func (a *api) stats(query string) (s stats.Stats) {
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

// statsOf says which topics and channels there are, and which are paused, with a star.
func statsOf(t *testing.T, n *nsqtest.NSQD) string {
	t.Helper()
	star := map[bool]string{true: "*"}
	var topics []string
	for _, topic := range newAPI(t, n).stats("").Topics {
		text := topic.Name + star[topic.Paused]
		for _, ch := range topic.Channels {
			text += " " + ch.Name + star[ch.Paused]
		}
		topics = append(topics, text)
	}
	return strings.Join(topics, ", ")
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
			`"max_deflate_level":6,"topology_zone":"","topology_region":"",`+
			`"durability":"memory","max_defer_timeout":3600000000000}`,
			version.Binary, hostname, httpPort, tcpPort, a.stats("").StartTime)
		resp, text, err := a.try("GET", "/info", nil)
		if err != nil {
			t.Fatal(err)
		}
		if text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		if h := resp.Header; h.Get("Content-Type") != httpapitest.JSON || h.Get("X-NSQ-Content-Type") != "nsq; version=1.0" {
			t.Errorf("headers %v", h)
		}
	})
}

// What no client library would send is answered as well.
func TestHTTPOddTargets(t *testing.T) {
	n := nsqtest.Start(t, nil)
	for request, want := range map[string]string{
		"OPTIONS * HTTP/1.1\r\nHost: h":                                      "HTTP/1.1 200 OK\r\nAllow: DELETE, GET, HEAD, OPTIONS, POST, PUT\r\n",
		"GET * HTTP/1.1\r\nHost: h":                                          "HTTP/1.1 405 Method Not Allowed\r\n",
		"GET http://h HTTP/1.1\r\nHost: h":                                   "HTTP/1.1 404 Not Found\r\n",
		"GET http://h/ping HTTP/1.1\r\nHost: other":                          "HTTP/1.1 200 OK\r\n",
		"GET //ping HTTP/1.1\r\nHost: h":                                     "HTTP/1.1 301 Moved Permanently\r\n",
		"GET /../ping HTTP/1.1\r\nHost: h":                                   "HTTP/1.1 301 Moved Permanently\r\n",
		"GET /ping%2F HTTP/1.1\r\nHost: h":                                   "HTTP/1.1 301 Moved Permanently\r\n",
		"GET /%00 HTTP/1.1\r\nHost: h":                                       "HTTP/1.1 404 Not Found\r\n",
		"CONNECT h:1 HTTP/1.1\r\nHost: h":                                    "HTTP/1.1 404 Not Found\r\n",
		"PRI /ping HTTP/1.1\r\nHost: h":                                      "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, OPTIONS\r\n",
		"GET /ping HTTP/1.0":                                                 "HTTP/1.0 200 OK\r\n",
		"GET /ping HTTP/1.1":                                                 "HTTP/1.1 400 Bad Request",
		"GET ping HTTP/1.1\r\nHost: h":                                       "HTTP/1.1 400 Bad Request",
		"GET /ping HTTP/1.1\r\nHost: h\r\nContent-Length: -1":                "HTTP/1.1 400 Bad Request",
		"GET /ping HTTP/1.1\r\nHost: h\r\nExpect: much":                      "HTTP/1.1 417 Expectation Failed",
		"POST /pub HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x":              "HTTP/1.1 501 Not Implemented",
		"GET /ping HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 64<<10): "HTTP/1.1 431 Request Header Fields Too Large",
	} {
		conn, err := net.Dial("tcp", n.RealHTTPAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, request+"\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), want) || err != nil {
			t.Errorf("%.80q: got %.120q, %v, want %q", request, answer, err, want)
		}
		conn.Close()
	}
	if n.Panics() > 0 {
		t.Error("something panicked")
	}
}
