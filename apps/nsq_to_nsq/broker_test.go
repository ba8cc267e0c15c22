package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/nsqd"
)

// stats are what an nsqd says of a channel.
type stats struct {
	Depth    int `json:"depth"`
	InFlight int `json:"in_flight_count"`
	Deferred int `json:"deferred_count"`
	Requeues int `json:"requeue_count"`
	Timeouts int `json:"timeout_count"`
	Received int `json:"message_count"`
	Finished int `json:"finish_count"`
}

// channelStats returns what the nsqd with this HTTP API says of a channel; false
// means that it does not know it.
func channelStats(t *testing.T, url, topic, channel string) (stats, bool) {
	t.Helper()
	resp, err := http.Get(url + "/stats?format=json&topic=" + topic + "&channel=" + channel)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct {
		Topics []struct {
			Depth    int
			Channels []stats
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all.Topics) == 0 || len(all.Topics[0].Channels) == 0 {
		return stats{}, false
	}
	s := all.Topics[0].Channels[0]
	s.Depth += all.Topics[0].Depth
	return s, true
}

// eventuallyEmpty waits until everything on a channel is finished. A message that goes from one place
// to another just then may be counted in none of them.
func eventuallyEmpty(t *testing.T, d *nsqtest.NSQD, topic, channel string) {
	t.Helper()
	nsqtest.Eventually(t, "all messages are finished", func() bool {
		s, ok := channelStats(t, d.HTTPURL(), topic, channel)
		return ok && s.Depth+s.InFlight+s.Deferred == 0 && s.Finished >= s.Received
	})
	http.DefaultClient.CloseIdleConnections()
}

// topicDepth returns how many messages of a topic without channels there are.
func topicDepth(t *testing.T, url, topic string) int {
	t.Helper()
	resp, err := http.Get(url + "/stats?format=json&topic=" + topic)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all struct{ Topics []struct{ Depth int } }
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	if len(all.Topics) == 0 {
		return 0
	}
	return all.Topics[0].Depth
}

// take takes all messages of a topic without channels, which nothing is
// published to any more. They are sorted.
func take(t *testing.T, d tooltest.Broker, url, topic string) []string {
	t.Helper()
	var all []string
	for left := topicDepth(t, url, topic); left > 0; left -= 2500 {
		all = append(all, tooltest.Receive(t, d, topic, "test", min(left, 2500))...)
	}
	slices.Sort(all)
	http.DefaultClient.CloseIdleConnections()
	return all
}

// fixed makes options of a broker that listens on the same port when it is restarted.
func fixed(t *testing.T, opts *nsqd.Options) *nsqd.Options {
	opts.TCPAddress = nsqtest.ClosedPort(t)
	return opts
}

// large returns options of a broker that keeps many messages in memory.
func large(t *testing.T) *nsqd.Options {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 1_000_000
	return opts
}

// complete checks that all messages arrived, and that no more than so many of them
// more than once. What arrived must be sorted.
func complete(t *testing.T, arrived, published []string, twice int) {
	t.Helper()
	different := slices.Compact(slices.Clone(arrived))
	if !slices.Equal(different, published) {
		t.Errorf("%d different messages arrived, want %d", len(different), len(published))
	}
	if again := len(arrived) - len(different); again > twice {
		t.Errorf("%d messages arrived more than once, want %d at most", again, twice)
	}
}
