package nsqlookupd_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// watching is a request for /watch in progress.
type watching struct {
	tb       testing.TB
	start    time.Time
	answered chan struct{}
	answer   answer
	took     time.Duration
	err      error
}

func (b *bubble) watch(ctx context.Context, query, tag string) *watching {
	w := &watching{tb: b.tb, start: time.Now(), answered: make(chan struct{})}
	go func() {
		defer close(w.answered)
		w.answer, w.err = b.do(ctx, http.MethodGet, "/watch?topic="+query, tag)
		w.took = time.Since(w.start)
	}()
	synctest.Wait()
	return w
}

// want waits for the answer, which must be that of /lookup now, after the given
// time.
func (w *watching) want(what string, b *bubble, took time.Duration) {
	w.tb.Helper()
	<-w.answered
	if w.err != nil {
		w.tb.Fatalf("%s: %v", what, w.err)
	}
	if want := b.get("/lookup?topic=t"); w.answer != want {
		w.tb.Errorf("%s: got  %v\nwant %v", what, w.answer, want)
	}
	if w.took != took {
		w.tb.Errorf("%s: took %v, want %v", what, w.took, took)
	}
}

// wantWaiting checks that there is no answer yet.
func (w *watching) wantWaiting(what string) {
	w.tb.Helper()
	synctest.Wait()
	select {
	case <-w.answered:
		w.tb.Fatalf("%s: was answered %v, %v", what, w.answer, w.err)
	default:
	}
}

func inBubble(t *testing.T, f func(t *testing.T, b *bubble)) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.LookupdOptions(t)
		opts.InactiveProducerTimeout = 20 * time.Second
		opts.TombstoneLifetime = 5 * time.Second
		f(t, startInBubble(t, opts))
	})
}

func (b *bubble) producer(name string) *rawClient {
	b.tb.Helper()
	c := b.dial()
	c.identify(identifyBody(name))
	return c
}

// Whatever changes the producers of a topic answers who waits, at once; what
// changes something else does not.
func TestWatchIsAnsweredByChanges(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		n1 := b.producer("n1")
		w := b.watch(t.Context(), "t", "")
		b.producer("n2").register("u", "")
		w.wantWaiting("another topic")
		n1.register("t", "")
		w.want("the first producer", b, 0)

		w = b.watch(t.Context(), "t", w.answer.tag)
		n1.register("t", "c")
		w.wantWaiting("a channel")
		n1.register("t", "")
		w.wantWaiting("again")
		n2 := b.producer("n2")
		n2.register("t", "")
		w.want("another producer", b, 0)

		w = b.watch(t.Context(), "t", w.answer.tag)
		n2.unregister("t", "")
		w.want("one less", b, 0)

		n2.register("t", "")
		w = b.watch(t.Context(), "t", "")
		n2.close()
		w.want("the end of a connection", b, 0)

		w = b.watch(t.Context(), "t", "")
		b.post("/topic/tombstone?topic=t&node=n1.example:4151")
		w.want("a tombstone", b, 0)
		w = b.watch(t.Context(), "t", "")
		w.want("the end of a tombstone", b, 5*time.Second)

		w = b.watch(t.Context(), "t", "")
		w.want("an nsqd that does not ping", b, 15*time.Second+1)
		w = b.watch(t.Context(), "t", "")
		n1.ping()
		w.want("and pings again", b, 0)

		w = b.watch(t.Context(), "t", "")
		b.post("/topic/delete?topic=t")
		w.want("the end of the topic", b, 0)
		w = b.watch(t.Context(), "t", "")
		b.post("/topic/create?topic=t")
		w.want("its return", b, 0)
	})
}

// post makes a request that must succeed.
func (b *bubble) post(path string) {
	b.tb.Helper()
	if a, err := b.do(b.tb.Context(), http.MethodPost, path, ""); err != nil || a.status != http.StatusOK {
		b.tb.Fatalf("POST %s: %v, %v", path, a, err)
	}
}

// How long a request waits when nothing changes.
func TestWatchTimeout(t *testing.T) {
	for query, want := range map[string]time.Duration{
		"":                                  30 * time.Second,
		"&timeout=25s":                      25 * time.Second,
		"&timeout=1500":                     1500 * time.Millisecond,
		"&timeout=0.25s":                    250 * time.Millisecond,
		"&timeout=60s":                      time.Minute,
		"&timeout=61s":                      time.Minute,
		"&timeout=60001":                    time.Minute,
		"&timeout=9223372036854775807":      time.Minute,
		"&timeout=1000h&timeout=1s&other=x": time.Minute,
	} {
		t.Run(query, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.watch(t.Context(), "t"+query, "").want("an unknown topic", b, want)
				b.post("/topic/create?topic=t")
				b.watch(t.Context(), "t"+query, "").want("a topic", b, want)
			})
		})
	}
}

// Who knows other producers than there are is answered at once, who knows them
// waits; tags are compared as HTTP says.
func TestWatchIfNoneMatch(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		unknown := b.get("/lookup?topic=t").tag
		n1 := b.producer("n1")
		n1.register("t", "")
		current := b.get("/lookup?topic=t").tag
		if unknown == "" || current == "" || unknown == current || !strings.HasPrefix(current, `W/"`) {
			t.Errorf("the tags are %s and %s", unknown, current)
		}
		const wait = time.Second
		for tag, want := range map[string]time.Duration{
			"":                                wait,
			current:                           wait,
			strings.TrimPrefix(current, "W/"): wait,
			`"x", ` + current:                 wait,
			"*":                               wait,
			unknown:                           0,
			`"x"`:                             0,
			`"x", "y"`:                        0,
			"x":                               0,
			"W/":                              0,
		} {
			b.watch(t.Context(), "t&timeout=1s", tag).want("If-None-Match: "+tag, b, want)
		}
	})
}

// The tag says what the producers are, not who was asked or when.
func TestTagsAreTheSameEverywhere(t *testing.T) {
	tag := func(nodes ...string) string {
		d := nsqtest.StartLookupd(t, nil)
		for _, node := range nodes {
			dialProducer(t, d, node).register("t", "")
		}
		resp, err := http.Get(d.HTTPURL() + "/lookup?topic=t")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		return resp.Header.Get("ETag")
	}
	if a, b := tag("n1", "n2"), tag("n2", "n1"); a != b {
		t.Errorf("got %s and %s", a, b)
	}
	if a, b := tag("n1", "n2"), tag("n1", "n3"); a == b {
		t.Errorf("different producers have the same tag %s", a)
	}
}

// A stop answers all who wait, at once.
func TestStopAnswersWatches(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.post("/topic/create?topic=t")
		want := b.get("/lookup?topic=t")
		var all []*watching
		for range 20 {
			all = append(all, b.watch(t.Context(), "t", ""))
		}
		start := time.Now()
		b.stop()
		if took := time.Since(start); took >= time.Second {
			t.Errorf("the stop took %v", took)
		}
		for _, w := range all {
			<-w.answered
			if w.err != nil || w.answer != want {
				t.Errorf("got %v, %v", w.answer, w.err)
			}
		}
	})
}

// A client that goes away is waited for no longer.
func TestWatchEndsWithItsClient(t *testing.T) {
	d := nsqtest.StartLookupd(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.HTTPURL()+"/watch?topic=t", nil)
		if err == nil {
			_, err = http.DefaultClient.Do(req)
		}
		ended <- err
	}()
	nsqtest.Eventually(t, "the request waits", func() bool { return d.Watching() == 1 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("it was answered")
	}
	nsqtest.Eventually(t, "it waits no longer", func() bool { return d.Watching() == 0 })
	http.DefaultClient.CloseIdleConnections()
}

// More than a bounded number are told to poll.
func TestTooManyWatches(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.LimitWatches(2)
		first, second := b.watch(t.Context(), "t", ""), b.watch(t.Context(), "u", "")
		w := b.watch(t.Context(), "t", "")
		<-w.answered
		if want := (answer{503, "", `{"message":"TOO_MANY_WATCHES"}`}); w.err != nil || w.answer != want {
			t.Errorf("got %v, %v", w.answer, w.err)
		}
		b.watch(t.Context(), "t", `"x"`).want("who need not wait", b, 0)
		first.wantWaiting("the first")
		second.wantWaiting("the second")
		b.producer("n1").register("t", "")
		first.want("the first", b, 0)
		b.watch(t.Context(), "t&timeout=1", "").want("now there is room", b, time.Millisecond)
	})
}
