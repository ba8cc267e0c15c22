package nsqd_test

import (
	"context"
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
	a.client = &http.Client{
		Transport: transport,
		Timeout:   time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return a
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

// overTCPAndUnix runs a test against a broker on each kind of listener.
func overTCPAndUnix(t *testing.T, test func(t *testing.T, n *nsqtest.NSQD, a *api)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			opts := nsqtest.Options(t)
			if network == "unix" {
				dir, err := os.MkdirTemp("", "nsqd") // the path of a socket must be short
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(dir) })
				opts.TCPAddress = filepath.Join(dir, "tcp")
				opts.HTTPAddress = filepath.Join(dir, "http")
			}
			n := nsqtest.Start(t, opts)
			test(t, n, newAPI(t, n))
		})
	}
}

const (
	isText = "text/plain; charset=utf-8"
	isJSON = "application/json; charset=utf-8"
)

// An httpRequest is one with its answer.
type httpRequest struct {
	method, path, body string
	status             int
	answer             string
}

// Everything that does not change what the broker holds, or that changes
// nothing which a later line looks at. There is a topic t with a channel c.
func TestHTTPAnswers(t *testing.T) {
	message := func(code string) string { return `{"message":"` + code + `"}` }
	long := strings.Repeat("x", 65)
	requests := []httpRequest{
		{"GET", "/ping", "", 200, "OK"},
		{"POST", "/ping", "", 405, message("METHOD_NOT_ALLOWED")},
		{"HEAD", "/ping", "", 405, ""},
		{"PUT", "/pub?topic=t", "x", 405, message("METHOD_NOT_ALLOWED")},
		{"GET", "/topic/create?topic=t", "", 405, message("METHOD_NOT_ALLOWED")},
		{"GET", "/", "", 404, message("NOT_FOUND")},
		{"GET", "/topic", "", 404, message("NOT_FOUND")},
		{"OPTIONS", "/nothing", "", 404, message("NOT_FOUND")},

		{"POST", "/topic/create?topic=t", "", 200, ""},
		{"POST", "/topic/create?topic=t&topic=%20", "", 200, ""},
		{"POST", "/topic/create?topic=u%23ephemeral", "", 200, ""},
		{"POST", "/topic/create", "", 400, message("MISSING_ARG_TOPIC")},
		{"POST", "/topic/create", "topic=t", 400, message("MISSING_ARG_TOPIC")},
		{"POST", "/topic/create?topic=", "", 400, message("INVALID_TOPIC")},
		{"POST", "/topic/create?topic=" + long, "", 400, message("INVALID_TOPIC")},
		{"POST", "/topic/create?topic=a%2Fb", "", 400, message("INVALID_TOPIC")},
		{"POST", "/topic/create?topic=t&%zz", "", 400, message("INVALID_REQUEST")},
		{"POST", "/topic/create?topic=t;x=1", "", 400, message("INVALID_REQUEST")},

		{"POST", "/topic/empty?topic=t", "", 200, ""},
		{"POST", "/topic/empty", "", 400, message("MISSING_ARG_TOPIC")},
		{"POST", "/topic/empty?topic=%20", "", 400, message("INVALID_TOPIC")},
		{"POST", "/topic/empty?topic=none", "", 404, message("TOPIC_NOT_FOUND")},

		{"POST", "/channel/create?topic=t&channel=c", "", 200, ""},
		{"POST", "/channel/pause?topic=t&channel=c", "", 200, ""},
		{"POST", "/channel/pause?topic=t&channel=c", "", 200, ""},
		{"POST", "/channel/unpause?topic=t&channel=c", "", 200, ""},
		{"POST", "/channel/unpause?topic=t&channel=c", "", 200, ""},
		{"POST", "/channel/empty?topic=t&channel=c", "", 200, ""},

		{"POST", "/pub?topic=t", "", 400, message("MSG_EMPTY")},
		{"POST", "/pub?%zz", "", 400, message("MSG_EMPTY")},
		{"POST", "/pub?%zz", "x", 400, message("INVALID_REQUEST")},
		{"POST", "/pub", "x", 400, message("MISSING_ARG_TOPIC")},
		{"POST", "/pub?topic=", "x", 400, message("INVALID_TOPIC")},
		{"POST", "/pub?topic=%20&defer=x", "x", 400, message("INVALID_TOPIC")},
		{"POST", "/pub?topic=none&defer=", "x", 400, message("INVALID_DEFER")},
		{"POST", "/pub?topic=none&defer=1.5", "x", 400, message("INVALID_DEFER")},
		{"POST", "/pub?topic=none&defer=-1", "x", 400, message("INVALID_DEFER")},
		{"POST", "/pub?topic=none&defer=3600001", "x", 400, message("INVALID_DEFER")},
		{"POST", "/pub?topic=none&defer=99999999999999999999", "x", 400, message("INVALID_DEFER")},
		{"POST", "/pub?topic=t", "x", 200, "OK"},
		{"POST", "/pub?topic=t&defer=0", "x", 200, "OK"},
		{"POST", "/pub?topic=t&defer=3600000", "x", 200, "OK"},
		{"POST", "/pub?topic=t&defer=%2B5", "x", 200, "OK"},
		{"POST", "/pub?topic=t&defer=1&defer=x", "x", 200, "OK"},

		{"POST", "/mpub?%zz", "x", 400, message("INVALID_REQUEST")},
		{"POST", "/mpub", "x", 400, message("MISSING_ARG_TOPIC")},
		{"POST", "/mpub?topic=%20", "x", 400, message("INVALID_TOPIC")},
		{"POST", "/mpub?topic=t", "", 200, "OK"},
		{"POST", "/mpub?topic=t&defer=x", "a\nb", 200, "OK"},
		{"POST", "/mpub?topic=none&binary=true", "", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=1", "a\nb", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=", "a\nb", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=TRUE", "a\nb", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x00", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=1", "\xff\xff\xff\xff", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=1", "\x7f\xff\xff\xff", 413, message("BAD_BODY")},
		{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x01", 413, message("BAD_MESSAGE")},
		{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x01\x00\x00\x00\x00", 413, message("BAD_MESSAGE")},
		{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x01\x00\x00\x00\x02a", 413, message("BAD_MESSAGE")},
		{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x7f\xff\xffb", 413, message("BAD_MESSAGE")},

		{"GET", "/stats?%zz", "", 400, message("INVALID_REQUEST")},

		// The topic none is still none: no request that was rejected has created it.
		{"POST", "/topic/empty?topic=none", "", 404, message("TOPIC_NOT_FOUND")},
	}
	for _, do := range []string{"delete", "pause", "unpause"} {
		path := "/topic/" + do
		requests = append(requests, []httpRequest{
			{"POST", path, "", 400, message("MISSING_ARG_TOPIC")},
			{"POST", path + "?topic=none", "", 404, message("TOPIC_NOT_FOUND")},
			{"POST", path + "?topic=%20", "", 404, message("TOPIC_NOT_FOUND")},
			{"POST", path + "?topic=", "", 404, message("TOPIC_NOT_FOUND")},
			{"POST", path + "?%zz", "", 400, message("INVALID_REQUEST")},
			{"GET", path + "?topic=t", "", 405, message("METHOD_NOT_ALLOWED")},
		}...)
	}
	for _, do := range []string{"create", "delete", "empty", "pause", "unpause"} {
		path := "/channel/" + do
		requests = append(requests, []httpRequest{
			{"POST", path + "?channel=%20&%zz", "", 400, message("INVALID_REQUEST")},
			{"POST", path + "?channel=%20", "", 400, message("MISSING_ARG_TOPIC")},
			{"POST", path + "?topic=%20", "", 400, message("INVALID_ARG_TOPIC")},
			{"POST", path + "?topic=none", "", 400, message("MISSING_ARG_CHANNEL")},
			{"POST", path + "?topic=none&channel=" + long, "", 400, message("INVALID_ARG_CHANNEL")},
			{"POST", path + "?topic=none&channel=c", "", 404, message("TOPIC_NOT_FOUND")},
		}...)
		if do != "create" {
			requests = append(requests, httpRequest{"POST", path + "?topic=t&channel=none", "", 404, message("CHANNEL_NOT_FOUND")})
		}
	}

	overTCPAndUnix(t, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
		a.post("/topic/create?topic=t")
		a.post("/channel/create?topic=t&channel=c")
		for _, r := range requests {
			resp, text, err := a.try(r.method, r.path, strings.NewReader(r.body))
			if err != nil {
				t.Fatalf("%s %s: %v", r.method, r.path, err)
			}
			if resp.StatusCode != r.status || text != r.answer {
				t.Errorf("%s %s %q: %d %s, want %d %s", r.method, r.path, r.body, resp.StatusCode, text, r.status, r.answer)
			}
			wantType, wantVersion := "", "nsq; version=1.0"
			switch {
			case r.status >= 400:
				wantType = isJSON
			case r.answer != "":
				wantType = isText
			}
			if r.path == "/ping" && r.status == 200 {
				wantVersion = ""
			}
			h := resp.Header
			if h.Get("Content-Type") != wantType || h.Get("X-NSQ-Content-Type") != wantVersion {
				t.Errorf("%s %s: headers %v, want type %q and version %q", r.method, r.path, h, wantType, wantVersion)
			}
			if r.method != "HEAD" && resp.ContentLength != int64(len(text)) {
				t.Errorf("%s %s: content length %d of %d bytes", r.method, r.path, resp.ContentLength, len(text))
			}
		}
	})
}

func TestHTTPPathsAndMethods(t *testing.T) {
	overTCPAndUnix(t, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
		for request, want := range map[string]struct {
			status          int
			allow, location string
		}{
			"OPTIONS /ping":         {200, "GET, OPTIONS", ""},
			"OPTIONS /pub":          {200, "OPTIONS, POST", ""},
			"OPTIONS /topic/create": {200, "OPTIONS, POST", ""},
			"GET /ping/":            {301, "", "/ping"},
			"GET /PING":             {301, "", "/ping"},
			"GET /Stats/?format=x":  {301, "", "/stats?format=x"},
			"POST /pub/?topic=t":    {307, "", "/pub?topic=t"},
			"POST /Topic/Create":    {307, "", "/topic/create"},
			"DELETE /info":          {405, "GET, OPTIONS", ""},
			"GET /mpub":             {405, "OPTIONS, POST", ""},
		} {
			method, path, _ := strings.Cut(request, " ")
			resp, _, err := a.try(method, path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if h := resp.Header; resp.StatusCode != want.status || h.Get("Allow") != want.allow || h.Get("Location") != want.location {
				t.Errorf("%s: %d, Allow %q, Location %q; want %+v", request, resp.StatusCode, h.Get("Allow"), h.Get("Location"), want)
			}
		}
	})
}

func TestHTTPInfo(t *testing.T) {
	overTCPAndUnix(t, func(t *testing.T, n *nsqtest.NSQD, a *api) {
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
	overTCPAndUnix(t, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
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
