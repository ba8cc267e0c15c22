package nsq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// liveNSQD accepts consumers, and sends them nothing.
type liveNSQD struct {
	addr string
	made atomic.Int32 // connections that subscribed, ever
	stop func()
}

func startLiveNSQD(t testing.TB) *liveNSQD {
	t.Helper()
	return startLiveNSQDAt(t, "127.0.0.1:0")
}

func startLiveNSQDAt(t testing.TB, addr string) *liveNSQD {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	n := &liveNSQD{addr: ln.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				n.play(nsqtest.NewFakeConn(t, nc))
			})
		}
	})
	n.stop = sync.OnceFunc(func() {
		ln.Close()
		cancel()
		serving.Wait()
	})
	t.Cleanup(n.stop)
	return n
}

func (n *liveNSQD) play(c *nsqtest.FakeConn) {
	c.Reader.Discard(len(wire.MagicV2))
	for {
		line, _, err := c.Read()
		if err != nil {
			return
		}
		name, _, _ := strings.Cut(line, " ")
		reply := map[string]string{"IDENTIFY": nsqtest.Negotiated, "SUB": wire.OK, "CLS": wire.CloseWait}[name]
		if reply == "" {
			continue
		}
		if name == "SUB" {
			n.made.Add(1)
		}
		if _, err := c.Conn.Write(wire.AppendFrame(nil, wire.FrameResponse, reply)); err != nil {
			return
		}
	}
}

// discoverer returns a consumer that has a handler and little patience.
func discoverer(t testing.TB, change func(*Config)) *Consumer {
	t.Helper()
	r := newTestConsumer(t, func(c *Config) {
		c.LookupdPollInterval = 50 * time.Millisecond
		if change != nil {
			change(c)
		}
	})
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	return r
}

func mustConnect(t testing.TB, r *Consumer, lookupds ...string) {
	t.Helper()
	if err := r.ConnectToNSQLookupds(lookupds); err != nil {
		t.Fatal(err)
	}
}

// connectedTo returns the addresses of the nsqds that are connected, sorted.
func (r *Consumer) connectedTo() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	addrs := []string{}
	for addr, n := range r.nsqds {
		if n.connected {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	return addrs
}

// wants reports whether the consumer is connected to addr or tries to be.
func (r *Consumer) wants(addr string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nsqds[addr] != nil
}

// awaitConnected waits until exactly those nsqds are connected.
func awaitConnected(t testing.TB, r *Consumer, nsqds ...*liveNSQD) {
	t.Helper()
	want := []string{}
	for _, n := range nsqds {
		want = append(want, n.addr)
	}
	slices.Sort(want)
	nsqtest.Eventually(t, fmt.Sprintf("connections to %q", want), func() bool { return slices.Equal(r.connectedTo(), want) })
}

func TestConnectToNSQLookupdErrors(t *testing.T) {
	a, b := nsqtest.StartFakeLookupd(t), nsqtest.StartFakeLookupd(t)
	r := newTestConsumer(t, nil)
	check := func(what string, err error, want string) {
		t.Helper()
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	check("without handlers", r.ConnectToNSQLookupd(a.URL), "no handlers")
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	check("no port", r.ConnectToNSQLookupd("lookup"), "missing port")
	check("one of several without a port", r.ConnectToNSQLookupds([]string{a.URL, "lookup"}), "missing port")
	check("none", r.ConnectToNSQLookupds(nil), "")
	check("unknown", r.DisconnectFromNSQLookupd(a.URL), "not connected")
	check("the first", r.ConnectToNSQLookupd(a.URL), "")
	if n := len(a.Asked("/lookup")); n != 1 {
		t.Errorf("asked %d times before ConnectToNSQLookupd returned", n)
	}
	check("the first again", r.ConnectToNSQLookupd(strings.TrimPrefix(a.URL, "http://")), "")
	check("the last", r.DisconnectFromNSQLookupd(a.URL), "cannot disconnect from only remaining nsqlookupd HTTP address "+a.URL)
	if err := r.DisconnectFromNSQLookupd(b.URL); !errors.Is(err, ErrNotConnected) {
		t.Errorf("a stranger: %v", err)
	}
	check("no address", r.DisconnectFromNSQLookupd("lookup"), "missing port")
	check("another", r.ConnectToNSQLookupds([]string{b.URL, b.URL}), "")
	check("one of two", r.DisconnectFromNSQLookupd(a.URL+"/lookup"), "")
	check("twice", r.DisconnectFromNSQLookupd(a.URL), "not connected")
	check("the last one", r.DisconnectFromNSQLookupd(b.URL), "cannot disconnect from only remaining nsqlookupd HTTP address "+b.URL)
	func() {
		defer func() {
			if v := recover(); v != "already connected" {
				t.Errorf("a handler after ConnectToNSQLookupd: %v", v)
			}
		}()
		r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	}()
	r.Stop()
	check("after Stop", r.ConnectToNSQLookupd(a.URL), "consumer stopped")
}

func TestUnionOfAllLookupds(t *testing.T) {
	one, two, both := startLiveNSQD(t), startLiveNSQD(t), startLiveNSQD(t)
	a, b := nsqtest.StartFakeLookupd(t, one.addr, both.addr), nsqtest.StartFakeLookupd(t, two.addr, both.addr)
	r := discoverer(t, nil)
	mustConnect(t, r, a.URL, b.URL)
	awaitConnected(t, r, one, two, both)
	awaitListed(t, r, slices.Sorted(slices.Values([]string{one.addr, two.addr, both.addr}))...)
	if n := both.made.Load(); n > 1 {
		t.Errorf("%d connections to the nsqd that both list", n)
	}
}

// A hung nsqlookupd delays neither ConnectToNSQLookupds nor what another says.
func TestHungLookupd(t *testing.T) {
	hung, answers := nsqtest.StartFakeLookupd(t), nsqtest.StartFakeLookupd(t)
	hung.Hangs = true
	one, two := startLiveNSQD(t), startLiveNSQD(t)
	answers.List(one.addr)
	for name, tags := range map[string]bool{"watched": true, "polled": false} {
		t.Run(name, func(t *testing.T) {
			answers.Set(func(f *nsqtest.FakeLookupd) { f.NoTags, f.Addrs = !tags, []string{one.addr} })
			r := discoverer(t, nil)
			start := time.Now()
			mustConnect(t, r, hung.URL, answers.URL)
			if took := time.Since(start); took > nsqtest.Patience {
				t.Errorf("returned after %v", took)
			}
			awaitConnected(t, r, one)
			answers.List(one.addr, two.addr)
			awaitConnected(t, r, one, two)
			nsqtest.Within(t, "Stop", func() { r.Stop(); <-r.StopChan }) // while a request hangs
		})
	}
}

// keepFirst is a filter that leaves one nsqd.
type keepFirst struct {
	t       testing.TB
	running atomic.Bool
	calls   chan []string
}

func (k *keepFirst) Filter(addrs []string) []string {
	if !k.running.CompareAndSwap(false, true) {
		k.t.Error("the filter was called twice at the same time")
	}
	defer k.running.Store(false)
	select {
	case k.calls <- addrs:
	default:
	}
	return addrs[:min(1, len(addrs))]
}

func TestDiscoveryFilter(t *testing.T) {
	nsqds := []*liveNSQD{startLiveNSQD(t), startLiveNSQD(t)}
	slices.SortFunc(nsqds, func(a, b *liveNSQD) int { return strings.Compare(a.addr, b.addr) })
	a, b := nsqtest.StartFakeLookupd(t, nsqds[1].addr), nsqtest.StartFakeLookupd(t, nsqds[0].addr)
	r := discoverer(t, nil)
	k := &keepFirst{t: t, calls: make(chan []string, 1000)}
	r.SetBehaviorDelegate(k)
	mustConnect(t, r, b.URL)
	mustConnect(t, r, a.URL)
	awaitConnected(t, r, nsqds[0])
	nsqtest.Eventually(t, "a call with both nsqds", func() bool {
		return slices.Equal(<-k.calls, []string{nsqds[0].addr, nsqds[1].addr})
	})
	if nsqds[1].made.Load() != 0 {
		t.Error("connected to an nsqd that was filtered out")
	}
	b.List() // now the other is the first
	awaitConnected(t, r, nsqds...)
}

func TestBehaviorDelegateThatIsNone(t *testing.T) {
	r := newTestConsumer(t, nil)
	for _, v := range []any{nil, 1, NewConfig()} {
		func() {
			defer func() {
				if got := recover(); got != "behavior delegate does not have any recognized methods" {
					t.Errorf("SetBehaviorDelegate(%v) panicked with %v", v, got)
				}
			}()
			r.SetBehaviorDelegate(v)
		}()
	}
}

// Producers that come and go, with an nsqlookupd that tells of changes and one
// that has to be polled.
func TestProducersComeAndGo(t *testing.T) {
	for name, tags := range map[string]bool{"watched": true, "polled": false} {
		t.Run(name, func(t *testing.T) {
			f := nsqtest.StartFakeLookupd(t)
			f.Set(func(f *nsqtest.FakeLookupd) { f.NoTags, f.Known = !tags, false })
			r := discoverer(t, nil)
			mustConnect(t, r, f.URL)

			one, two := startLiveNSQD(t), startLiveNSQD(t)
			f.List(one.addr)
			awaitConnected(t, r, one)
			f.List(one.addr, two.addr)
			awaitConnected(t, r, one, two)

			f.Set(func(f *nsqtest.FakeLookupd) { f.Known, f.Addrs = false, nil }) // it has restarted
			f.List()
			awaitListed(t, r)
			awaitConnected(t, r, one, two)

			one.stop()
			nsqtest.Eventually(t, "an nsqd that is gone for good is given up", func() bool { return !r.wants(one.addr) })
			awaitConnected(t, r, two)

			f.List(one.addr, two.addr) // it is listed before it can be reached
			nsqtest.Eventually(t, "an nsqd that is listed is tried", func() bool { return r.wants(one.addr) })
			again := startLiveNSQDAt(t, one.addr)
			awaitConnected(t, r, again, two)

			again.stop() // killed: nsqlookupd has not noticed
			awaitConnected(t, r, two)
			again = startLiveNSQDAt(t, one.addr)
			awaitConnected(t, r, again, two)

			again.stop() // has moved
			moved := startLiveNSQD(t)
			f.List(moved.addr, two.addr)
			awaitConnected(t, r, moved, two)
			nsqtest.Eventually(t, "the old address is given up", func() bool { return !r.wants(one.addr) })
			if n := two.made.Load(); n != 1 {
				t.Errorf("%d connections to the nsqd that was there all the time", n)
			}
		})
	}
}

// awaitListed waits until the consumer has heard, and acted on it, that exactly
// those addresses are listed.
func awaitListed(t testing.TB, r *Consumer, addrs ...string) {
	t.Helper()
	nsqtest.Eventually(t, fmt.Sprintf("%q is listed", addrs), func() bool {
		u, _ := r.discovery.union()
		return u.answered && slices.Equal(u.addrs, addrs)
	})
	r.discovery.act()
}

// While nobody can be asked, what was known stays true.
func TestNoLookupdAnswers(t *testing.T) {
	n := startLiveNSQD(t)
	f := nsqtest.NewFakeLookupd(n.addr)
	stop := f.Serve(t, "127.0.0.1:0")
	r := discoverer(t, nil)
	mustConnect(t, r, f.URL)
	awaitConnected(t, r, n)
	stop()
	nsqtest.Eventually(t, "the failure is noticed", func() bool { u, _ := r.discovery.union(); return !u.answered })
	n.stop()
	awaitConnected(t, r)
	r.discovery.act()
	if !r.wants(n.addr) {
		t.Error("given up, though it may be listed")
	}
	again := startLiveNSQDAt(t, n.addr)
	awaitConnected(t, r, again)

	again.stop()
	awaitConnected(t, r)
	f.List()
	f.Serve(t, strings.TrimPrefix(f.URL, "http://"))
	nsqtest.Eventually(t, "given up once an nsqlookupd says so", func() bool { return !r.wants(n.addr) })
}

// One of two nsqlookupds that is gone does not keep alive what only it listed.
func TestOneLookupdIsGone(t *testing.T) {
	n := startLiveNSQD(t)
	gone, there := nsqtest.NewFakeLookupd(n.addr), nsqtest.StartFakeLookupd(t)
	stop := gone.Serve(t, "127.0.0.1:0")
	r := discoverer(t, nil)
	mustConnect(t, r, there.URL)
	mustConnect(t, r, gone.URL)
	awaitConnected(t, r, n)
	stop()
	n.stop()
	nsqtest.Eventually(t, "given up", func() bool { return !r.wants(n.addr) })
	gone.Serve(t, strings.TrimPrefix(gone.URL, "http://"))
	awaitConnected(t, r, startLiveNSQDAt(t, n.addr))
}

// An nsqd the program named is kept connected, listed or not.
func TestGivenAndListed(t *testing.T) {
	for name, connect := range map[string]func(r *Consumer, n *liveNSQD, f *nsqtest.FakeLookupd) error{
		"given first": func(r *Consumer, n *liveNSQD, f *nsqtest.FakeLookupd) error {
			return errors.Join(r.ConnectToNSQD(n.addr), r.ConnectToNSQLookupd(f.URL))
		},
		"listed first": func(r *Consumer, n *liveNSQD, f *nsqtest.FakeLookupd) error {
			if err := r.ConnectToNSQLookupd(f.URL); err != nil {
				return err
			}
			if err := r.ConnectToNSQD(n.addr); !errors.Is(err, ErrAlreadyConnected) {
				return fmt.Errorf("ConnectToNSQD: %v", err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := startLiveNSQD(t)
			f := nsqtest.StartFakeLookupd(t, n.addr)
			r := discoverer(t, nil)
			if err := connect(r, n, f); err != nil {
				t.Fatal(err)
			}
			awaitConnected(t, r, n)
			nsqtest.Eventually(t, "one connection", func() bool { return n.made.Load() == 1 })
			f.List()
			awaitListed(t, r)
			n.stop()
			awaitConnected(t, r)
			r.discovery.act()
			awaitConnected(t, r, startLiveNSQDAt(t, n.addr))
		})
	}
}

// What the program disconnected from stays so until it says otherwise.
func TestDisconnectFromListedNSQD(t *testing.T) {
	n, other := startLiveNSQD(t), startLiveNSQD(t)
	f := nsqtest.StartFakeLookupd(t, n.addr)
	r := discoverer(t, nil)
	mustConnect(t, r, f.URL)
	awaitConnected(t, r, n)
	if err := r.DisconnectFromNSQD(n.addr); err != nil {
		t.Fatal(err)
	}
	f.List(n.addr, other.addr)
	awaitConnected(t, r, other)
	if err := r.ConnectToNSQD(n.addr); err != nil {
		t.Fatal(err)
	}
	awaitConnected(t, r, n, other)
}

// An nsqd that could not be reached when the program named it is still tried if
// it is listed.
func TestGivenInVainButListed(t *testing.T) {
	n := startLiveNSQD(t)
	n.stop()
	f := nsqtest.StartFakeLookupd(t)
	r := discoverer(t, nil)
	mustConnect(t, r, f.URL)
	if err := r.DisconnectFromNSQD(n.addr); !errors.Is(err, ErrNotConnected) {
		t.Error(err)
	}
	if err := r.ConnectToNSQD(n.addr); err == nil {
		t.Error("connected to nobody")
	}
	f.List(n.addr)
	awaitConnected(t, r, startLiveNSQDAt(t, n.addr))
}

func TestDisconnectFromNSQLookupd(t *testing.T) {
	n, late, more := startLiveNSQD(t), startLiveNSQD(t), startLiveNSQD(t)
	a, b := nsqtest.StartFakeLookupd(t, n.addr), nsqtest.StartFakeLookupd(t)
	r := discoverer(t, nil)
	mustConnect(t, r, a.URL, b.URL)
	awaitConnected(t, r, n)
	if err := r.DisconnectFromNSQLookupd(a.URL); err != nil {
		t.Fatal(err)
	}
	a.List(n.addr, late.addr)
	b.List(more.addr)
	awaitConnected(t, r, n, more)
	n.stop()
	nsqtest.Eventually(t, "nobody that is asked lists it", func() bool { return !r.wants(n.addr) })
	if late.made.Load() != 0 {
		t.Error("connected to what a removed nsqlookupd lists")
	}
}

// Whatever is under way, Stop ends it.
func TestStopWhileDiscovering(t *testing.T) {
	silent := nsqtest.NewFake(t) // accepts, and says nothing
	for name, prepare := range map[string]func(f *nsqtest.FakeLookupd, r *Consumer){
		"a request hangs":        func(f *nsqtest.FakeLookupd, _ *Consumer) { f.Hangs = true },
		"a watch waits":          func(*nsqtest.FakeLookupd, *Consumer) {},
		"between polls":          func(f *nsqtest.FakeLookupd, _ *Consumer) { f.NoTags = true },
		"nsqlookupd fails":       func(f *nsqtest.FakeLookupd, _ *Consumer) { f.Status = 500 },
		"nsqd does not identify": func(f *nsqtest.FakeLookupd, _ *Consumer) { f.Addrs = []string{silent.Addr} },
		"nsqd cannot be reached": func(f *nsqtest.FakeLookupd, _ *Consumer) { f.Addrs = []string{"127.0.0.1:1"} },
		"a resolver hangs": func(_ *nsqtest.FakeLookupd, r *Consumer) {
			r.discovery.resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := nsqtest.StartFakeLookupd(t)
			r := discoverer(t, func(c *Config) { c.LookupdPollInterval = time.Minute })
			prepare(f, r)
			var connecting sync.WaitGroup
			connecting.Go(func() {
				if err := r.ConnectToNSQLookupd(strings.Replace(f.URL, "127.0.0.1", "localhost", 1)); err != nil && err != ErrConsumerStopped {
					t.Error(err)
				}
			})
			if !strings.HasPrefix(name, "a resolver") {
				nsqtest.Eventually(t, "a request", func() bool { return len(f.Asked("/lookup")) > 0 })
			}
			nsqtest.Within(t, "Stop", func() { r.Stop(); <-r.StopChan; connecting.Wait() })
		})
	}
}

// Everything at the same time, for the race detector.
func TestDiscoveryRaces(t *testing.T) {
	nsqds := []*liveNSQD{startLiveNSQD(t), startLiveNSQD(t), startLiveNSQD(t)}
	a, b := nsqtest.StartFakeLookupd(t, nsqds[0].addr), nsqtest.StartFakeLookupd(t)
	r := discoverer(t, func(c *Config) { c.LookupdPollInterval = 10 * time.Millisecond })
	r.SetLogger(nil, LogLevelInfo)
	mustConnect(t, r, a.URL)
	var calls sync.WaitGroup
	for i, do := range []func(i int){
		func(i int) { a.List(nsqds[i%3].addr, nsqds[(i+1)%3].addr) },
		func(i int) { b.List(nsqds[i%3].addr) },
		func(int) { r.ConnectToNSQLookupd(b.URL) },
		func(int) { r.DisconnectFromNSQLookupd(b.URL) },
		func(i int) { r.DisconnectFromNSQD(nsqds[i%3].addr) },
		func(i int) { r.ConnectToNSQD(nsqds[i%3].addr) },
		func(int) { r.SetBehaviorDelegate(everything{}) },
		func(int) { r.SetLookupdHttpClient(nil) },
	} {
		calls.Go(func() {
			for n := range 50 {
				do(n + i)
				r.Stats()
			}
		})
	}
	calls.Wait()
	nsqtest.Within(t, "Stop", func() { r.Stop(); <-r.StopChan })
}

type everything struct{}

func (everything) Filter(addrs []string) []string { return addrs }
