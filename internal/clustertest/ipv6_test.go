package clustertest

import (
	"net"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A cluster that has nothing but IPv6: registration, the query for channels, the
// addresses that are listed, tombstones, and consumers.
func TestIPv6(t *testing.T) {
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no ::1: %v", err)
	}
	probe.Close()
	const free = "[::1]:0"
	lookupdOpts := nsqtest.LookupdOptions(t)
	lookupdOpts.TCPAddress, lookupdOpts.HTTPAddress, lookupdOpts.BroadcastAddress = free, free, "::1"
	lookupd := &localLookupd{nsqtest.StartLookupd(t, lookupdOpts)}
	broker := func() node {
		opts := nsqtest.Options(t)
		opts.TCPAddress, opts.HTTPAddress, opts.BroadcastAddress = free, free, "::1"
		opts.LookupdTCPAddresses = []string{lookupd.tcp()}
		return &localNSQD{nsqtest.Start(t, opts)}
	}
	a, b := broker(), broker()
	all := []node{lookupd}
	got := consume(t, "t", lookupd)
	publish(t, a, "t", "from a")
	everywhere(t, all, "t", at([]string{"c"}, a))
	publish(t, b, "t", "from b")
	everywhere(t, all, "t", at([]string{"c"}, a, b))
	for _, body := range []string{"from a", "from b"} {
		nsqtest.Eventually(t, "the consumer gets what is "+body, func() bool { return got.has(body) })
	}
	post(t, lookupd.http()+"/topic/tombstone?topic=t&node="+a.http()[len("http://"):], "") // as consoles write it
	everywhere(t, all, "t", at([]string{"c"}, b))
}
