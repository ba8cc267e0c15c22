package nsq

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A topic that does not exist yet, and each nsqd that has it later, is consumed as
// soon as nsqlookupd knows of it.
func TestNewProducersAreConsumedAtOnce(t *testing.T) {
	const limit = time.Second // a loaded machine's; 100 ms are the aim
	var nsqds []string
	for i := range 5 {
		addr := nsqtest.Start(t, nil).TCPAddr()
		if err := newTestProducer(t, addr, nil).Publish("t", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		nsqds = append(nsqds, addr)
	}
	f := nsqtest.StartFakeLookupd(t)
	f.Set(func(f *nsqtest.FakeLookupd) { f.Known = false })
	bodies := make(chan string, 10)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	mustConnect(t, r, f.URL)
	nsqtest.Eventually(t, "a watch", func() bool { return len(f.Asked("/watch")) == 1 })

	var took []time.Duration
	for i := range nsqds {
		start := time.Now()
		f.List(nsqds[:i+1]...)
		if got := nsqtest.Receive(t, "the message", bodies); got != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", got, i)
		}
		took = append(took, time.Since(start))
	}
	t.Logf("from being listed to the handler: %v", took)
	// A machine that is busy with other things may be late once.
	slices.Sort(took)
	if took[len(took)/2] > limit {
		t.Errorf("messages came after %v, want less than %v", took, limit)
	}
}

// The same with daemons as they are: what is published to a topic that did not
// exist is with the consumer at once, on the first nsqd and on another, and so it
// is after an nsqlookupd was away.
func TestRealCluster(t *testing.T) {
	lookupds := []*nsqtest.Lookupd{nsqtest.StartLookupd(t, nil), nsqtest.StartLookupd(t, nil)}
	var nsqds []*nsqtest.NSQD
	for range 3 {
		opts := nsqtest.Options(t)
		opts.LookupdTCPAddresses = []string{lookupds[0].TCPAddr(), lookupds[1].TCPAddr()}
		nsqds = append(nsqds, nsqtest.Start(t, opts))
	}
	for _, l := range lookupds {
		nsqtest.Eventually(t, "all nsqds are registered", func() bool {
			resp, err := http.Get(l.HTTPURL() + "/nodes")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var nodes struct{ Producers []any }
			return json.NewDecoder(resp.Body).Decode(&nodes) == nil && len(nodes.Producers) == len(nsqds)
		})
	}
	http.DefaultClient.CloseIdleConnections()

	bodies := make(chan string, 10)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	mustConnect(t, r, lookupds[0].HTTPAddr(), lookupds[1].HTTPURL())
	consumed := func(d *nsqtest.NSQD) {
		t.Helper()
		start := time.Now()
		if err := newTestProducer(t, d.TCPAddr(), nil).Publish("t", []byte(d.TCPAddr())); err != nil {
			t.Fatal(err)
		}
		if got := nsqtest.Receive(t, "the message", bodies); got != d.TCPAddr() {
			t.Errorf("got %q, want %q", got, d.TCPAddr())
		}
		t.Logf("from the first message of a topic to the handler: %v", time.Since(start))
	}
	consumed(nsqds[0])
	consumed(nsqds[1])

	lookupds[0].Stop()
	lookupds[1] = lookupds[1].Restart() // with an empty list at first
	if n := r.Stats().Connections; n != 2 {
		t.Errorf("%d connections after the restart", n)
	}
	nsqtest.Eventually(t, "the restarted nsqlookupd lists all again", func() bool { u, _ := r.discovery.union(); return len(u.addrs) == 2 })
	consumed(nsqds[2])

	gone := nsqds[0].TCPAddr()
	nsqds[0].Stop()
	nsqtest.Eventually(t, "an nsqd that is gone is given up", func() bool { return !r.wants(gone) })
	if n := r.Stats().Connections; n != 2 {
		t.Errorf("%d connections at the end", n)
	}
}
