package nsqd_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// patterned returns a body that shows any byte of it that is not its own.
func patterned(i int) string { return strings.Repeat(fmt.Sprint(i, "."), 100+i%100) }

// The memory of a backlog is used again when all that was read into it is finished. Whatever
// consumers do with some of the messages meanwhile, nobody ever sees others' bytes. (With
// the race detector such memory is also overwritten.)
func TestBacklogIsUnalteredWhateverConsumersDo(t *testing.T) {
	const batches, each, consumers = 100, 200, 4 // about 15 MB, of which a topic has 4 MiB in memory
	n := nsqtest.Start(t, durableOptions(t))
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	for _, channel := range []string{"a", "b"} {
		a.post("/channel/create?topic=t&channel=" + channel)
	}
	p := dialRaw(t, n)
	for i := range batches {
		list := make([]string, each)
		for k := range list {
			list[k] = patterned(i*each + k)
		}
		p.mpub("t", list...)
	}
	var finished sync.Map
	var all sync.WaitGroup
	for _, channel := range []string{"a", "b"} {
		for range consumers {
			all.Go(func() {
				for !t.Failed() && consumeAtRandom(t, n, channel, &finished) {
				}
			})
		}
	}
	nsqtest.Eventually(t, "everything is finished", func() bool {
		for _, channel := range []string{"a", "b"} {
			for i := range batches * each {
				if _, ok := finished.Load(channel + patterned(i)); !ok {
					return t.Failed()
				}
			}
		}
		return true
	})
	n.Stop()
	all.Wait()
}

// consumeAtRandom takes messages of a channel until it gives up, and then some come to others. It
// reports whether the broker was there.
func consumeAtRandom(t *testing.T, n *nsqtest.NSQD, channel string, finished *sync.Map) bool {
	conn, err := net.Dial("tcp", n.TCPAddr())
	if err != nil {
		return false
	}
	c := newRawClient(t, conn, time.Minute)
	defer c.close()
	c.trySend(wire.AppendRdy(wire.AppendSub([]byte(wire.MagicV2), "t", channel), 500))
	for range 1 + rand.IntN(4000) {
		f, err := c.tryNext()
		if err != nil {
			return true
		}
		if f.kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ParseMessage([]byte(f.data))
		if err != nil {
			t.Error(err)
			return false
		}
		var i int
		if _, err := fmt.Sscanf(string(m.Body), "%d.", &i); err != nil || string(m.Body) != patterned(i) {
			t.Errorf("a message of %.40q is not as it was published", m.Body)
			return false
		}
		switch rand.IntN(10) {
		case 0:
			c.trySend(wire.AppendReq(nil, m.ID, 0))
		case 1:
			c.trySend(wire.AppendReq(nil, m.ID, 20*time.Millisecond))
		default:
			c.trySend(wire.AppendFin(nil, m.ID))
			finished.Store(channel+string(m.Body), true)
		}
	}
	return true
}
