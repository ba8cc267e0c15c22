package nsqd_test

import (
	"fmt"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// Two brokers and an nsqlookupd: the first message of a topic on one broker
// reaches the channels that the topic has on the other.
func TestFirstPublishReachesChannelsOfAnotherBroker(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t, nil)
	start := func() *nsqtest.NSQD {
		opts := nsqtest.Options(t)
		opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
		return nsqtest.Start(t, opts)
	}
	a, b := start(), start()
	onA := newAPI(t, a)
	const topics = 200
	for i := range topics {
		onA.post(fmt.Sprintf("/topic/create?topic=t%d", i))
		onA.post(fmt.Sprintf("/channel/create?topic=t%d&channel=archive", i))
		onA.post(fmt.Sprintf("/channel/create?topic=t%d&channel=metrics", i))
	}
	lookups := newAPI(t, a)
	lookups.base = lookupd.HTTPURL()
	nsqtest.Eventually(t, "every channel is registered", func() bool {
		for i := range topics {
			_, answer, err := lookups.try("GET", fmt.Sprintf("/channels?topic=t%d", i), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer != `{"channels":["archive","metrics"]}` {
				return false
			}
		}
		return true
	})
	producer := dialRaw(t, b)
	for i := range topics {
		producer.pub(fmt.Sprint("t", i), "first")
	}
	for i := range topics {
		for _, channel := range []string{"archive", "metrics"} {
			topic := fmt.Sprint("t", i)
			nsqtest.Eventually(t, "the message is in "+topic+":"+channel, func() bool {
				counts, ok := b.ChannelCounts(topic, channel)
				return ok && counts == nsqd.Counts{Depth: 1}
			})
		}
	}
}
