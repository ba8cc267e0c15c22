package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a client of a daemon that answers by handle, and the daemon's
// address.
func start(t *testing.T, handle http.HandlerFunc) (*Client, string) {
	daemon := httptest.NewServer(handle)
	c := NewClient(Config{
		Dial:           (&net.Dialer{Timeout: time.Second}).DialContext,
		RequestTimeout: 5 * time.Second,
		MaxAnswer:      100,
		ConnsPerDaemon: 2,
	})
	t.Cleanup(daemon.Close)
	t.Cleanup(c.Close)
	return c, strings.TrimPrefix(daemon.URL, "http://")
}

type channelList struct {
	Channels []string `json:"channels"`
}

func TestGetReadsAnswers(t *testing.T) {
	const v1 = "nsq; version=1.0"
	for name, c := range map[string]struct {
		contentType string
		body        string
		want        []string
		err         string // part of it, "" for none
	}{
		"an object":                       {v1, `{"channels":["a","b"]}`, []string{"a", "b"}, ""},
		"an object without the header":    {"", `{"channels":["a"]}`, []string{"a"}, ""},
		"an envelope":                     {"", `{"status_code":200,"status_txt":"OK","data":{"channels":["a"]}}`, []string{"a"}, ""},
		"an envelope without data":        {"", `{"status_code":200,"status_txt":"OK","data":null}`, nil, ""},
		"with the header no envelope":     {v1, `{"status_code":200,"data":{"channels":["a"]}}`, nil, ""},
		"an object with data of its own":  {"", `{"data":{"channels":["a"]},"channels":["b"]}`, []string{"b"}, ""},
		"nothing of interest":             {v1, `{}`, nil, ""},
		"another type":                    {v1, `{"channels":[1]}`, nil, "answer is not as expected: json: "},
		"no object":                       {v1, `["a"]`, nil, "answer is not as expected: json: "},
		"no JSON":                         {"", `<html>`, nil, "answer is not as expected: invalid character '<'"},
		"nothing":                         {"", ``, nil, "answer is not as expected: unexpected end"},
		"as many bytes as it may have":    {v1, pad(`{"channels":["a"]}`, 100), []string{"a"}, ""},
		"one more byte than it may have":  {v1, pad(`{"channels":["a"]}`, 101), nil, "answer has more than 100 bytes"},
		"far more bytes than it may have": {v1, pad(`{"channels":["a"]}`, 8<<20), nil, "answer has more than 100 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			client, address := start(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.contentType != "" {
					w.Header().Set("X-Nsq-Content-Type", c.contentType)
				}
				io.WriteString(w, c.body)
			})
			var got channelList
			err := client.Get(t.Context(), address, "/channels", nil, &got)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) {
				t.Errorf("Get: %v, want %q", err, c.err)
			}
			if _, ok := errors.AsType[*AnswerError](err); ok != (c.err != "") {
				t.Errorf("Get: %T", err)
			}
			if c.err == "" && !reflect.DeepEqual(got.Channels, c.want) {
				t.Errorf("channels %q, want %q", got.Channels, c.want)
			}
		})
	}
}

// pad makes an object n bytes long.
func pad(object string, n int) string {
	return object[:len(object)-1] + strings.Repeat(" ", n-len(object)) + "}"
}

func TestGetTellsOfRefusals(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"TOPIC_NOT_FOUND"}`:                                `answered with status 404 "TOPIC_NOT_FOUND"`,
		`{"status_code":404,"status_txt":"INVALID_TOPIC","data":null}`: `answered with status 404 "INVALID_TOPIC"`,
		"<html>":                   "answered with status 404",
		"":                         "answered with status 404",
		strings.Repeat("x", 1<<20): "answered with status 404",
	} {
		client, address := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, body)
		})
		err := client.Get(t.Context(), address, "/channels", nil, new(channelList))
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != http.StatusNotFound || err.Error() != want {
			t.Errorf("Get of %.40q: %v, want %s", body, err, want)
		}
	}
}

func TestGetSendsWhatIsAsked(t *testing.T) {
	var uri, accept atomic.Value
	client, address := start(t, func(w http.ResponseWriter, r *http.Request) {
		uri.Store(r.RequestURI)
		accept.Store(r.Header.Get("Accept"))
		io.WriteString(w, "{}")
	})
	if err := client.Get(t.Context(), address, "/channels", url.Values{"topic": {"a.b#ephemeral&x=y"}}, new(channelList)); err != nil {
		t.Fatal(err)
	}
	if got, want := uri.Load(), "/channels?topic=a.b%23ephemeral%26x%3Dy"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	if got, want := accept.Load(), "application/vnd.nsq; version=1.0"; got != want {
		t.Errorf("Accept: %s, want %s", got, want)
	}
}

// A request ends with its time-out, with its context and, while it connects,
// with the client's Close.
func TestGetEnds(t *testing.T) {
	hung := make(chan struct{})
	daemon := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer daemon.Close()
	defer close(hung)
	address := daemon.Listener.Addr().String()
	dial := (&net.Dialer{Timeout: time.Second}).DialContext
	dialing := make(chan struct{}, 1)
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialing <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	get := func(ctx context.Context, c *Client) error {
		return c.Get(ctx, address, "/channels", nil, new(channelList))
	}
	newClient := func(timeout time.Duration, dial Dial) *Client {
		c := NewClient(Config{Dial: dial, RequestTimeout: timeout, MaxAnswer: 100, ConnsPerDaemon: 2})
		t.Cleanup(c.Close)
		return c
	}

	if err := get(t.Context(), newClient(50*time.Millisecond, dial)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a daemon that does not answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := get(ctx, newClient(time.Minute, dial)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
	closed, failed := newClient(time.Minute, never), make(chan error)
	go func() { failed <- get(t.Context(), closed) }()
	<-dialing
	closed.Close()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Close while it connects: %v", err)
	}
}

// However many requests there are at a time, connections are few and kept for
// the next one.
func TestGetSharesConnections(t *testing.T) {
	var dials atomic.Int32
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	defer daemon.Close()
	client := NewClient(Config{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		RequestTimeout: 10 * time.Second,
		MaxAnswer:      100,
		ConnsPerDaemon: 2,
	})
	defer client.Close()
	var running sync.WaitGroup
	for range 20 {
		running.Go(func() {
			for range 10 {
				if err := client.Get(t.Context(), daemon.Listener.Addr().String(), "/channels", nil, new(channelList)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if n := dials.Load(); n > 2 {
		t.Errorf("%d connections for 200 requests, want 2", n)
	}
}

func TestPost(t *testing.T) {
	for status, want := range map[int]string{200: "", 404: `answered with status 404 "CHANNEL_NOT_FOUND"`} {
		var asked atomic.Value
		client, address := start(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Store(r.Method + " " + r.RequestURI)
			if r.ContentLength != 0 {
				t.Errorf("a body of %d bytes", r.ContentLength)
			}
			w.WriteHeader(status)
			io.WriteString(w, `{"message":"CHANNEL_NOT_FOUND"}`)
		})
		err := client.Post(t.Context(), address, "/channel/pause", url.Values{"topic": {"t"}, "channel": {"c#ephemeral"}})
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
		if e, ok := errors.AsType[*StatusError](err); ok && e.Body != `{"message":"CHANNEL_NOT_FOUND"}` {
			t.Errorf("body %q", e.Body)
		}
		if got, want := asked.Load(), "POST /channel/pause?channel=c%23ephemeral&topic=t"; got != want {
			t.Errorf("asked for %s, want %s", got, want)
		}
	}
}

// A daemon that answers over TLS only says at which port, and is asked there: by
// those who trust its certificate.
func TestDaemonsWithTLSAreAskedAgain(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"channels":["`+r.Method+`"]}`)
	}))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	_, port, _ := net.SplitHostPort(secure.Listener.Addr().String())
	trusting := secure.Client().Transport.(*http.Transport).TLSClientConfig

	for name, c := range map[string]struct {
		answer string
		tls    *tls.Config
		err    string // part of it
	}{
		"trusted":       {`{"message": "TLS_REQUIRED", "https_port": ` + port + `}`, trusting, ""},
		"not verified":  {`{"message": "TLS_REQUIRED", "https_port": ` + port + `}`, &tls.Config{InsecureSkipVerify: true}, ""},
		"not trusted":   {`{"message": "TLS_REQUIRED", "https_port": ` + port + `}`, nil, "certificate"},
		"without HTTPS": {`{"message": "TLS_REQUIRED", "https_port": 0}`, trusting, `answered with status 403 "TLS_REQUIRED"`},
		"other refusal": {`{"message": "FORBIDDEN"}`, trusting, `answered with status 403 "FORBIDDEN"`},
	} {
		t.Run(name, func(t *testing.T) {
			plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, c.answer)
			}))
			defer plain.Close()
			client := NewClient(Config{
				Dial: new(net.Dialer).DialContext, TLS: c.tls, RequestTimeout: 5 * time.Second, MaxAnswer: 100, ConnsPerDaemon: 2,
			})
			defer client.Close()
			var got channelList
			err := client.Get(t.Context(), plain.Listener.Addr().String(), "/channels", nil, &got)
			if c.err == "" && (err != nil || !reflect.DeepEqual(got.Channels, []string{"GET"})) {
				t.Errorf("Get: %q, %v", got.Channels, err)
			}
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("Get: %v, want %s", err, c.err)
			}
			if err := client.Post(t.Context(), plain.Listener.Addr().String(), "/topic/empty", nil); (err == nil) != (c.err == "") {
				t.Errorf("Post: %v, want %s", err, c.err)
			}
		})
	}
}

// A daemon that wants TLS is asked there at once the next time, and at its own
// address again when it is not there any more.
func TestWhereTLSWasAskedForIsRemembered(t *testing.T) {
	answer := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"channels":[]}`) }
	secure := httptest.NewTLSServer(http.HandlerFunc(answer))
	defer secure.Close()
	_, port, _ := net.SplitHostPort(secure.Listener.Addr().String())
	var plainly, wantsTLS atomic.Int32
	wantsTLS.Store(1)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		plainly.Add(1)
		if wantsTLS.Load() == 0 {
			answer(w, r)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"message": "TLS_REQUIRED", "https_port": `+port+`}`)
	}))
	defer plain.Close()
	client := NewClient(Config{
		Dial:           new(net.Dialer).DialContext,
		TLS:            secure.Client().Transport.(*http.Transport).TLSClientConfig,
		RequestTimeout: 5 * time.Second,
		MaxAnswer:      100,
		ConnsPerDaemon: 2,
	})
	defer client.Close()
	get := func() error {
		return client.Get(t.Context(), plain.Listener.Addr().String(), "/channels", nil, new(channelList))
	}
	for range 3 {
		if err := get(); err != nil {
			t.Error(err)
		}
	}
	if n := plainly.Load(); n != 1 {
		t.Errorf("asked without TLS %d times, want once", n)
	}
	wantsTLS.Store(0)
	secure.Close()
	if err := get(); err == nil {
		t.Error("no error of the daemon that has gone")
	}
	if err := get(); err != nil || plainly.Load() != 2 {
		t.Errorf("the next time: %v, asked without TLS %d times", err, plainly.Load())
	}
}

// A change that a daemon sends elsewhere is done there or fails; it is not taken
// for done because something could be read there.
func TestPostIsNotTurnedIntoGet(t *testing.T) {
	for status, done := range map[int]bool{
		http.StatusMovedPermanently:  false,
		http.StatusFound:             false,
		http.StatusSeeOther:          false,
		http.StatusTemporaryRedirect: true,
		http.StatusPermanentRedirect: true,
	} {
		var asked atomic.Value
		c, address := start(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/topic/delete" {
				http.Redirect(w, r, "/elsewhere", status)
				return
			}
			asked.Store(r.Method + " " + r.URL.Path)
		})
		err := c.Post(t.Context(), address, "/topic/delete", nil)
		if done {
			if err != nil || asked.Load() != "POST /elsewhere" {
				t.Errorf("%d: %v, asked for %v", status, err, asked.Load())
			}
			continue
		}
		if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != status || asked.Load() != nil {
			t.Errorf("%d: %v, asked for %v", status, err, asked.Load())
		}
	}
}

// Who sends requests round in circles is not followed for ever.
func TestRedirectionsEnd(t *testing.T) {
	c, address := start(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	var into channelList
	err := c.Get(t.Context(), address, "/channels", nil, &into)
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != http.StatusFound {
		t.Errorf("err = %v", err)
	}
}
