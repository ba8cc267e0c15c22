package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// stats are what an nsqd says of a channel.
type stats struct {
	Depth    int `json:"depth"`
	InFlight int `json:"in_flight_count"`
	Deferred int `json:"deferred_count"`
	Requeues int `json:"requeue_count"`
	Timeouts int `json:"timeout_count"`
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

// eventuallyEmpty waits until everything on a channel is finished.
func eventuallyEmpty(t *testing.T, d *nsqtest.NSQD, topic, channel string) {
	t.Helper()
	nsqtest.Eventually(t, "all messages are finished", func() bool {
		s, ok := channelStats(t, d.HTTPURL(), topic, channel)
		return ok && s.Depth+s.InFlight+s.Deferred == 0
	})
	http.DefaultClient.CloseIdleConnections()
}
