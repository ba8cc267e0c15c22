package main

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// proxied is a broker behind a proxy.
type proxied struct{ *nsqtest.Proxy }

func (p proxied) TCPAddr() string { return p.Addr }

// Whatever happens to connections, everything arrives at one of the destinations.
func TestConnectionsAreCut(t *testing.T) {
	for _, mode := range []string{"hostpool", "all"} {
		t.Run(mode, func(t *testing.T) {
			var connections atomic.Uint64
			plan := func() nsqtest.Cut {
				n := connections.Add(1)
				if n == 1 { // that of the source: without it the program ends
					return nsqtest.Cut{After: 3000}
				}
				return nsqtest.RandomCut(rand.New(rand.NewPCG(1, n)), 10_000)
			}
			brokers := make([]*nsqtest.NSQD, 3)
			ways := make([]tooltest.Broker, 3)
			var proxies []*nsqtest.Proxy
			for i := range brokers {
				brokers[i] = nsqtest.Start(t, large(t))
				p := nsqtest.NewProxy(t, brokers[i].TCPAddr(), plan)
				proxies, ways[i] = append(proxies, p), proxied{p}
			}
			from, a, b := brokers[0], brokers[1], brokers[2]
			bodies := numbers(700)
			tooltest.Publish(t, from, "t", bodies...)
			p := forwarding(t, ways[0], ways[1:], append(persistent, "-mode="+mode, "-max-in-flight=20", "-consumer-opt=lookupd_poll_interval,10ms")...)
			defer func() {
				if t.Failed() {
					t.Log(p.Errors.String())
				}
			}()
			nsqtest.Eventually(t, "many connections are cut", func() bool {
				return proxies[0].Cuts() > 3 && proxies[1].Cuts() > 3 && proxies[2].Cuts() > 3 || topicEmpty(t, from)
			})
			for _, p := range proxies {
				t.Log(p)
				p.Heal()
			}
			eventuallyEmpty(t, from, "t", "nsq_to_nsq")
			all := [][]string{take(t, a, a.HTTPURL(), "t"), take(t, b, b.HTTPURL(), "t")}
			if mode != "all" {
				all = [][]string{slices.Sorted(slices.Values(slices.Concat(all...)))}
			}
			for _, arrived := range all {
				complete(t, arrived, bodies, 1_000_000)
			}
		})
	}
}

func topicEmpty(t *testing.T, d *nsqtest.NSQD) bool {
	s, ok := channelStats(t, d.HTTPURL(), "t", "nsq_to_nsq")
	return ok && s.Depth+s.InFlight+s.Deferred == 0
}
