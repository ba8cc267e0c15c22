package nsq

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// lookupConsumer returns a consumer that asks f without a network, to be stopped
// by the returned func.
func lookupConsumer(t *testing.T, f *nsqtest.FakeLookupd, change func(*Config)) (*Consumer, func()) {
	cfg := NewConfig()
	if change != nil {
		change(cfg)
	}
	r, err := NewConsumer("t", "c", cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(testLog{t}, LogLevelDebug)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	r.SetLookupdHttpClient(f.Client())
	return r, func() { r.Stop(); <-r.StopChan }
}

// times returns when requests were made, in relation to start.
func times(requests []nsqtest.LookupRequest, start time.Time) (all []time.Duration) {
	for _, r := range requests {
		all = append(all, r.At.Sub(start))
	}
	return all
}

func TestPolling(t *testing.T) {
	for _, jitter := range []float64{0, 0.3, 1} {
		synctest.Test(t, func(t *testing.T) {
			f := nsqtest.NewFakeLookupd()
			f.NoTags = true
			r, stop := lookupConsumer(t, f, func(c *Config) { c.LookupdPollJitter = jitter })
			start := time.Now()
			if err := r.ConnectToNSQLookupd("lookup:4161"); err != nil {
				t.Error(err)
			}
			<-time.After(5 * time.Minute)
			stop()
			at := times(f.Asked("/lookup"), start)
			if len(at) < 4 || at[0] != 0 || at[1] < time.Minute || at[1] > time.Minute+time.Duration(jitter*float64(time.Minute)) {
				t.Fatalf("asked at %v", at)
			}
			for i := range at[2:] {
				if at[i+2]-at[i+1] != time.Minute {
					t.Errorf("asked at %v, want every minute", at)
				}
			}
			if n := len(f.Asked("/watch")); n != 0 {
				t.Errorf("%d watches without a tag", n)
			}
		})
	}
}

// Consumers that start at the same time do not ask at the same time for ever.
func TestPollingIsSpreadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		f.NoTags = true
		start := time.Now()
		for range 20 {
			r, stop := lookupConsumer(t, f, nil)
			defer stop()
			r.ConnectToNSQLookupd("lookup:4161")
		}
		<-time.After(79 * time.Second)
		at := times(f.Asked("/lookup"), start)[20:]
		slices.Sort(at)
		if len(at) != 20 || len(slices.Compact(at)) < 15 || at[19]-at[0] < 5*time.Second {
			t.Errorf("the second requests came at %v", at)
		}
	})
}

func TestAskedAtOnceWhenAConnectionEnds(t *testing.T) {
	for _, tags := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := nsqtest.NewFakeLookupd()
			f.NoTags = !tags
			r, stop := lookupConsumer(t, f, nil)
			start := time.Now()
			r.ConnectToNSQLookupd("lookup:4161")
			s := addPipe(t, r, "pipe")
			s.Expect("SUB t c")
			<-time.After(20 * time.Second)
			s.Conn.Close()
			synctest.Wait()
			if at := times(f.Asked("/lookup"), start); len(at) != 2 || at[1] != 20*time.Second {
				t.Errorf("asked at %v", at)
			}
			stop()
		})
	}
}

// An nsqlookupd that fails is asked again soon, and less and less often; the log
// says so once.
func TestFailingLookupd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		f.Status = http.StatusInternalServerError
		r, stop := lookupConsumer(t, f, nil)
		l := &callingLog{call: func() {}}
		r.SetLogger(l, LogLevelInfo)
		start := time.Now()
		if err := r.ConnectToNSQLookupd("lookup:4161"); err != nil || time.Since(start) != 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		<-time.After(10 * time.Minute)
		synctest.Wait()
		at := times(f.Asked("/lookup"), start)
		if len(at) < 60 || len(at) > 130 || at[1] > firstAgain {
			t.Errorf("asked at %v", at)
		}
		for i := range at[1:] {
			if pause := at[i+1] - at[i]; pause > maxFailurePause || pause < firstAgain/2 {
				t.Errorf("asked at %v", at)
			}
		}
		f.Set(func(f *nsqtest.FakeLookupd) { f.Status, f.Known = 0, false })
		<-time.After(10 * time.Minute)
		stop()
		if n := l.expect(t,
			"ERR ", "error querying nsqlookupd (http://lookup:4161/lookup) - got response 500 Internal Server Error",
			"INF ", "nsqlookupd (http://lookup:4161/lookup) answers again",
			"nsqlookupd (http://lookup:4161/lookup) does not know the topic yet",
			"stopping", "stopped"); n != 5 {
			t.Errorf("%d lines, want each once", n)
		}
	})
}

func TestLookupdPollTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		f.Hangs = true
		r, stop := lookupConsumer(t, f, func(c *Config) { c.LookupdPollTimeout = 7 * time.Second })
		start := time.Now()
		if err := r.ConnectToNSQLookupd("lookup:4161"); err != nil || time.Since(start) != 7*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		stop()
	})
	synctest.Test(t, func(t *testing.T) { // without a limit, only Stop helps
		f := nsqtest.NewFakeLookupd()
		f.Hangs = true
		r, stop := lookupConsumer(t, f, func(c *Config) { c.LookupdPollTimeout = 0 })
		start := time.Now()
		time.AfterFunc(time.Hour, stop)
		if err := r.ConnectToNSQLookupd("lookup:4161"); err == nil || err.Error() != "consumer stopped" || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		synctest.Wait()
	})
}

func TestWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		f.Known = false // as good as any other state to watch from
		r, stop := lookupConsumer(t, f, nil)
		start := time.Now()
		r.ConnectToNSQLookupd("lookup:4161")
		<-time.After(60 * time.Second)
		f.List()
		<-time.After(10 * time.Second)
		stop()
		if at := times(f.Asked("/lookup"), start); !slices.Equal(at, []time.Duration{0}) {
			t.Errorf("asked at %v", at)
		}
		watches := f.Asked("/watch")
		const s = time.Second
		if at := times(watches, start); !slices.Equal(at, []time.Duration{0, 25 * s, 50 * s, 60 * s}) {
			t.Errorf("watched at %v", at)
		}
		for i, w := range watches {
			want := `W/"false []"`
			if i == 3 {
				want = `W/"true []"`
			}
			if got := w.Header.Get("If-None-Match"); got != want || w.URL.RawQuery != "topic=t&timeout=25000ms" {
				t.Errorf("watch %d: %s of %s, want %s", i, w.URL, got, want)
			}
		}
	})
}

// What answers a watch with anything but a change, or in time, is polled, and
// watched again now and then.
func TestWatchesThatAreRefused(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, watch := range map[string]http.HandlerFunc{
		"no such path":       status(404, `{"message":"NOT_FOUND"}`),
		"no such method":     status(405, `{"message":"METHOD_NOT_ALLOWED"}`),
		"too many":           status(503, `{"message":"TOO_MANY_WATCHES"}`),
		"not modified":       status(304, ""),
		"an empty answer":    status(200, ""),
		"a web page":         status(200, "<html>"),
		"a gateway time-out": func(w http.ResponseWriter, _ *http.Request) { <-time.After(10 * time.Second); w.WriteHeader(504) },
		"silence":            func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"the same, at once": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", r.Header.Get("If-None-Match"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := nsqtest.NewFakeLookupd()
				f.Watch = watch
				r, stop := lookupConsumer(t, f, nil)
				defer stop()
				start := time.Now()
				r.ConnectToNSQLookupd("lookup:4161")
				<-time.After(time.Hour)
				polls, watches := f.Asked("/lookup"), f.Asked("/watch")
				if len(polls) < 55 || len(polls) > 90 || len(watches) < 10 || len(watches) > 20 {
					t.Errorf("%d polls and %d watches within an hour", len(polls), len(watches))
				}
				if at := times(watches, start); at[1]-at[0] > time.Minute {
					t.Errorf("watched at %v", at)
				}
				f.Set(func(f *nsqtest.FakeLookupd) { f.Watch = nil })
				<-time.After(20 * time.Minute)
				before := len(f.Asked("/lookup"))
				<-time.After(time.Hour)
				if n := len(f.Asked("/lookup")); n != before {
					t.Errorf("polled %d more times once watching works", n-before)
				}
			})
		})
	}
}

// Something in between may say in its own way that nothing has changed.
func TestWatchThatEndsNotModified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		f.Watch = func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(25 * time.Second)
			w.WriteHeader(http.StatusNotModified)
		}
		r, stop := lookupConsumer(t, f, nil)
		defer stop()
		r.ConnectToNSQLookupd("lookup:4161")
		<-time.After(time.Hour)
		if polls, watches := len(f.Asked("/lookup")), len(f.Asked("/watch")); polls != 1 || watches != 3600/25 && watches != 3600/25+1 {
			t.Errorf("%d polls and %d watches", polls, watches)
		}
	})
}

// Who waits for the first answer does not wait for an nsqlookupd that was removed.
func TestDisconnectFromHungLookupd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		f.Hangs = true
		r, stop := lookupConsumer(t, f, nil)
		defer stop()
		start := time.Now()
		time.AfterFunc(10*time.Second, func() {
			if err := errors.Join(r.ConnectToNSQLookupd("other:4161"), r.DisconnectFromNSQLookupd("lookup:4161")); err != nil {
				t.Error(err)
			}
		})
		if err := r.ConnectToNSQLookupd("lookup:4161"); err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// Two nsqlookupds behind one address that do not agree always answer at once.
func TestRestlessWatchesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := nsqtest.NewFakeLookupd()
		n := 0
		f.Watch = func(w http.ResponseWriter, _ *http.Request) {
			n++
			w.Header().Set("ETag", fmt.Sprint(n))
		}
		r, stop := lookupConsumer(t, f, nil)
		defer stop()
		r.ConnectToNSQLookupd("lookup:4161")
		<-time.After(time.Minute)
		if n := len(f.Asked("/watch")); n < 200 || n > 270 {
			t.Errorf("%d watches within a minute, want four a second", n)
		}
	})
}

// A client that gives up soon is not made to watch for long, or at all.
func TestWatchesEndBeforeTheClientsTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]string{
		10 * time.Second:        "topic=t&timeout=5000ms",
		time.Hour:               "topic=t&timeout=25000ms",
		1999 * time.Millisecond: "",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := nsqtest.NewFakeLookupd()
			r, stop := lookupConsumer(t, f, nil)
			defer stop()
			client := f.Client()
			client.Timeout = timeout
			r.SetLookupdHttpClient(client)
			r.ConnectToNSQLookupd("lookup:4161")
			<-time.After(2 * time.Minute)
			watches := f.Asked("/watch")
			got := ""
			if len(watches) > 0 {
				got = watches[0].URL.RawQuery
			}
			if n := len(f.Asked("/lookup")); got != want || want != "" && n != 1 {
				t.Errorf("time-out %v: watched %q, want %q, and asked %d times", timeout, got, want, n)
			}
		})
	}
}
