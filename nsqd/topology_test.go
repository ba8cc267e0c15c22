package nsqd_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

func nearOptions(tb testing.TB) *nsqd.Options {
	opts := nsqtest.Options(tb)
	opts.Experiments = []string{"topology-aware-consumption"}
	opts.TopologyRegion, opts.TopologyZone = "r1", "z1"
	return opts
}

// dialFrom is a consumer that says where it is.
func (b *bubble) dialFrom(region, zone string, rdy int) *rawClient {
	b.tb.Helper()
	c := b.dial()
	c.identify(fmt.Sprintf(`{"topology_region":%q,"topology_zone":%q}`, region, zone))
	c.consume("t", "c", rdy)
	return c
}

func TestNearConsumersComeFirst(t *testing.T) {
	for name, c := range map[string]struct {
		zone, region, far int // RDY
		messages          int
		want              [3]int
	}{
		"room in the zone":                        {50, 50, 50, 50, [3]int{50, 0, 0}},
		"then the region":                         {50, 50, 50, 60, [3]int{50, 10, 0}},
		"then anybody":                            {2, 3, 50, 55, [3]int{2, 3, 50}},
		"nobody ready in the zone":                {0, 3, 50, 5, [3]int{0, 3, 2}},
		"nobody ready in the zone and the region": {0, 0, 50, 5, [3]int{0, 0, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startInBubble(t, nearOptions(t))
				far := b.dialFrom("r2", "z1b", c.far)
				region := b.dialFrom("r1", "z2", c.region)
				zone := b.dialFrom("r1", "z1", c.zone)
				synctest.Wait() // all of them wait
				p := b.dial()
				p.mpub("t", bodies("m", c.messages)...)
				for i, consumer := range []*rawClient{zone, region, far} {
					for range c.want[i] {
						consumer.message() // not finished: that would make room for more
					}
				}
				if got, want := b.LocalityCounts("t", "c"), c.want; got != want {
					t.Errorf("zone, region and all others had %v, want %v", got, want)
				}
				for _, client := range b.Stats().Topics[0].Channels[0].Clients {
					got := [3]uint64{client.ZoneLocal, client.RegionLocal, client.Global}
					var want [3]uint64
					i := map[string]int{"z1": 0, "z2": 1, "z1b": 2}[client.TopologyZone]
					want[i] = uint64(c.want[i])
					if got != want {
						t.Errorf("the consumer in zone %s was given %v, want %v", client.TopologyZone, got, want)
					}
				}
			})
		})
	}
}

// A near consumer that comes, goes, or has no room any more holds nothing up.
func TestFarConsumersAreNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nearOptions(t))
		p := b.dial()
		far, zone := b.dialFrom("", "", 1000), b.dialFrom("r1", "z1", 2)
		synctest.Wait()
		p.mpub("t", "z", "z", "f")
		far.wantMessage("f", 1)
		m := zone.wantMessage("z", 1)
		zone.wantMessage("z", 1)
		zone.fin(m)
		synctest.Wait()
		p.mpub("t", "one more", "f")
		far.wantMessage("f", 1)
		zone.wantMessage("one more", 1)
		zone.rdy(0)
		zone.sync()
		p.pub("t", "f")
		far.wantMessage("f", 1)
		zone.rdy(10)
		synctest.Wait()
		p.pub("t", "z")
		m = zone.wantMessage("z", 1)
		zone.req(m, time.Second) // comes back to the nearest
		zone.wantMessage("z", 2)
		zone.close()
		synctest.Wait()
		for _, want := range []string{"z", "one more", "z"} { // what it had in flight
			if got := string(far.message().Body); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		p.pub("t", "f")
		far.wantMessage("f", 1)
	})
}

// With no place told to the broker, consumers that tell none are near.
func TestNoPlaceIsTheSamePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nearOptions(t)
		opts.TopologyRegion, opts.TopologyZone = "", ""
		b := startInBubble(t, opts)
		b.dialFrom("", "", 1)
		b.dial().pub("t", "m")
		synctest.Wait()
		if got, want := b.LocalityCounts("t", "c"), [3]int{1, 0, 0}; got != want {
			t.Errorf("zone, region and all others had %v, want %v", got, want)
		}
	})
}

// Consumers of all kinds come and go under load: each message arrives.
func TestNothingIsStuckBetweenNearAndFar(t *testing.T) {
	const messages = 20_000
	n := nsqtest.Start(t, nearOptions(t))
	dialRaw(t, n).sub("t", "c")
	var finished atomic.Int64
	var running sync.WaitGroup
	for i := range 6 {
		zone := []string{"z1", "z2", "z3"}[i%3]
		region := []string{"r1", "r1", "r2"}[i%3]
		running.Go(func() {
			for finished.Load() < messages {
				if err := finishSome(n.TCPAddr(), region, zone, &finished, 1+i*37); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	p := dialRaw(t, n)
	for range messages / 100 {
		p.mpub("t", bodies("m", 100)...)
	}
	running.Wait()
}

// finishSome is a consumer that finishes up to so many messages and goes, or
// goes when none has come for a while.
func finishSome(addr, region, zone string, finished *atomic.Int64, until int) error {
	conn, err := dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	b := wire.AppendIdentify([]byte(wire.MagicV2), []byte(fmt.Sprintf(`{"topology_region":%q,"topology_zone":%q}`, region, zone)))
	if _, err := conn.Write(wire.AppendRdy(wire.AppendSub(b, "t", "c"), 7)); err != nil {
		return err
	}
	for got := 0; got < until; {
		conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		typ, data, err := wire.ReadFrame(conn, nil, 0)
		if err != nil {
			return nil // nothing more
		}
		if typ != wire.FrameMessage {
			continue
		}
		m, err := wire.ParseMessage(data)
		if err != nil {
			return err
		}
		if _, err := conn.Write(wire.AppendFin(nil, m.ID)); err != nil {
			return err
		}
		got++
		finished.Add(1)
	}
	return nil
}
