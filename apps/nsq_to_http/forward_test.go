package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// delivery is the delegate of a message on a fake clock.
type delivery struct {
	ctx     context.Context
	start   time.Time
	timeout time.Duration
	touched []time.Duration // after start
	answer  string
}

func (d *delivery) Context(*nsq.Message) context.Context { return d.ctx }
func (d *delivery) Timeout(*nsq.Message) time.Duration   { return d.timeout }
func (d *delivery) OnTouch(*nsq.Message)                 { d.touched = append(d.touched, time.Since(d.start)) }
func (d *delivery) OnFinish(*nsq.Message)                { d.answer = "FIN" }
func (d *delivery) OnRequeue(_ *nsq.Message, _ time.Duration, backoff bool) {
	d.answer = map[bool]string{true: "REQ with backoff", false: "REQ"}[backoff]
}

// deliver makes f handle a message, and returns what it did and how long it took.
func deliver(f *forwarder, d *delivery) (took time.Duration, err error) {
	m := nsq.NewMessage(nsq.MessageID{}, []byte("x"))
	m.Delegate = d
	d.start = time.Now()
	err = f.HandleMessage(m)
	return time.Since(d.start), err
}

// transport answers requests on a fake clock.
type transport func(r *http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// answersAfter is a server that takes a while.
func answersAfter(d time.Duration, status int) transport {
	return func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		}
	}
}

// forwarderOf returns a forwarder whose requests go to a transport.
func forwarderOf(t *testing.T, rt http.RoundTripper, args ...string) *forwarder {
	t.Helper()
	fs := flag.NewFlagSet("nsq_to_http", flag.ContinueOnError)
	o := newOptions(fs)
	if err := fs.Parse(append(args, "-topic=t", "-nsqd-tcp-address=x:1", "-status-every=0")); err != nil {
		t.Fatal(err)
	}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	f, err := newForwarder(o)
	if err != nil {
		t.Fatal(err)
	}
	f.client.Transport = rt
	return f
}

func TestHandling(t *testing.T) {
	for name, c := range map[string]struct {
		takes   time.Duration
		status  int
		lost    time.Duration // when nsqd is, if it is
		touched []time.Duration
		err     string // how it begins; "" for none
		answer  string // given by the handler itself
		took    time.Duration
	}{
		"fast":                             {takes: time.Second, status: 200, took: time.Second},
		"just before half of the time-out": {takes: 4 * time.Second, status: 200, took: 4 * time.Second},
		"slow":                             {takes: 12 * time.Second, status: 200, touched: []time.Duration{5 * time.Second, 10 * time.Second}, took: 12 * time.Second},
		"failed":                           {takes: 6 * time.Second, status: 500, touched: []time.Duration{5 * time.Second}, err: "http://a/: got status code 500", took: 6 * time.Second},
		"too slow": {takes: time.Hour, touched: []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second},
			err: "http://a/: context deadline exceeded", took: 18 * time.Second},
		"nobody waits for the answer any more": {takes: time.Hour, lost: 7 * time.Second, touched: []time.Duration{5 * time.Second}, answer: "REQ", took: 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := forwarderOf(t, answersAfter(c.takes, c.status), "-post=http://a/", "-http-client-request-timeout=18s")
				d := &delivery{ctx: t.Context(), timeout: 10 * time.Second}
				if c.lost > 0 {
					ctx, cancel := context.WithTimeout(t.Context(), c.lost)
					defer cancel()
					d.ctx = ctx
				}
				took, err := deliver(f, d)
				synctest.Wait()
				if (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
					t.Errorf("the error is %v, want %q", err, c.err)
				}
				if took != c.took || d.answer != c.answer || !slices.Equal(d.touched, c.touched) {
					t.Errorf("it took %v, was touched after %v, and answered with %q", took, d.touched, d.answer)
				}
			})
		})
	}
}

// A message whose turn has not come is touched as well, and given back when that
// makes no sense any more.
func TestWaitingForTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := forwarderOf(t, answersAfter(8*time.Second, 200), "-post=http://a/", "-n=1")
		first, second, third := &delivery{ctx: t.Context(), timeout: 10 * time.Second}, &delivery{ctx: t.Context(), timeout: 10 * time.Second}, &delivery{}
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		third.ctx = ctx
		took := make([]time.Duration, 3)
		for i, d := range []*delivery{first, second, third} {
			go func() { took[i], _ = deliver(f, d) }()
			synctest.Wait()
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if want := []time.Duration{8 * time.Second, 16 * time.Second, 9 * time.Second}; !slices.Equal(took, want) {
			t.Errorf("they took %v, want %v", took, want)
		}
		if want := []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second}; !slices.Equal(second.touched, want) {
			t.Errorf("the second was touched after %v, want %v", second.touched, want)
		}
		if third.answer != "REQ" {
			t.Errorf("the third was answered with %q, want REQ", third.answer)
		}
	})
}

// Requests that nobody waits for any more say nothing about the server.
func TestLostConnectionIsNoFailureOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		f := forwarderOf(t, transport(func(r *http.Request) (*http.Response, error) {
			asked[r.URL.Host]++
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}), "-post=http://a/", "-post=http://b/")
		for range 4 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			deliver(f, &delivery{ctx: ctx})
			cancel()
		}
		if asked["a"] != 2 || asked["b"] != 2 {
			t.Errorf("the servers were asked %v, want each of them twice", asked)
		}
	})
}

// The mode all sends to all servers at once, and says which failed.
func TestAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := forwarderOf(t, transport(func(r *http.Request) (*http.Response, error) {
			<-time.After(3 * time.Second)
			if r.URL.Host != "good" {
				return nil, errors.New("out of order")
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
		}), "-mode=all", "-post=http://u:p@bad/", "-post=http://good/", "-post=http://worse/")
		took, err := deliver(f, &delivery{ctx: t.Context()})
		if want := "http://u:xxxxx@bad/: out of order; http://worse/: out of order"; err == nil || err.Error() != want || took != 3*time.Second {
			t.Errorf("after %v: %v, want %s", took, err, want)
		}
	})
}

func TestAddressesAreShownWithoutPassword(t *testing.T) {
	for address, want := range map[string]string{
		"http://u:p@h/x":     "http://u:xxxxx@h/x",
		"https://u:a:b@h":    "https://u:xxxxx@h",
		"http://u:p%40@h/%s": "http://u:xxxxx@h/%s",
		"http://u@h/":        "http://u@h/",
		"http://h:80/a:b@c":  "http://h:80/a:b@c",
		"http://h/?x=u:p@h":  "http://h/?x=u:p@h",
		"http://:p@h/":       "http://:xxxxx@h/",
		"":                   "",
	} {
		if got := shown(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}
