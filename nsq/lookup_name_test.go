package nsq

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A name with several addresses stands for as many nsqlookupds, and for other
// ones later.
func TestLookupdNames(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has more than one loopback address without being asked to")
	}
	one, two, three := startLiveNSQD(t), startLiveNSQD(t), startLiveNSQD(t)
	a := nsqtest.StartFakeLookupd(t, one.addr)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(a.URL, "http://"))
	b, c := nsqtest.NewFakeLookupd(two.addr), nsqtest.NewFakeLookupd(three.addr)
	b.Serve(t, "127.0.0.2:"+port)
	c.Serve(t, "127.0.0.3:"+port)

	var mu sync.Mutex
	var ips []string
	var failure error
	resolved := func(err error, list ...string) {
		mu.Lock()
		defer mu.Unlock()
		failure, ips = err, list
	}
	r := discoverer(t, nil)
	calls := make(chan string, 1)
	r.discovery.resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
		mu.Lock()
		defer mu.Unlock()
		select {
		case calls <- host:
		default:
		}
		var all []netip.Addr
		for _, ip := range ips {
			all = append(all, netip.MustParseAddr(ip))
		}
		return all, failure
	}
	resolved(errors.New("no such host"))
	mustConnect(t, r, "Lookup.internal:"+port)
	if host := <-calls; host != "Lookup.internal" {
		t.Errorf("resolved %s", host)
	}
	resolved(nil, "127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1")
	awaitConnected(t, r, one, two)
	if host := b.Asked("/lookup")[0].Host; host != "Lookup.internal:"+port {
		t.Errorf("Host: %s", host)
	}
	if n := len(a.Asked("/lookup")); n != 1 {
		t.Errorf("asked %d times at the address that is there twice", n)
	}

	resolved(nil, "127.0.0.3", "127.0.0.2")
	awaitConnected(t, r, one, two, three)
	one.stop()
	nsqtest.Eventually(t, "what only an old address lists is given up", func() bool { return !r.wants(one.addr) })

	resolved(errors.New("no such host"))
	for range 2 {
		nsqtest.Receive(t, "the name is resolved", calls)
	}
	three.stop()
	nsqtest.Eventually(t, "the loss is noticed", func() bool { return slices.Equal(r.connectedTo(), []string{two.addr}) })
	awaitConnected(t, r, two, startLiveNSQDAt(t, three.addr)) // the addresses are still asked
}

func TestLookupdAtIPv6(t *testing.T) {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	addr := ln.Addr().String()
	ln.Close()
	n := startLiveNSQDAt(t, "[::1]:0")
	f := nsqtest.NewFakeLookupd(n.addr)
	f.Serve(t, addr)
	r := discoverer(t, nil)
	mustConnect(t, r, addr)
	awaitConnected(t, r, n)
}

// localhost is a name like any other, and often has an address too many.
func TestLookupdAtLocalhost(t *testing.T) {
	n := startLiveNSQD(t)
	f := nsqtest.StartFakeLookupd(t, n.addr)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(f.URL, "http://"))
	r := discoverer(t, nil)
	mustConnect(t, r, "localhost:"+port)
	awaitConnected(t, r, n)
}
