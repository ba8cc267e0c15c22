package nsqd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// askedLookupd is a fake nsqlookupd with an HTTP API, at 10.0.0.1:4160 and
// l.example:4161.
type askedLookupd struct {
	*fakeLookupd
	ln *lookupNet

	mu       sync.Mutex
	hung     bool // nothing is answered any more
	channels string
	requests []string // request line and Accept
	conns    int      // to the HTTP API
}

const askedAddress = "10.0.0.1:4160"

// newAskedLookupd returns one that answers queries with the given body. It is
// put on the network by start, and must be made in the bubble before the broker.
func newAskedLookupd(t *testing.T, answer string) *askedLookupd {
	a := &askedLookupd{fakeLookupd: &fakeLookupd{name: "l"}, ln: &lookupNet{apis: make(map[string]*nsqtest.PipeListener)}, channels: answer}
	a.script = func(s *lookupSession, command string) error {
		if a.isHung() {
			return nil
		}
		return s.answerWell(command)
	}
	server := &http.Server{Handler: a, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			a.mu.Lock()
			a.conns++
			a.mu.Unlock()
		}
	}}
	api := nsqtest.NewPipeListener()
	a.ln.apis["l.example:4161"] = api
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(api) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
	})
	return a
}

func (a *askedLookupd) start() { a.ln.put(askedAddress, a.listen()) }

func (a *askedLookupd) hang(hung bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hung = hung
}

func (a *askedLookupd) isHung() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hung
}

func (a *askedLookupd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, r.Method+" "+r.Host+r.RequestURI+" "+r.Header.Get("Accept"))
	a.mu.Unlock()
	if a.isHung() {
		<-r.Context().Done()
		return
	}
	io.WriteString(w, a.channels)
}

func TestQueryOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAskedLookupd(t, `{"channels":["a","b#ephemeral"]}`)
		l.start()
		b, _ := startWithLookupds(t, l.ln, nil, askedAddress)
		c := b.dial()
		c.pub("plain", "m")
		c.pub("passing#ephemeral", "m")
		synctest.Wait()
		slices.Sort(l.requests)
		wantLines(t, "requests", l.requests, []string{
			"GET l.example:4161/channels?topic=passing%23ephemeral application/vnd.nsq; version=1.0",
			"GET l.example:4161/channels?topic=plain application/vnd.nsq; version=1.0",
		})
		b.wantCounts("plain", "a", nsqd.Counts{Depth: 1})
		b.wantCounts("passing#ephemeral", "a", nsqd.Counts{Depth: 1})
		if n := len(l.last(t).registered()); n != 4 {
			t.Errorf("%d topics and channels are registered, want 4", n)
		}
	})
}

// An nsqlookupd whose broadcast address leads nowhere is asked where it is
// connected.
func TestQueryDespiteUselessBroadcastAddress(t *testing.T) {
	for name, err := range map[string]error{
		"a name that cannot be resolved": &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "l.example"}},
		"an address that nobody has":     &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newAskedLookupd(t, `{"channels":["a"]}`)
				l.ln.apis["10.0.0.1:4161"] = l.ln.apis["l.example:4161"]
				delete(l.ln.apis, "l.example:4161")
				l.ln.refusal = err
				l.start()
				b, log := startWithLookupds(t, l.ln, nil, askedAddress)
				c := b.dial()
				for i := range 3 {
					c.pub(fmt.Sprint("t", i), "m")
				}
				synctest.Wait()
				for i := range 3 {
					b.wantCounts(fmt.Sprint("t", i), "a", nsqd.Counts{Depth: 1})
				}
				if n := strings.Count(log.String(), "queried at the address that it is connected by"); n != 1 {
					t.Errorf("that was logged %d times:\n%s", n, log.String())
				}
			})
		})
	}
}

// An nsqlookupd that stops to answer everything, as a process that is suspended.
func TestHungLookupDelaysNoPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAskedLookupd(t, `{"channels":["a"]}`)
		l.start()
		b, log := startWithLookupds(t, l.ln, nil, askedAddress)
		l.hang(true)
		start := time.Now()
		const topics = 200
		c := b.dial()
		for i := range topics {
			c.pub(fmt.Sprint("t", i), "m")
		}
		consumer := b.dial()
		consumer.consume("t7", "mine", 10)
		if took := time.Since(start); took > 0 {
			t.Errorf("%d first publishes took %v", topics, took)
		}
		consumer.fin(consumer.wantMessage("m", 1))
		if took := time.Since(start); took > b.opts.HTTPClientRequestTimeout {
			t.Errorf("a message of a new topic was delivered after %v", took)
		}
		pass(10 * time.Second)
		start = time.Now()
		c.pub("later", "m")
		late := b.dial()
		late.consume("later", "mine", 10)
		late.fin(late.wantMessage("m", 1))
		if took := time.Since(start); took > 0 {
			t.Errorf("while it is known to hang, a message of a new topic was delivered after %v", took)
		}
		l.hang(false)
		pass(10 * time.Second)
		for i := range topics {
			if _, ok := b.ChannelCounts(fmt.Sprint("t", i), "a"); !ok {
				t.Fatalf("topic t%d has not got its channel", i)
			}
		}
		if n := strings.Count(log.String(), "to pre-create for topic"); n > 2 {
			t.Errorf("that was logged %d times:\n%s", n, log.String())
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.conns > 20 { // in 200 topics, and each time-out costs one
			t.Errorf("%d connections to the HTTP API", l.conns)
		}
	})
}

func TestLookupThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAskedLookupd(t, `{"status_code":200,"status_txt":"OK","data":{"channels":["a"]}}`)
		b, log := startWithLookupds(t, l.ln, nil, askedAddress)
		c := b.dial()
		for i := range 10 {
			c.pub(fmt.Sprint("t", i), "m")
		}
		consumer := b.dial()
		consumer.consume("t7", "mine", 10)
		consumer.fin(consumer.wantMessage("m", 1))
		if n := strings.Count(log.String(), "no available nsqlookupd to query for channels to pre-create for topic t0"); n != 1 {
			t.Errorf("that was logged %d times:\n%s", n, log.String())
		}
		l.start()
		pass(5 * time.Second)
		for i := range 10 {
			want := nsqd.Counts{Depth: 1}
			if i == 7 { // it had another channel in time
				want = nsqd.Counts{}
			}
			b.wantCounts(fmt.Sprint("t", i), "a", want)
		}
	})
}

// What was published to topics that are held comes out of them after a restart,
// with nobody left out.
func TestRestartWhileTopicsAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAskedLookupd(t, `{"channels":["a","b"]}`)
		l.start()
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 3
		b, _ := startWithLookupds(t, l.ln, opts, askedAddress)
		l.hang(true)
		c := b.dial()
		for i := range 10 {
			c.pub("t", fmt.Sprint(i))
		}
		c.dpub("t", time.Second, "deferred")
		b.stop() // takes no time: startWithLookupds checks
		l.hang(false)
		b, _ = startWithLookupds(t, l.ln, opts, askedAddress)
		pass(5 * time.Second)
		for _, channel := range []string{"a", "b"} {
			consumer := b.dial()
			consumer.consume("t", channel, 20)
			got := slices.Sorted(slices.Values(consumer.take(11))) // a restart puts what was in memory behind what was on disk
			wantLines(t, "channel "+channel, got, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "deferred"})
		}
	})
}

// Few connections and no time, however many topics there are.
func TestManyNewTopicsShareConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newAskedLookupd(t, `{"channels":["a"]}`)
		l.start()
		b, _ := startWithLookupds(t, l.ln, nil, askedAddress)
		const topics = 500
		c := b.dial()
		for i := range topics {
			c.pub(fmt.Sprint("t", i), "m")
		}
		pass(time.Second)
		for i := range topics {
			b.wantCounts(fmt.Sprint("t", i), "a", nsqd.Counts{Depth: 1})
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.requests) != topics || l.conns > 4 {
			t.Errorf("%d queries on %d connections, want %d on 4 at most", len(l.requests), l.conns, topics)
		}
	})
}

// Answers that are none, and of any size.
func TestHostileAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON":          "<html>",
		"nothing":          "",
		"another type":     `{"channels":{"a":1}}`,
		"a list of others": `{"channels":[1,null,["a"]]}`,
		"more than 5 MiB":  `{"channels":["` + strings.Repeat("a", 5<<20) + `"]}`,
		"bad names":        `{"channels":["","a b","` + strings.Repeat("a", 65) + `","\u0000","#ephemeral","../"` + strings.Repeat(`,"/"`, 10000) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newAskedLookupd(t, answer)
				l.start()
				b, _ := startWithLookupds(t, l.ln, nil, askedAddress)
				start := time.Now()
				b.dial().pub("t", "m")
				consumer := b.dial()
				consumer.consume("t", "mine", 10)
				consumer.fin(consumer.wantMessage("m", 1))
				if took := time.Since(start); took > 0 {
					t.Errorf("delivered after %v", took)
				}
			})
		})
	}
}
