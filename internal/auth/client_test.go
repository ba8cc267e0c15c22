package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

const everything = `{"ttl":60,"identity":"bob","authorizations":[{"topic":".*","channels":[".*"],"permissions":["subscribe","publish"]}]}`

// newClient returns a client until the end of the test, which also checks that
// it left no goroutine behind.
func newClient(tb testing.TB, c auth.Config) *auth.Client {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	if c.Method == "" {
		c.Method = "get"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 10 * time.Second
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.DialTLS == nil {
		c.DialTLS = new(tls.Dialer).DialContext
	}
	start := time.Now()
	c.Now = func() int64 { return int64(time.Since(start)) }
	client, err := auth.NewClient(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		client.Close()
		goleak.VerifyNone(tb, before)
	})
	return client
}

func host(u string) string { return strings.TrimPrefix(u, "http://") }

func TestQuery(t *testing.T) {
	const accept = "application/vnd.nsq; version=1.0"
	plain := auth.Request{Secret: "s3cret&x y", RemoteIP: "127.0.0.1"}
	overTLS := auth.Request{Secret: "s", CommonName: "Bob & Co", TLS: true}
	const plainQuery = "common_name=&remote_ip=127.0.0.1&secret=s3cret%26x+y&tls=false"
	for name, tc := range map[string]struct {
		method  string
		address string // with the server in place of %s
		request auth.Request
		want    authtest.Request
	}{
		"GET":                {"get", "%s", plain, authtest.Request{Method: "GET", URI: "/auth?" + plainQuery}},
		"a URL":              {"get", "http://%s/some/path", plain, authtest.Request{Method: "GET", URI: "/some/path?" + plainQuery}},
		"a URL with a query": {"get", "http://%s/?a=1&z=2&tls=x", plain, authtest.Request{Method: "GET", URI: "/?a=1&" + plainQuery + "&z=2"}},
		"TLS":                {"get", "%s", overTLS, authtest.Request{Method: "GET", URI: "/auth?common_name=Bob+%26+Co&remote_ip=&secret=s&tls=true"}},
		"POST": {"post", "%s", plain, authtest.Request{
			Method: "POST", URI: "/auth", ContentType: "application/json",
			Body: `{"common_name":[""],"remote_ip":["127.0.0.1"],"secret":["s3cret\u0026x y"],"tls":["false"]}`,
		}},
		"POST to a URL": {"post", "http://%s/x?y=1", overTLS, authtest.Request{
			Method: "POST", URI: "/x?y=1", ContentType: "application/json",
			Body: `{"common_name":["Bob \u0026 Co"],"remote_ip":[""],"secret":["s"],"tls":["true"]}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := authtest.Start(t)
			s.Answer(tc.request.Secret, 200, everything)
			c := newClient(t, auth.Config{Addresses: []string{fmt.Sprintf(tc.address, host(s.URL))}, Method: tc.method})
			answer, err := c.Ask(t.Context(), tc.request)
			if err != nil || answer.Identity != "bob" || answer.Len() != 1 {
				t.Fatalf("got %+v, %v", answer, err)
			}
			tc.want.Accept = accept
			if got := s.Requests(); !slices.Equal(got, []authtest.Request{tc.want}) {
				t.Errorf("the server was asked\n%+v, want\n%+v", got, tc.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"localhost:4181":          true,
		"localhost":               true,
		"[::1]:80":                true,
		"http://localhost/x":      true,
		"https://u:p@localhost/x": true,
		":4181":                   true,
		"":                        false,
		"ftp://localhost":         false,
		"http://":                 false,
		"local host":              false,
		"localhost:port":          false,
	} {
		if _, err := auth.NewClient(auth.Config{Addresses: []string{address}}); (err == nil) != want {
			t.Errorf("NewClient with %q: %v, want valid: %v", address, err, want)
		}
	}
}

// One server after the other is asked, from a random one on.
func TestNextServer(t *testing.T) {
	good, bad := authtest.Start(t), authtest.Start(t)
	good.Answer("s", 200, everything)
	bad.Answer("s", 500, everything)
	c := newClient(t, auth.Config{Addresses: []string{host(bad.URL), host(good.URL)}})
	const queries = 64
	for range queries {
		if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(good.Requests()); n != queries {
		t.Errorf("the good server was asked %d times for %d queries", n, queries)
	}
	if n := len(bad.Requests()); n == 0 || n == queries {
		t.Errorf("the bad server was asked %d times: not from a random one on", n)
	}
}

func TestStatus(t *testing.T) {
	for status, refused := range map[int]bool{201: false, 204: false, 400: false, 401: true, 403: true, 404: false, 500: false, 503: false} {
		s, failing := authtest.Start(t), authtest.Start(t)
		body := everything
		if status == 204 {
			body = ""
		}
		s.Answer("s", status, body)
		failing.Answer("s", 500, "")
		c := newClient(t, auth.Config{Addresses: []string{host(s.URL), host(failing.URL)}})
		_, err := c.Ask(t.Context(), auth.Request{Secret: "s"})
		if err == nil || errors.Is(err, auth.ErrRefused) != refused || !strings.Contains(err.Error(), fmt.Sprint("status ", status)) {
			t.Errorf("status %d gave %v, want refused: %v", status, err, refused)
		}
	}
}

// trust returns what connects to the server of this client.
func trust(c *http.Client) auth.Dial {
	return (&tls.Dialer{Config: c.Transport.(*http.Transport).TLSClientConfig}).DialContext
}

func TestHTTPS(t *testing.T) {
	s, trusting := authtest.StartTLS(t)
	s.Answer("s", 200, everything)
	port, _ := strconv.Atoi(s.URL[strings.LastIndex(s.URL, ":")+1:])
	hint := authtest.Start(t)
	hint.Answer("s", 403, fmt.Sprintf(`{"message":"use TLS","https_port":%d}`, port))
	for name, address := range map[string]string{
		"a URL":              s.URL + "/auth",
		"403 with the port":  host(hint.URL),
		"403 with a path":    hint.URL + "/auth",
		"403 to another way": hint.URL + "/auth?common_name=x",
	} {
		for _, method := range []string{"get", "post"} {
			c := newClient(t, auth.Config{Addresses: []string{address}, Method: method, DialTLS: trust(trusting)})
			if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); err != nil {
				t.Errorf("%s, %s: %v", name, method, err)
			}
			if got := s.Requests(); len(got) != 1 || !strings.HasPrefix(got[0].URI, "/auth") {
				t.Errorf("%s, %s: over https it was asked %+v", name, method, got)
			}
		}
	}
	c := newClient(t, auth.Config{Addresses: []string{s.URL}})
	if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its certificate: %v", err)
	}
}

// What is no hint, or comes over https already, is a refusal.
func TestNoHTTPSRetry(t *testing.T) {
	plain := authtest.Start(t)
	over, trusting := authtest.StartTLS(t)
	over.Answer("s", 403, `{"https_port":1}`)
	for _, body := range []string{"", "{}", `{"https_port":0}`, `{"https_port":65536}`, `{"https_port":"443"}`, "[]"} {
		plain.Answer("s", 403, body)
		c := newClient(t, auth.Config{Addresses: []string{host(plain.URL)}})
		if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); !errors.Is(err, auth.ErrRefused) {
			t.Errorf("%s: %v", body, err)
		}
	}
	c := newClient(t, auth.Config{Addresses: []string{over.URL}, DialTLS: trust(trusting)})
	if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("from https: %v", err)
	}
	if n := len(over.Requests()); n != 1 {
		t.Errorf("over https it was asked %d times", n)
	}
}

// closedAddr returns an address on which nobody listens.
func closedAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// raw runs a server that answers every connection with these bytes, in which
// %s is the secret that it was asked for.
func raw(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 4096)
			conn.Read(request)
			io.WriteString(conn, answer)
			conn.Close()
		}
	})
	return l.Addr().String()
}

// Whatever goes wrong, and whatever the server says: neither an error nor the
// log has the secret in any form.
func TestSecretsStaySecret(t *testing.T) {
	const secret = `hush "hush" & <ü>/%`
	inJSON, _ := json.Marshal(secret)
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"ttl":1,"authorizations":[{"topic":"(","permissions":[%s]}]}`, inJSON)
		}
	}
	location := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to+"?"+r.URL.RawQuery)
			w.WriteHeader(http.StatusFound)
		}
	}
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	quiet := func(h http.HandlerFunc) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	stalled := make(chan struct{})
	defer close(stalled)
	for name, address := range map[string]string{
		"nobody listens": closedAddr(t),
		"a status":       serve(echo(500)),
		"a refusal":      serve(echo(403)),
		"a bad pattern":  serve(echo(200)),
		"a bad permission": serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ttl":1,"authorizations":[{"permissions":[%s]}]}`, inJSON)
		}),
		"the secret in a pattern": serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"ttl":1,"authorizations":[{"topic":"(%s"}]}`, inJSON[1:len(inJSON)-1])
		}),
		"an https port": serve(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(403)
			io.WriteString(w, `{"https_port":1}`)
		}),
		"an unknown certificate":     quiet(echo(200)),
		"a redirection to nobody":    serve(location("http://" + closedAddr(t))),
		"a redirection in a circle":  serve(location("/")),
		"a redirection to no URL":    serve(location("http://[::1")),
		"a redirection to gopher":    serve(location("gopher://localhost")),
		"an early end":               serve(func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }),
		"a status line that is none": raw(t, secret+" "+url.QueryEscape(secret)+"\r\n\r\n"),
		"a header that is none":      raw(t, "HTTP/1.1 200 OK\r\n"+secret+"\r\n\r\n"),
		"a length that is none":      raw(t, "HTTP/1.1 200 OK\r\nContent-Length: "+url.PathEscape(secret)+"\r\n\r\n"),
		"a body that is cut":         raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
		"a body that is too large":   serve(func(w http.ResponseWriter, r *http.Request) { io.CopyN(w, endless{}, 2<<20) }),
		"no answer": serve(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-stalled:
			}
		}),
		"a password in the URL": "http://user:hush@" + closedAddr(t) + "/?key=hush",
	} {
		for _, method := range []string{"get", "post"} {
			log := new(loggingtest.Buffer)
			timeout := 10 * time.Second
			if name == "no answer" {
				timeout = 50 * time.Millisecond
			}
			c := newClient(t, auth.Config{
				Addresses:      []string{address},
				Method:         method,
				RequestTimeout: timeout,
				Log:            log.Logger(slog.LevelDebug),
			})
			answer, err := c.Ask(t.Context(), auth.Request{Secret: secret})
			if err == nil {
				t.Errorf("%s, %s: got %+v", name, method, answer)
				continue
			}
			text := err.Error() + log.String()
			if !errors.Is(err, auth.ErrRefused) && log.String() == "" {
				t.Errorf("%s, %s: nothing is logged", name, method)
			}
			if strings.Contains(text, "hush") {
				t.Errorf("%s, %s: the secret is in\n%s", name, method, text)
			}
			t.Logf("%s, %s: %v", name, method, err)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A redirection is followed, without a header that has the secret, but never
// from https to clear text.
func TestRedirection(t *testing.T) {
	end := authtest.Start(t)
	end.Answer("s", 200, everything)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, end.URL+"/moved?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
	})
	plain := httptest.NewServer(h)
	defer plain.Close()
	over := httptest.NewTLSServer(h)
	defer over.Close()
	c := newClient(t, auth.Config{Addresses: []string{plain.URL}})
	if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); err != nil {
		t.Error(err)
	}
	if got := end.Requests(); len(got) != 1 || got[0].Referer != "" || got[0].Accept == "" {
		t.Errorf("after the redirection came %+v", got)
	}
	c = newClient(t, auth.Config{Addresses: []string{over.URL}, DialTLS: trust(over.Client())})
	if _, err := c.Ask(t.Context(), auth.Request{Secret: "s"}); err == nil || !strings.Contains(err.Error(), "redirected from https") {
		t.Errorf("from https to http: %v", err)
	}
	if got := end.Requests(); len(got) != 0 {
		t.Errorf("the secret went out in clear: %+v", got)
	}
}

// A server that fails is named once, not for every query, and so is its return.
func TestServerHealthIsLoggedOnce(t *testing.T) {
	s := authtest.Start(t)
	log := new(loggingtest.Buffer)
	c := newClient(t, auth.Config{Addresses: []string{host(s.URL)}, Log: log.Logger(slog.LevelInfo)})
	for _, status := range []int{200, 403, 500, 500, 500, 200, 200, 500} {
		s.Answer("s", status, everything)
		c.Ask(t.Context(), auth.Request{Secret: "s"})
	}
	if fails, again := strings.Count(log.String(), "a server fails"), strings.Count(log.String(), "answers again"); fails != 2 || again != 1 {
		t.Errorf("it failed in %d lines and came back in %d:\n%s", fails, again, log)
	}
}

// stalledServer answers nothing; asked has a token for each request.
func stalledServer(t *testing.T) (addr string, asked chan struct{}) {
	asked = make(chan struct{}, 100)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return host(s.URL), asked
}

func TestQueryEndsWithItsContextAndWithTheClient(t *testing.T) {
	addr, asked := stalledServer(t)
	c := newClient(t, auth.Config{Addresses: []string{addr, addr}, RequestTimeout: time.Hour})
	cause := errors.New("gone")
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := c.Ask(ctx, auth.Request{})
		ended <- err
	}()
	<-asked
	stop(cause)
	if err := <-ended; err != cause {
		t.Errorf("its context ended: %v", err)
	}
	go func() {
		_, err := c.Ask(t.Context(), auth.Request{})
		ended <- err
	}()
	<-asked
	go c.Close()
	if err := <-ended; err != auth.ErrClosed {
		t.Errorf("the client was closed: %v", err)
	}
	if _, err := c.Ask(t.Context(), auth.Request{}); err != auth.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// A hundred queries one after the other need one connection.
func TestConnectionsAreKept(t *testing.T) {
	s := authtest.Start(t)
	for _, status := range []int{200, 403, 500} {
		s.Answer("s", status, everything)
		var dialed atomic.Int32
		c := newClient(t, auth.Config{Addresses: []string{host(s.URL)}, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}})
		for range 100 {
			c.Ask(t.Context(), auth.Request{Secret: "s"})
		}
		if n := dialed.Load(); n != 1 {
			t.Errorf("at status %d there were %d connections", status, n)
		}
	}
}

// pipeDial connects to a handler within the bubble.
func pipeDial(t *testing.T, h http.Handler) auth.Dial {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &http.Server{Handler: h}
	var running sync.WaitGroup
	running.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); running.Wait() })
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case l.conns <- server:
			return client, nil
		case <-l.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(authtest.Server)
		server.Answer("s", 200, everything)
		c := newClient(t, auth.Config{Addresses: []string{"server"}, Dial: pipeDial(t, server)})
		s := c.Session()
		r := auth.Request{Secret: "s"}
		if s.Valid() != nil || s.Last() != nil || s.Expires() != 0 {
			t.Error("a new session has an answer")
		}
		first, err := s.Renew(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute - 1)
		if again, err := s.Renew(t.Context(), r); again != first || err != nil || s.Valid() != first {
			t.Errorf("just before the end of the ttl: %v, %v", again, err)
		}
		if n := len(server.Requests()); n != 1 {
			t.Errorf("within the ttl the server was asked %d times", n)
		}
		<-time.After(1)
		if s.Valid() != nil || s.Last() != first {
			t.Error("the answer does not expire")
		}
		server.Answer("s", 500, "")
		if _, err := s.Renew(t.Context(), r); err == nil || s.Last() != first || s.Valid() != nil {
			t.Errorf("the server fails: %v", err)
		}
		server.Answer("s", 200, everything)
		if second, err := s.Renew(t.Context(), r); err != nil || second == first || s.Valid() != second {
			t.Errorf("the server answers again: %v", err)
		}
		if n := len(server.Requests()); n != 2 {
			t.Errorf("after the ttl the server was asked %d times", n)
		}
	})
}

// Callers that come while a query runs get its result, good or bad. One that
// goes away leaves the others to ask for themselves.
func TestSessionSharesQueries(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		leaves  bool // the first caller, in the middle
		queries int
	}{
		"an answer":                {200, false, 1},
		"a failure":                {500, false, 1},
		"the first caller is gone": {200, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := new(authtest.Server)
				server.Answer("s", tc.status, everything)
				var queries atomic.Int32
				c := newClient(t, auth.Config{Addresses: []string{"server"}, Dial: pipeDial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					queries.Add(1)
					<-time.After(2 * time.Second)
					server.ServeHTTP(w, r)
				}))})
				s := c.Session()
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var callers sync.WaitGroup
				call := func(ctx context.Context, leaves bool) {
					callers.Go(func() {
						_, err := s.Renew(ctx, auth.Request{Secret: "s"})
						if failed := tc.status != 200 || leaves; (err != nil) != failed {
							t.Errorf("a caller got %v", err)
						}
					})
				}
				call(ctx, tc.leaves)
				synctest.Wait()
				for range 9 {
					call(t.Context(), false)
				}
				synctest.Wait()
				if tc.leaves {
					leave()
				}
				callers.Wait()
				if n := int(queries.Load()); n != tc.queries {
					t.Errorf("the server was asked %d times, want %d", n, tc.queries)
				}
			})
		})
	}
}
