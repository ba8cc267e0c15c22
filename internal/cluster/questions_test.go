package cluster

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// All are asked at the same time, and the slow one is waited for.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("no")
		began := time.Now()
		got := Ask([]string{"slow", "fast", "failing"}, func(address string) (int, error) {
			switch address {
			case "slow":
				<-time.After(3 * time.Second)
				return 1, nil
			case "fast":
				<-time.After(time.Second)
				return 2, nil
			}
			return 0, failed
		})
		want := []Answer[int]{{"slow", 1, nil, 3 * time.Second}, {"fast", 2, nil, time.Second}, {"failing", 0, failed, 0}}
		if !slices.Equal(got, want) || time.Since(began) != 3*time.Second {
			t.Errorf("got %v after %s, want %v after 3s", got, time.Since(began), want)
		}
		if got := Ask(nil, func(string) (int, error) { return 0, nil }); len(got) != 0 {
			t.Errorf("asking nobody: %v", got)
		}
	})
}

func TestQuestions(t *testing.T) {
	var asked atomic.Value
	var body string
	client, address := start(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.RequestURI)
		io.WriteString(w, body)
	})
	stats := func(q StatsQuery) func() (any, error) {
		return func() (any, error) {
			s, err := client.Stats(t.Context(), address, q)
			if err != nil {
				return nil, err
			}
			return s.Topics[0].Depth, nil
		}
	}
	const depth = `{"topics":[{"topic_name":"t","depth":7}]}`
	for _, c := range []struct {
		uri, body string
		ask       func() (any, error)
		want      any
	}{
		{"/stats?format=json&include_clients=false&include_mem=false", depth, stats(StatsQuery{}), int64(7)},
		{"/stats?channel=c&format=json&include_mem=false&topic=t", depth, stats(StatsQuery{Topic: "t", Channel: "c", Clients: true}), int64(7)},
		{"/stats?format=json&topic=%23", depth, stats(StatsQuery{Topic: "#", Clients: true, Memory: true}), int64(7)},
		{"/info", `{"version":"1.2.3","tcp_port":4150}`, func() (any, error) {
			info, err := client.Info(t.Context(), address)
			return info.Version, err
		}, "1.2.3"},
		{"/topics", `{"topics":["a","b"]}`, func() (any, error) { return client.Topics(t.Context(), address) }, []string{"a", "b"}},
		{"/channels?topic=t", `{"channels":[]}`, func() (any, error) { return client.Channels(t.Context(), address, "t") }, []string{}},
		{"/lookup?topic=t", `{"channels":["c"],"producers":[{"broadcast_address":"::1","http_port":4151}]}`, func() (any, error) {
			l, err := client.Lookup(t.Context(), address, "t")
			return l.Channels[0] + l.Producers[0].HTTPAddress(), err
		}, "c[::1]:4151"},
		{"/nodes", `{"producers":[{"hostname":"h","tombstones":[true],"topics":["t"]}]}`, func() (any, error) {
			return client.Nodes(t.Context(), address)
		}, []Producer{{Hostname: "h", Tombstones: []bool{true}, Topics: []string{"t"}}}},
	} {
		body = c.body
		got, err := c.ask()
		if err != nil || !reflect.DeepEqual(got, c.want) || asked.Load() != c.uri {
			t.Errorf("asked for %s and got %#v, %v, want %s and %#v", asked.Load(), got, err, c.uri, c.want)
		}
	}
}

func TestTopicNotFound(t *testing.T) {
	for body, want := range map[string]bool{`{"message":"TOPIC_NOT_FOUND"}`: true, `{"message":"NOT_FOUND"}`: false} {
		client, address := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, body)
		})
		if _, err := client.Lookup(t.Context(), address, "t"); err == nil || TopicNotFound(err) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	if TopicNotFound(nil) || TopicNotFound(errors.New("TOPIC_NOT_FOUND")) {
		t.Error("it is found in what is no answer")
	}
}
