package nsqd_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// authorized does a POST with that Authorization, none where it is empty, and
// returns status, body and challenge of the answer.
func (a *api) authorized(authorization, path string, body io.Reader) string {
	a.tb.Helper()
	req, err := http.NewRequest(http.MethodPost, a.base+path, body)
	if err != nil {
		a.tb.Fatal(err)
	}
	if _, stalls := body.(*io.PipeReader); stalls {
		req.ContentLength = 1 << 20 // the server does not wait for so much in vain
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		a.tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.tb.Fatal(err)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", resp.StatusCode, text, resp.Header.Get("WWW-Authenticate")))
}

const (
	noSecret   = `401 {"message":"AUTH_REQUIRED"} Bearer`
	notAllowed = `403 {"message":"UNAUTHORIZED"}`
	authFailed = `503 {"message":"AUTH_FAILED"}`
)

func TestHTTPPublishWithAuthRequired(t *testing.T) {
	server := authtest.Start(t)
	server.Answer("all", 200, mayDo(time.Hour, both))
	server.Answer("a b", 200, mayDo(time.Hour, both))
	server.Answer("reader", 200, mayDo(time.Hour, `"subscribe"`))
	server.Answer("only", 200, `{"ttl":3600,"authorizations":[{"topic":"^orders$","channels":[".*"],"permissions":["publish"]}]}`)
	server.Answer("nothing", 200, `{"ttl":3600}`)
	server.Answer("broken", 200, `{}`)
	server.Answer("failing", 500, "")
	required := func(opts *nsqd.Options) {
		opts.AuthHTTPAddresses = []string{server.URL}
		opts.AuthRequired = true
	}
	overEveryListener(t, required, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
		server.Requests()
		for _, tc := range []struct{ authorization, query, want string }{
			{"", "topic=t", noSecret},
			{"", "topic=!", noSecret},
			{"Bearer", "topic=t", noSecret},
			{"Bearer ", "topic=t", noSecret},
			{"Basic YWxsOg==", "topic=t", noSecret},
			{"all", "topic=t", noSecret},
			{"Bearer all", "topic=!", `400 {"message":"INVALID_TOPIC"}`},
			{"Bearer all", "", `400 {"message":"MISSING_ARG_TOPIC"}`},
			{"Bearer all", "topic=t", "200 OK"},
			{"bearer  all ", "topic=t", "200 OK"},
			{"Bearer a b", "topic=t", "200 OK"},
			{"Bearer unknown", "topic=t", notAllowed},
			{"Bearer reader", "topic=t", notAllowed},
			{"Bearer only", "topic=t", notAllowed},
			{"Bearer only", "topic=orders", "200 OK"},
			{"Bearer nothing", "topic=t", notAllowed},
			{"Bearer broken", "topic=t", authFailed},
			{"Bearer failing", "topic=t", authFailed},
		} {
			for _, path := range []string{"/pub?", "/mpub?"} {
				if got := a.authorized(tc.authorization, path+tc.query, strings.NewReader("x")); got != tc.want {
					t.Errorf("%s %s%s: %s, want %s", tc.authorization, path, tc.query, got, tc.want)
				}
			}
		}
		if names := a.topics(); names != "orders,t" {
			t.Errorf("there are topics %s", names)
		}
		want := "tls=" + strconv.FormatBool(strings.HasPrefix(a.base, "https"))
		if asked := server.Requests(); len(asked) == 0 || !strings.HasSuffix(asked[0].URI, want) {
			t.Errorf("the auth server was asked %+v, want %s", asked, want)
		}
	})
}

// Without --auth-required, HTTP knows nothing of auth servers.
func TestHTTPIgnoresAuthByDefault(t *testing.T) {
	server := authtest.Start(t)
	opts := nsqtest.Options(t)
	opts.AuthHTTPAddresses = []string{server.URL}
	a := newAPI(t, nsqtest.Start(t, opts))
	for _, authorization := range []string{"", "Bearer x"} {
		if got := a.authorized(authorization, "/pub?topic=t", strings.NewReader("x")); got != "200 OK" {
			t.Errorf("%q: %s", authorization, got)
		}
	}
	if got := server.Requests(); len(got) != 0 {
		t.Errorf("the auth server was asked %+v", got)
	}
}

// A request that is refused is answered without its body.
func TestHTTPAuthComesBeforeTheBody(t *testing.T) {
	server := authtest.Start(t)
	opts := nsqtest.Options(t)
	opts.AuthHTTPAddresses = []string{server.URL}
	opts.AuthRequired = true
	a := newAPI(t, nsqtest.Start(t, opts))
	for authorization, want := range map[string]string{"": noSecret, "Bearer x": notAllowed} {
		for _, path := range []string{"/pub?topic=t", "/mpub?topic=t"} {
			body, write := io.Pipe() // which nobody writes to before the answer
			if got := a.authorized(authorization, path, body); got != want {
				t.Errorf("%q %s: %s, want %s", authorization, path, got, want)
			}
			write.Close()
		}
	}
}

// An answer serves all requests of one client until it expires; requests that
// come together share a query.
func TestHTTPAuthIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := new(authtest.Server)
		server.Answer("s", 200, mayDo(10*time.Second, both))
		opts := nsqtest.Options(t)
		opts.AuthRequired = true
		b := startAuthInBubble(t, opts, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-time.After(100 * time.Millisecond)
			server.ServeHTTP(w, r)
		}))
		publish := func(want int) {
			t.Helper()
			var clients sync.WaitGroup
			for range 10 {
				clients.Go(func() {
					req, _ := http.NewRequest(http.MethodPost, "http://nsqd/pub?topic=t", strings.NewReader("x"))
					req.Header.Set("Authorization", "Bearer s")
					if resp, body := b.do(req); resp.StatusCode != want {
						t.Errorf("got %s %s, want %d", resp.Status, body, want)
					}
				})
			}
			clients.Wait()
		}
		for i, want := range []struct{ status, queries int }{{200, 1}, {200, 0}, {200, 1}, {403, 1}, {503, 1}} {
			switch i {
			case 2:
				<-time.After(10 * time.Second)
			case 3:
				<-time.After(10 * time.Second)
				server.Answer("s", 200, mayDo(time.Second, `"subscribe"`))
			case 4:
				<-time.After(time.Second)
				server.Answer("s", 500, "")
			}
			publish(want.status)
			if n := len(server.Requests()); n != want.queries {
				t.Errorf("in round %d the auth server was asked %d times, want %d", i, n, want.queries)
			}
		}
	})
}
