package nsqd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// mayDo is the answer of an auth server that grants something on every topic
// and channel.
func mayDo(ttl time.Duration, permissions string) string {
	return fmt.Sprintf(`{"ttl":%d,"identity":"bob","identity_url":"http://bob","authorizations":[{"topic":".*","channels":[".*"],"permissions":[%s]}]}`,
		ttl/time.Second, permissions)
}

const both = `"subscribe","publish"`

// authenticate sends AUTH, which must succeed.
func (c *rawClient) authenticate(secret string) {
	c.tb.Helper()
	c.send(wire.AppendAuth(nil, secret))
	c.want(frame{wire.FrameResponse, `{"identity":"bob","identity_url":"http://bob","permission_count":1}`})
}

// startAuthInBubble runs a broker in a bubble, whose auth server is h.
func startAuthInBubble(t *testing.T, opts *nsqd.Options, h http.Handler) *bubble {
	t.Helper()
	if opts == nil {
		opts = nsqtest.Options(t)
	}
	opts.AuthHTTPAddresses = []string{"auth:80"}
	opts.HTTPClientRequestTimeout = time.Second
	l := nsqtest.NewPipeListener()
	server := &http.Server{Handler: h}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(l) })
	b := startInBubble(t, opts, func(n *nsqd.NSQD) {
		n.AskAuthServersBy(func(ctx context.Context, _, _ string) (net.Conn, error) { return l.TryDial(ctx) })
	})
	t.Cleanup(func() { // before the broker stops: it must not need the server
		server.Close()
		running.Wait()
	})
	return b
}

// An answer counts until its ttl ends; then the next command that needs it
// asks, once.
func TestAnswerIsRenewedByTheNextCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(authtest.Server)
		server.Answer("s", 200, mayDo(10*time.Second, both))
		b := startAuthInBubble(t, nil, server)
		c := b.dial()
		c.authenticate("s")
		wait := c.wantNothing // with heartbeats
		asked := func(want int) {
			t.Helper()
			if n := len(server.Requests()); n != want {
				t.Errorf("the auth server was asked %d times, want %d", n, want)
			}
		}
		asked(1)
		wait(10*time.Second - 2)
		c.pub("t", "a")
		asked(0)
		wait(time.Minute)
		asked(0) // nobody needs an answer
		c.nop()
		c.send(wire.AppendPub(wire.AppendPub(nil, "t", []byte("b")), "u", []byte("c")))
		c.want(ok)
		c.want(ok)
		c.dpub("t", time.Second, "d")
		c.mpub("t", "e", "f")
		asked(1)
		wait(time.Minute)
		server.Answer("s", 200, mayDo(10*time.Second, `"subscribe"`))
		c.sub("t", "c")
		c.send([]byte("PUB t\n\x00\x00\x00\x01"))
		c.wantError(`E_UNAUTHORIZED AUTH failed for PUB on "t" ""`)
		c.wantClosed()
		asked(1)
	})
}

func TestAnswerThatCannotBeRenewed(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		answer string
		want   string
	}{
		"the server fails":   {500, "", "E_AUTH_FAILED AUTH failed"},
		"the server refuses": {403, "", "E_AUTH_FAILED AUTH failed"},
		"a bad answer":       {200, "{}", "E_AUTH_FAILED AUTH failed"},
		"nothing any more":   {200, `{"ttl":1}`, `E_UNAUTHORIZED AUTH failed for MPUB on "t" ""`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := new(authtest.Server)
				server.Answer("s", 200, mayDo(10*time.Second, both))
				b := startAuthInBubble(t, nil, server)
				c := b.dial()
				c.authenticate("s")
				c.pub("t", "a")
				<-time.After(10 * time.Second)
				server.Answer("s", tc.status, tc.answer)
				c.send([]byte("MPUB t\n"))
				c.wantError(tc.want)
				c.wantClosed()
			})
		})
	}
}

// A frailServer is an auth server that can stall: then it answers nothing.
type frailServer struct {
	authtest.Server
	stalled atomic.Bool
	ended   chan struct{} // a token for each query that was given up

	mu    sync.Mutex // times
	times []time.Time
}

func newFrailServer() *frailServer { return &frailServer{ended: make(chan struct{}, 1000)} }

// taken returns when queries came.
func (s *frailServer) taken() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

func (s *frailServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	if !s.stalled.Load() {
		s.Server.ServeHTTP(w, r)
		return
	}
	<-r.Context().Done()
	s.ended <- struct{}{}
}

// consumeAuthorized has a client consume t:c on an answer with that ttl.
func consumeAuthorized(b *bubble, server *authtest.Server, ttl time.Duration) *rawClient {
	b.tb.Helper()
	server.Answer("s", 200, mayDo(ttl, both))
	c := b.dial()
	c.authenticate("s")
	c.consume("t", "c", 10)
	return c
}

// authorizedPublisher returns a client that may publish for a day and need not
// be read meanwhile.
func authorizedPublisher(b *bubble, server *authtest.Server) *rawClient {
	b.tb.Helper()
	server.Answer("publisher", 200, mayDo(24*time.Hour, both))
	c := b.dial()
	c.identify(`{"heartbeat_interval":-1}`)
	c.authenticate("publisher")
	return c
}

// A subscription ends with the answer that allowed it, if the next one does
// not: with the error that SUB would get.
func TestSubscriptionIsRechecked(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		answer string
	}{
		"only publishing":    {200, mayDo(time.Hour, `"publish"`)},
		"nothing":            {200, `{"ttl":3600,"authorizations":[]}`},
		"another channel":    {200, `{"ttl":3600,"authorizations":[{"topic":"t","channels":["^d$"],"permissions":["subscribe"]}]}`},
		"the secret is gone": {401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := new(authtest.Server)
				b := startAuthInBubble(t, nil, server)
				publisher := authorizedPublisher(b, server)
				server.Requests()
				start := time.Now()
				const ttl = 18 * time.Second // nothing is due together with a heartbeat: a pipe holds nothing
				c := consumeAuthorized(b, server, ttl)
				for i := range time.Duration(3) { // it is renewed, and nothing happens
					c.wantNothing(time.Until(start.Add(i*ttl + ttl/2)))
					publisher.pub("t", "m")
					c.fin(c.wantMessage("m", 1))
					c.sync()
					if n := len(server.Requests()); n != 1 {
						t.Errorf("in period %d the auth server was asked %d times", i, n)
					}
				}
				server.Answer("s", tc.status, tc.answer)
				c.wantError(`E_UNAUTHORIZED AUTH failed for SUB on "t" "c"`)
				wantDue(t, "the subscription ended", start, 3*ttl)
				c.wantClosed()
			})
		})
	}
}

// What a consumer has in flight when it is refused goes to others, and the
// replies to what it said come before the error.
func TestRefusedConsumerLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(authtest.Server)
		b := startAuthInBubble(t, nil, server)
		c := consumeAuthorized(b, server, 20*time.Second)
		authorizedPublisher(b, server).mpub("t", "a", "b")
		a := c.wantMessage("a", 1)
		c.wantMessage("b", 1)
		server.Answer("s", 403, "")
		<-time.After(19 * time.Second)
		c.fin(a)
		c.send([]byte("PUB t\n\x00\x00\x00\x05in")) // it is still reading this
		c.wantError(`E_UNAUTHORIZED AUTH failed for SUB on "t" "c"`)
		c.wantClosed()
		other := b.dial()
		other.authenticate("publisher")
		other.consume("t", "c", 10)
		other.fin(other.wantMessage("b", 2))
		other.sync()
		b.wantCounts("t", "c", nsqd.Counts{})
	})
}

// While no auth server answers, a subscription goes on for another ttl, and for
// a minute at least. Delivery does not wait for them.
func TestSubscriptionOutlivesAuthServers(t *testing.T) {
	for _, tc := range []struct {
		ttl, end time.Duration
	}{
		{10 * time.Second, 70 * time.Second},
		{10 * time.Minute, 20 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			server := newFrailServer()
			b := startAuthInBubble(t, nil, server)
			start := time.Now()
			c := consumeAuthorized(b, &server.Server, tc.ttl)
			other := authorizedPublisher(b, &server.Server)
			server.stalled.Store(true)

			var publishing sync.WaitGroup
			published := make(chan struct{})
			defer publishing.Wait()
			defer close(published)
			publishing.Go(func() {
				<-time.After(250 * time.Millisecond) // nothing else is due then: a pipe holds nothing
				for tick := time.NewTicker(500 * time.Millisecond); ; {
					select {
					case <-tick.C:
						other.trySend(wire.AppendPub(nil, "t", []byte("m")))
						other.tryNext()
					case <-published:
						return
					}
				}
			})
			messages := 0
			for {
				f, err := c.tryNext()
				if err != nil {
					t.Fatal(err)
				}
				if f.kind == wire.FrameError {
					if f.data != "E_AUTH_FAILED AUTH failed" {
						t.Errorf("it ended with %v", f)
					}
					break
				}
				m, err := wire.ParseMessage([]byte(f.data))
				if err != nil {
					t.Fatal(err)
				}
				messages++
				c.fin(m)
			}
			c.wantClosed()
			took := time.Since(start)
			if took < tc.end || took > tc.end+2*time.Second { // the last query has a second
				t.Errorf("with a ttl of %v it ended after %v, want %v", tc.ttl, took, tc.end)
			}
			if want := int(took/(500*time.Millisecond)) - 1; messages < want {
				t.Errorf("%d messages came in that time, want %d", messages, want)
			}
			queries := server.taken()[2:] // after the two AUTHs
			for i := 1; i < len(queries); i++ {
				if d := queries[i].Sub(queries[i-1]); d < time.Second || d > 77*time.Second {
					t.Errorf("query %d came %v after the one before it", i, d)
				}
			}
			if len(queries) < 5 || queries[0].Sub(start) != tc.ttl {
				t.Errorf("queries came at %v, the start was at %v", queries, start)
			}
		})
	}
}

// A subscription that went on without auth servers is renewed when they are
// back.
func TestSubscriptionIsRenewedWhenAuthServersAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(authtest.Server)
		log := new(loggingtest.Buffer)
		opts := nsqtest.Options(t)
		opts.Logger = log.Logger(slog.LevelWarn)
		b := startAuthInBubble(t, opts, server)
		c := consumeAuthorized(b, server, 10*time.Second)
		server.Answer("s", 500, "")
		c.wantNothing(60 * time.Second)
		server.Answer("s", 200, mayDo(10*time.Second, both))
		c.wantNothing(time.Hour - 5*time.Second) // not when a heartbeat is due: a pipe holds nothing
		authorizedPublisher(b, server).pub("t", "m")
		c.fin(c.wantMessage("m", 1))
		c.sync()
		if n := strings.Count(log.String(), "the subscription goes on"); n != 1 {
			t.Errorf("that it goes on without auth servers is logged %d times:\n%s", n, log)
		}
	})
}

// A query under way, for a command or for a re-check, ends with the connection
// and with the broker: nothing waits for an auth server.
func TestNothingWaitsForAnAuthServer(t *testing.T) {
	for _, what := range []string{"a command", "a re-check"} {
		for _, end := range []string{"the client leaves", "the broker stops"} {
			if what == "a command" && end == "the client leaves" {
				continue // it is not read while its command runs; the query has its time-out
			}
			t.Run(what+", "+end, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := newFrailServer()
					b := startAuthInBubble(t, nil, server)
					c := consumeAuthorized(b, &server.Server, 10*time.Second)
					server.stalled.Store(true)
					<-time.After(10 * time.Second)
					if what == "a command" {
						d := b.dial()
						d.send(wire.AppendAuth(nil, "s"))
						synctest.Wait()
						c.close()
						<-server.ended // the query of the re-check
					}
					synctest.Wait()
					start := time.Now()
					if end == "the client leaves" {
						c.close()
					} else {
						b.stop()
						wantDue(t, "the broker stopped", start, 0)
					}
					<-server.ended
					wantDue(t, "the query ended", start, 0)
				})
			})
		}
	}
}

// The time that an auth server takes is not taken from the client's: here it
// takes longer than two heartbeats, between a command's line and its body.
func TestSlowAuthServerDoesNotCutTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(authtest.Server)
		server.Answer("s", 200, mayDo(10*time.Second, both))
		opts := nsqtest.Options(t)
		b := startAuthInBubble(t, opts, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(900 * time.Millisecond)
			server.ServeHTTP(w, r)
		}))
		c := b.dial()
		c.identify(`{"heartbeat_interval":1000}`)
		c.authenticate("s")
		c.wantNothing(10 * time.Second)
		c.send([]byte("PUB t\n\x00\x00\x00\x01"))
		for end := time.Now().Add(2500 * time.Millisecond); ; {
			if f, err := c.tryFrame(time.Until(end)); errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if f != heartbeat {
				t.Fatalf("got %v, %v", f, err)
			}
		}
		c.send([]byte("x"))
		c.want(ok)
	})
}

func TestAuthRequest(t *testing.T) {
	for network, want := range map[string]string{"tcp": "127.0.0.1", "unix": ""} {
		server := authtest.Start(t)
		server.Answer("s", 200, mayDo(time.Hour, both))
		opts := nsqtest.Options(t)
		if network == "unix" {
			opts.TCPAddress = opts.DataPath + "/s"
		}
		opts.AuthHTTPAddresses = []string{strings.TrimPrefix(server.URL, "http://")}
		n := nsqtest.Start(t, opts)
		c := dialRaw(t, n)
		c.authenticate("s")
		if got := server.Requests(); len(got) != 1 || got[0].URI != "/auth?common_name=&remote_ip="+want+"&secret=s&tls=false" {
			t.Errorf("over %s the auth server was asked %+v", network, got)
		}
		n.Stop()
	}
}

// Over TLS, auth servers are told that and who the client's certificate names.
func TestAuthRequestOverTLS(t *testing.T) {
	server := authtest.Start(t)
	server.Answer("s", 200, mayDo(time.Hour, both))
	opts := nsqtest.Options(t)
	withCertificate(t, opts)
	opts.TLSClientAuthPolicy = "require"
	opts.AuthHTTPAddresses = []string{server.URL}
	n := nsqtest.Start(t, opts)
	c := dialRaw(t, n)
	c.send(wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true,"tls_v1":true}`)))
	c.next()
	pair := certstest.SelfSigned(t, certstest.Named("Bob & Co"))
	if err := c.startTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair.Certificate}}); err != nil {
		t.Fatal(err)
	}
	c.want(ok)
	c.authenticate("s")
	if got := server.Requests(); len(got) != 1 || got[0].URI != "/?common_name=Bob+%26+Co&remote_ip=127.0.0.1&secret=s&tls=true" {
		t.Errorf("the auth server was asked %+v", got)
	}
}

// A consumer that is refused after a ttl reads the error in whatever layer it
// has negotiated, among the messages that come at the same time.
func TestRefusedConsumerReadsTheErrorInEveryLayer(t *testing.T) {
	server := authtest.Start(t)
	server.Answer("s", 200, mayDo(time.Second, both))
	server.Answer("publisher", 200, mayDo(time.Hour, both))
	opts := nsqtest.Options(t)
	withCertificate(t, opts)
	opts.AuthHTTPAddresses = []string{server.URL}
	n := nsqtest.Start(t, opts)
	var consumers []*rawClient
	for _, w := range ways {
		if !w.unix { // a broker has one TCP address
			c := w.dial(t, n.RealTCPAddr())
			c.authenticate("s")
			c.consume("t", strings.ReplaceAll(w.name, "+", "-"), 2500)
			consumers = append(consumers, c)
		}
	}
	server.Answer("s", 403, "")
	var publishing sync.WaitGroup
	defer publishing.Wait()
	ended := make(chan struct{})
	defer close(ended)
	publisher := dialRaw(t, n)
	publisher.authenticate("publisher")
	publishing.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				publisher.trySend(wire.AppendPub(nil, "t", []byte("m")))
				publisher.tryNext()
			}
		}
	})
	for _, c := range consumers {
		f := c.next()
		for f.kind == wire.FrameMessage { // without FIN: what a server leaves unread when it closes can cost the frame
			f = c.next()
		}
		if f.kind != wire.FrameError || !strings.HasPrefix(f.data, `E_UNAUTHORIZED AUTH failed for SUB on "t" "`) {
			t.Errorf("got %v", f)
		}
		c.wantClosed()
	}
}

func TestIdentifySaysThatAuthIsRequired(t *testing.T) {
	for addresses, want := range map[string]string{"": `"auth_required":false`, "127.0.0.1:1": `"auth_required":true`} {
		opts := nsqtest.Options(t)
		if addresses != "" {
			opts.AuthHTTPAddresses = []string{addresses}
		}
		n := nsqtest.Start(t, opts)
		c := dialRaw(t, n)
		c.send(wire.AppendIdentify(nil, []byte(`{"feature_negotiation":true}`)))
		if f := c.next(); !strings.Contains(f.data, want) {
			t.Errorf("with --auth-http-address=%s IDENTIFY gave %v", addresses, f)
		}
		n.Stop()
	}
}

func TestStatsOfAuthorizedClients(t *testing.T) {
	server := authtest.Start(t)
	server.Answer("s", 200, mayDo(time.Hour, both))
	opts := nsqtest.Options(t)
	opts.AuthHTTPAddresses = []string{server.URL}
	n := nsqtest.Start(t, opts)
	c := dialRaw(t, n)
	c.authenticate("s")
	c.sub("t", "c")
	c.pub("t", "x")
	const stats, who = "/stats?format=json", `"authed":true,"auth_identity":"bob","auth_identity_url":"http://bob"`
	_, got, err := newAPI(t, n).try("GET", stats, nil)
	if err != nil || strings.Count(got, who) != 2 { // as consumer and as producer
		t.Errorf("the client's identity is not there twice in %s, %v", got, err)
	}
	plain := nsqtest.Start(t, nil)
	dialRaw(t, plain).consume("t", "c", 1)
	_, got, err = newAPI(t, plain).try("GET", stats, nil)
	if err != nil || strings.Contains(got, "auth") {
		t.Errorf("without AUTH there is %s, %v", got, err)
	}
}

// However AUTH, a command, a re-check or publishing over HTTP fail: neither
// logs nor /stats nor an answer has the secret.
func TestSecretsAreNotTold(t *testing.T) {
	const secret = "hush&hush"
	for name, fail := range map[string]struct {
		status int
		answer string
	}{
		"failing":   {500, secret},
		"refusing":  {403, secret},
		"a hint":    {403, `{"https_port":1}`},
		"no answer": {0, ""},
		"broken":    {200, `{"ttl":"hush"}`},
		"a pattern": {200, `{"ttl":9,"authorizations":[{"topic":"(hush"}]}`},
		"nothing":   {200, `{"ttl":9,"identity":"eve"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := new(authtest.Server)
				log := new(loggingtest.Buffer)
				opts := nsqtest.Options(t)
				opts.AuthRequired = true
				opts.Logger = log.Logger(slog.LevelDebug)
				var failing atomic.Bool
				b := startAuthInBubble(t, opts, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if failing.Load() && fail.status == 0 {
						panic(http.ErrAbortHandler)
					}
					server.ServeHTTP(w, r)
				}))
				server.Answer(secret, 200, mayDo(10*time.Second, both))
				authorized := func() *rawClient {
					c := b.dial()
					c.authenticate(secret)
					return c
				}
				publisher, consumer := authorized(), authorized()
				consumer.consume("t", "c", 1)
				<-time.After(9 * time.Second)
				req, _ := http.NewRequest(http.MethodGet, "http://nsqd/stats?format=json", nil)
				_, stats := b.do(req)
				failing.Store(true)
				server.Answer(secret, fail.status, fail.answer)
				<-time.After(2 * time.Second)

				var told []string
				stranger := b.dial()
				stranger.send(wire.AppendAuth(nil, secret))
				publisher.send(wire.AppendPub(nil, "t", []byte("x")))
				for _, c := range []*rawClient{stranger, publisher, consumer} {
					f := c.next()
					if f.kind != wire.FrameError {
						t.Errorf("got %v", f)
					}
					told = append(told, f.data)
					c.wantClosed()
				}
				req, _ = http.NewRequest(http.MethodPost, "http://nsqd/pub?topic=t", strings.NewReader("x"))
				req.Header.Set("Authorization", "Bearer "+secret)
				resp, answer := b.do(req)
				if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("/pub: %s", resp.Status)
				}
				told = append(told, answer)
				if all := strings.Join(append(told, stats, log.String()), "\n"); strings.Contains(all, "hush") {
					t.Errorf("the secret is told:\n%s", all)
				}
				if !strings.Contains(log.String(), "E_AUTH_FAILED AUTH failed - ") && fail.status != 200 {
					t.Errorf("the log does not say why:\n%s", log)
				}
			})
		})
	}
}

// That HTTP goes without a secret is said once, at the start.
func TestStartSaysWhatAuthDoesNotCover(t *testing.T) {
	for _, tc := range []struct {
		auth, required, http, https bool
		lines                       int
	}{
		{true, false, true, false, 1},
		{true, false, false, true, 1},
		{true, true, true, true, 0},
		{true, false, false, false, 0},
		{false, false, true, true, 0},
	} {
		log := new(loggingtest.Buffer)
		opts := nsqtest.Options(t)
		opts.Logger = log.Logger(slog.LevelInfo)
		if tc.auth {
			opts.AuthHTTPAddresses = []string{"127.0.0.1:1"}
		}
		opts.AuthRequired = tc.required
		if !tc.http {
			opts.HTTPAddress = ""
		}
		if tc.https {
			withCertificate(t, opts)
			opts.HTTPSAddress = "127.0.0.1:0"
		}
		nsqtest.Start(t, opts).Stop()
		if n := strings.Count(log.String(), "--auth-required"); n != tc.lines {
			t.Errorf("%+v: %d lines", tc, n)
		}
	}
}
