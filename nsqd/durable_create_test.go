package nsqd_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// Channels of a durable topic that are created at the same time, some by two, share what they
// wait for, and are there after a restart.
func TestChannelsOfADurableTopicThatAreCreatedAtOnce(t *testing.T) {
	const many = 40
	var writes atomic.Int64
	begun, goOn := make(chan bool), make(chan bool)
	n := nsqtest.Start(t, durableOptions(t))
	n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "meta.json") && writes.Add(1) == 2 {
			close(begun) // the first was the topic's own
			<-goOn
		}
		return nil
	})))
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	var wg sync.WaitGroup
	create := func(i int) {
		wg.Go(func() { a.post(fmt.Sprintf("/channel/create?topic=t&channel=c%d", i)) })
	}
	create(0)
	<-begun
	for i := range many {
		create(i)
		create(i)
	}
	nsqtest.Eventually(t, "all are being created", func() bool { return n.MakingChannels("t") == many })
	close(goOn)
	wg.Wait()
	if w := writes.Load(); w > many/2 {
		t.Errorf("%d writes for %d channels", w, many)
	}
	for range 2 {
		for i := range many {
			if _, ok := n.ChannelCounts("t", fmt.Sprint("c", i)); !ok {
				t.Errorf("channel %d is not there", i)
			}
		}
		n = n.Restart()
	}
}
