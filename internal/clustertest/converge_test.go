package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// A chaos does what operators, programs and accidents do to a cluster, at
// random.
type chaos struct {
	t        *testing.T
	lookupds []node
	names    [][]string // by which the nsqlookupds may be configured, alike
	nsqds    []node
}

var (
	chaosTopics   = []string{"a", "b", "c", "d#ephemeral"}
	chaosChannels = []string{"x", "y", "z#ephemeral"}
)

// use creates and deletes topics and channels of a broker, publishes to them
// and consumes, until ctx ends.
func (c *chaos) use(ctx context.Context, r *rand.Rand, n node) {
	for ctx.Err() == nil {
		topic, channel := pick(r, chaosTopics), pick(r, chaosChannels)
		query := "?topic=" + url.QueryEscape(topic) + "&channel=" + url.QueryEscape(channel)
		switch r.IntN(9) {
		case 0:
			request("POST", n.http()+"/topic/create"+query, "")
		case 1:
			request("POST", n.http()+"/topic/delete"+query, "")
		case 2, 3:
			request("POST", n.http()+"/channel/create"+query, "")
		case 4:
			request("POST", n.http()+"/channel/delete"+query, "")
		case 5, 6:
			request("POST", n.http()+"/pub"+query, "message")
		case 7:
			c.consume(n, topic, channel)
		case 8:
			query = fmt.Sprintf("?topic=new%d&channel=x", r.Uint32())
			request("POST", n.http()+"/pub"+query, "message")
			request("POST", n.http()+"/channel/create"+query, "")
		}
	}
}

// consume is a consumer that comes and goes.
func (c *chaos) consume(n node, topic, channel string) {
	consumer, err := nsq.NewConsumer(topic, channel, nsq.NewConfig())
	if err != nil {
		c.t.Error(err)
		return
	}
	consumer.SetLogger(nil, nsq.LogLevelMax)
	consumer.AddHandler(nsq.HandlerFunc(func(*nsq.Message) error { return nil }))
	consumer.ConnectToNSQD(n.tcp())
	consumer.Stop()
	<-consumer.StopChan
}

// flap stops and starts an nsqlookupd.
func (c *chaos) flap(ctx context.Context, r *rand.Rand, l node) {
	for pause(ctx, r, 200*time.Millisecond) {
		l.stop()
		pause(ctx, r, 200*time.Millisecond)
		l.start()
	}
}

// configure changes the list of nsqlookupds of a broker.
func (c *chaos) configure(ctx context.Context, r *rand.Rand, n node) {
	for pause(ctx, r, 100*time.Millisecond) {
		list := []string{}
		for i := range c.lookupds {
			if r.IntN(3) > 0 {
				list = append(list, pick(r, c.names[i]))
			}
		}
		c.put(n, list)
	}
}

func (c *chaos) put(n node, addresses []string) {
	body, err := json.Marshal(addresses)
	if err != nil {
		c.t.Error(err)
		return
	}
	if status, answer := request("PUT", n.http()+"/config/nsqlookupd_tcp_addresses", string(body)); status != http.StatusOK {
		c.t.Errorf("PUT %s answered %d %s", body, status, answer)
	}
}

// pause waits for some time below longest and reports whether ctx goes on.
func pause(ctx context.Context, r *rand.Rand, longest time.Duration) bool {
	select {
	case <-time.After(time.Duration(r.Int64N(int64(longest)))):
		return true
	case <-ctx.Done():
		return false
	}
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// brokerKeys returns the topics and channels that brokers have, in the form of
// registered, and those topics that have a message though they have a channel.
func (c *chaos) brokerKeys() (keys map[string][]string, stuck []string) {
	keys = map[string][]string{}
	for _, n := range c.nsqds {
		_, port, _ := net.SplitHostPort(n.tcp())
		_, answer := request("GET", n.http()+"/stats?format=json", "")
		var stats struct {
			Topics []struct {
				Name     string `json:"topic_name"`
				Depth    int
				Channels []struct {
					Name string `json:"channel_name"`
				}
			}
		}
		if err := json.Unmarshal([]byte(answer), &stats); err != nil {
			c.t.Fatal(err)
		}
		for _, t := range stats.Topics {
			keys["topic:"+t.Name+":"] = append(keys["topic:"+t.Name+":"], port)
			for _, ch := range t.Channels {
				key := "channel:" + t.Name + ":" + ch.Name
				keys[key] = append(keys[key], port)
			}
			if t.Depth > 0 && len(t.Channels) > 0 {
				stuck = append(stuck, t.Name)
			}
		}
	}
	return keys, stuck
}

// registered returns what brokers have registered, by the ports of those.
func (c *chaos) registered(lookupd node) map[string][]string {
	_, answer := request("GET", lookupd.http()+"/debug", "")
	var debug map[string][]struct {
		Port int `json:"tcp_port"`
	}
	if err := json.Unmarshal([]byte(answer), &debug); err != nil {
		c.t.Fatal(err)
	}
	keys := map[string][]string{}
	for key, producers := range debug {
		if key == "client::" {
			continue
		}
		for _, p := range producers {
			keys[key] = append(keys[key], fmt.Sprint(p.Port))
		}
	}
	return keys
}

// same ignores the order of ports, but not that one is there twice.
func same(a, b map[string][]string) bool {
	return maps.EqualFunc(a, b, func(x, y []string) bool {
		slices.Sort(x)
		slices.Sort(y)
		return slices.Equal(x, y)
	})
}

// Whatever happens, in the end every nsqlookupd knows what there is, and no
// topic keeps what its channels should have.
func TestEverythingIsRegisteredAfterChaos(t *testing.T) {
	for round := range 2 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			c := &chaos{t: t}
			for range 2 {
				l := inProcess{}.lookupd(t)
				c.lookupds = append(c.lookupds, l)
				c.names = append(c.names, []string{l.tcp(), strings.Replace(l.tcp(), "127.0.0.1", "localhost", 1)})
			}
			for range 2 {
				c.nsqds = append(c.nsqds, inProcess{}.nsqd(t, c.lookupds...))
			}
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
			defer stop()
			var running sync.WaitGroup
			begin := func(f func(context.Context, *rand.Rand, node), n node) {
				r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
				running.Go(func() { f(ctx, r, n) })
			}
			for _, n := range c.nsqds {
				begin(c.use, n)
				begin(c.use, n)
				begin(c.configure, n)
			}
			for _, l := range c.lookupds {
				begin(c.flap, l)
			}
			running.Wait()

			for _, n := range c.nsqds {
				c.put(n, addressesOf(c.lookupds))
			}
			var keys map[string][]string
			for _, l := range c.lookupds {
				var got map[string][]string
				defer func() {
					if t.Failed() {
						t.Logf("there is %v\n%s knows %v", keys, l.http(), got)
					}
				}()
				nsqtest.Eventually(t, "an nsqlookupd knows what there is", func() bool {
					keys, _ = c.brokerKeys()
					got = c.registered(l)
					return same(keys, got)
				})
			}
			nsqtest.Eventually(t, "no topic keeps messages", func() bool {
				_, stuck := c.brokerKeys()
				return len(stuck) == 0
			})
			t.Logf("%d topics and channels", len(keys))
		})
	}
}
