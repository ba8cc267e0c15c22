package nsq

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// pollingOften makes discovery fast.
func pollingOften(c *Config) { c.LookupdPollInterval = 50 * time.Millisecond }

func TestMultiProducerFindsNSQDs(t *testing.T) {
	stores, addrs := startStores(t, 4)
	a, b := nsqtest.StartFakeLookupd(t, addrs[1]), nsqtest.StartFakeLookupd(t, addrs[1], addrs[2])
	p := newTestMulti(t, addrs[:1], pollingOften)
	p.SetBehaviorDelegate(filterFunc(func(found []string) []string {
		return slices.DeleteFunc(found, func(addr string) bool { return addr == addrs[3] })
	}))
	if err := p.ConnectToNSQLookupds([]string{a.URL, b.URL + "/lookup"}); err != nil {
		t.Fatal(err)
	}
	p.connectedToListed(t, addrs[:3]...)
	nsqtest.Eventually(t, "both are asked for all nsqds", func() bool { return len(a.Asked("/nodes")) > 0 && len(b.Asked("/nodes")) > 0 })
	if len(b.Asked("/watch")) > 0 {
		t.Error("one was asked to be watched")
	}
	stop, count := startPublishers(t, 5, func(body []byte) error { return p.Publish("t", body) })
	atLeast(t, count, 200)
	a.List(addrs[3], addrs[2]) // one is filtered
	b.List(addrs[2])
	p.connectedToListed(t, addrs[0], addrs[2])
	p.nobodyLeaves(t)
	before := len(stores[1].bodies())
	atLeast(t, count, 200)
	if after := len(stores[1].bodies()); after != before {
		t.Errorf("%d messages for an nsqd that is not listed", after-before)
	}
	acknowledged, _ := stop()
	kept(t, acknowledged, stores...)
	if len(stores[3].bodies()) > 0 {
		t.Error("messages for an nsqd that the filter left out")
	}
}

type filterFunc func([]string) []string

func (f filterFunc) Filter(addrs []string) []string { return f(addrs) }

// connectedToListed is connectedTo after something was published, as given nsqds are
// connected to by then only.
func (p *MultiProducer) connectedToListed(t testing.TB, addrs ...string) {
	t.Helper()
	for _, m := range *p.members.Load() {
		if m.given {
			m.producer.Ping()
		}
	}
	p.connectedTo(t, addrs...)
}

// nobodyLeaves waits until all that are not listed any more are drained.
func (p *MultiProducer) nobodyLeaves(t testing.TB) {
	t.Helper()
	nsqtest.Eventually(t, "those that left are forgotten", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.leaving) == 0
	})
}

// An nsqd that is not listed any more may finish what it was sent.
func TestMultiProducerDrainsWhatIsNotListed(t *testing.T) {
	stores, addrs := startStores(t, 2)
	f := nsqtest.StartFakeLookupd(t, addrs[0])
	p := newTestMulti(t, nil, pollingOften)
	if err := p.ConnectToNSQLookupd(f.URL); err != nil {
		t.Fatal(err)
	}
	stores[0].hang()
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("x")) }()
	done := make(chan *ProducerTransaction, 1)
	if err := p.PublishAsync("t", []byte("y"), done); err != nil {
		t.Fatal(err)
	}
	leaving := findMember(*p.members.Load(), addrs[0])
	nsqtest.Eventually(t, "both wait", func() bool { n, _ := leaving.producer.load(); return n == 2 })

	f.List(addrs[1])
	p.connectedTo(t, addrs[1])
	if err := p.Publish("t", []byte("z")); err != nil {
		t.Error(err)
	}
	if len(published) > 0 || len(done) > 0 {
		t.Error("it was cut off")
	}
	stores[0].goOn()
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Error(err)
	}
	if tx := nsqtest.Receive(t, "the transaction", done); tx.Error != nil {
		t.Error(tx.Error)
	}
	nsqtest.Receive(t, "the end of it", leaving.ended)
	if len(stores[0].bodies()) != 2 || len(stores[1].bodies()) != 1 {
		t.Errorf("got %q and %q", stores[0].bodies(), stores[1].bodies())
	}
	p.nobodyLeaves(t)
	f.List(addrs...) // and may come again
	p.connectedTo(t, addrs...)
}

func TestMultiProducerWithoutNSQLookupd(t *testing.T) {
	stores, addrs := startStores(t, 2)
	f := nsqtest.NewFakeLookupd(addrs...)
	kill := f.Serve(t, "127.0.0.1:0")
	p := newTestMulti(t, nil, pollingOften)
	if err := p.ConnectToNSQLookupd(f.URL); err != nil {
		t.Fatal(err)
	}
	p.connectedTo(t, addrs...)
	kill()
	nsqtest.Eventually(t, "the failure is noticed", func() bool { u, _ := p.discovery.union(); return !u.answered })
	p.discovery.act()
	for range 20 {
		if err := p.Publish("t", nil); err != nil {
			t.Fatal(err)
		}
	}
	stores[0].kill()
	for range 20 {
		if err := p.Publish("t", nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(*p.members.Load()); n != 2 {
		t.Errorf("%d nsqds are known", n)
	}
	if err := p.DisconnectFromNSQLookupd(f.URL); !errors.Is(err, ErrOnlyLookupd) {
		t.Errorf("DisconnectFromNSQLookupd: %v", err)
	}
}

// Just after a restart an nsqlookupd lists nothing.
func TestMultiProducerWithAnNSQLookupdThatRestarts(t *testing.T) {
	_, addrs := startStores(t, 2)
	f := nsqtest.StartFakeLookupd(t, addrs...)
	p := newTestMulti(t, nil, nil) // polls every minute
	if err := p.ConnectToNSQLookupd(f.URL); err != nil {
		t.Fatal(err)
	}
	p.connectedTo(t, addrs...)
	f.List()
	p.discovery.askNow()
	nsqtest.Eventually(t, "the empty list", func() bool { u, _ := p.discovery.union(); return len(u.addrs) == 0 })
	p.discovery.act()
	if err := p.Publish("t", nil); err != nil {
		t.Error(err)
	}
}

func TestMultiProducerWithDaemons(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t, nil)
	var addrs []string
	var daemons []*nsqtest.NSQD
	for range 3 {
		opts := nsqtest.Options(t)
		opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
		d := nsqtest.Start(t, opts)
		daemons, addrs = append(daemons, d), append(addrs, d.TCPAddr())
	}
	p := newTestMulti(t, nil, pollingOften)
	if err := p.ConnectToNSQLookupd(lookupd.HTTPAddr()); err != nil {
		t.Fatal(err)
	}
	p.connectedTo(t, addrs...)
	stop, count := startPublishers(t, 10, func(body []byte) error { return p.Publish("t", body) })
	atLeast(t, count, 1000)
	daemons[0].Stop()
	p.connectedTo(t, addrs[1:]...)
	atLeast(t, count, 1000)
	acknowledged, slowest := stop()
	t.Logf("%d messages, none took longer than %v", len(acknowledged), slowest)

	bodies := make(chan string, len(acknowledged)+100)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 100 })
	r.SetLogger(nil, LogLevelInfo)
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	if err := r.ConnectToNSQDs(addrs[1:]); err != nil {
		t.Fatal(err)
	}
	daemons[0] = daemons[0].Restart()
	if err := r.ConnectToNSQD(daemons[0].TCPAddr()); err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for _, body := range acknowledged {
		missing[body] = true
	}
	for len(missing) > 0 {
		delete(missing, nsqtest.Receive(t, "a message", bodies))
	}
}

// The wait for an nsqlookupd ends with the context, and the error says so.
func TestMultiProducerWithAHungNSQLookupd(t *testing.T) {
	f := nsqtest.StartFakeLookupd(t)
	f.Set(func(f *nsqtest.FakeLookupd) { f.Hangs = true })
	p := newTestMulti(t, nil, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	connected := make(chan error, 1)
	go func() { connected <- p.ConnectToNSQLookupdContext(ctx, f.URL) }()
	nsqtest.Eventually(t, "a question", func() bool { return len(f.Asked("/nodes")) > 0 })
	cancel(errTooLate)
	err := nsqtest.Receive(t, "ConnectToNSQLookupdContext", connected)
	if again := p.ConnectToNSQLookupdContext(ctx, f.URL); err == nil || again == nil || again.Error() != err.Error() {
		t.Errorf("got %v, and then %v", err, again)
	}
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errTooLate) || !strings.HasPrefix(err.Error(), "waiting for an nsqlookupd: ") {
		t.Errorf("got %v", err)
	}
}
