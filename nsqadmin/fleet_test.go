package nsqadmin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// A fleet is many fake nsqds and nsqlookupds: they say what a cluster of that
// size says, and cost little themselves.
type fleet struct {
	tb       testing.TB
	nodes    []*fleetNode
	topics   []string
	lookupds []string // addresses
	release  chan struct{}
}

type fleetNode struct {
	address string
	server  *httptest.Server
	hangs   atomic.Bool
	stats   stats.Stats
	answer  []byte // stats without clients
}

// fleetSize says what a fleet is made of: topics of channels each, each of them on
// so many of the nodes.
type fleetSize struct{ nodes, topics, channels, on int }

func (s fleetSize) String() string {
	return fmt.Sprintf("%d nodes, %d channels on %d each", s.nodes, s.topics*s.channels, s.on)
}

func startFleet(tb testing.TB, size fleetSize) *fleet {
	f := &fleet{tb: tb, release: make(chan struct{})}
	for range size.nodes {
		n := new(fleetNode)
		n.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(n, w, r) }))
		n.address = n.server.Listener.Addr().String()
		n.stats = stats.Stats{Version: "1.3.0", Health: "OK", StartTime: 1, Topics: []stats.Topic{}, Producers: []stats.Client{}}
		f.nodes = append(f.nodes, n)
		tb.Cleanup(n.server.Close)
	}
	for i := range size.topics {
		name := fmt.Sprintf("topic-%04d", i)
		f.topics = append(f.topics, name)
		t := stats.Topic{Name: name, Messages: 1 << 30, Bytes: 1 << 40, E2E: stats.Latency{Percentiles: []stats.Percentile{}}}
		for j := range size.channels {
			finished := uint64(1<<30 - 1234)
			t.Channels = append(t.Channels, stats.Channel{
				Name: fmt.Sprintf("channel-%d", j), Depth: 1234, InFlight: 12, Messages: 1 << 30, Finished: &finished, ClientCount: 2,
				Clients: []stats.Client{{ClientID: "a", Hostname: "a", RemoteAddress: "10.0.0.1:1"}, {ClientID: "b", Hostname: "b", RemoteAddress: "10.0.0.2:1"}},
				E2E:     stats.Latency{Percentiles: []stats.Percentile{}},
			})
		}
		for k := range size.on {
			n := f.nodes[(i*size.on+k*7)%size.nodes] // 7 divides no size: topics of nodes that are well and that fail
			n.stats.Topics = append(n.stats.Topics, t)
		}
	}
	for _, n := range f.nodes {
		n.answer = mustJSON(tb, n.filtered("", "", false))
	}
	f.startLookupds(3)
	tb.Cleanup(func() { close(f.release) }) // before servers are closed
	return f
}

func mustJSON(tb testing.TB, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// filtered returns what the node says of a topic and channel, "" for all.
func (n *fleetNode) filtered(topic, channel string, clients bool) stats.Stats {
	s := n.stats
	s.Topics = []stats.Topic{}
	for _, t := range n.stats.Topics {
		if topic != "" && t.Name != topic {
			continue
		}
		t.Channels = slices.Clone(t.Channels)
		if channel != "" {
			t.Channels = slices.DeleteFunc(t.Channels, func(c stats.Channel) bool { return c.Name != channel })
		}
		for i := range t.Channels {
			if !clients {
				t.Channels[i].Clients = []stats.Client{}
			}
		}
		s.Topics = append(s.Topics, t)
	}
	return s
}

func (f *fleet) serve(n *fleetNode, w http.ResponseWriter, r *http.Request) {
	if n.hangs.Load() {
		select {
		case <-f.release:
		case <-r.Context().Done():
		}
		return
	}
	w.Header().Set("X-NSQ-Content-Type", "nsq; version=1.0")
	q := r.URL.Query()
	clients := q.Get("include_clients") != "false"
	switch {
	case r.URL.Path != "/stats":
		http.Error(w, "{}", http.StatusNotFound)
	case !clients && q.Get("topic") == "":
		w.Header().Set("Content-Length", strconv.Itoa(len(n.answer)))
		w.Write(n.answer)
	default:
		w.Write(mustJSON(f.tb, n.filtered(q.Get("topic"), q.Get("channel"), clients)))
	}
}

func (f *fleet) startLookupds(count int) {
	producers := make([]cluster.Producer, len(f.nodes))
	for i, n := range f.nodes {
		host, port, _ := net.SplitHostPort(n.address)
		p := cluster.Producer{RemoteAddress: fmt.Sprintf("10.0.0.1:%d", i), Hostname: fmt.Sprintf("node-%03d", i), BroadcastAddress: host, TCPPort: 10000 + i, Version: "1.3.0"}
		p.HTTPPort, _ = strconv.Atoi(port)
		for _, t := range n.stats.Topics {
			p.Topics, p.Tombstones = append(p.Topics, t.Name), append(p.Tombstones, false)
		}
		producers[i] = p
	}
	answers := map[string][]byte{
		"/nodes":    mustJSON(f.tb, map[string]any{"producers": producers}),
		"/topics":   mustJSON(f.tb, map[string]any{"topics": f.topics}),
		"/channels": mustJSON(f.tb, map[string]any{"channels": []string{"channel-0", "channel-1"}}),
		"/info":     mustJSON(f.tb, map[string]any{"version": "1.3.0"}),
	}
	for range count {
		l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-NSQ-Content-Type", "nsq; version=1.0")
			w.Write(answers[r.URL.Path])
		}))
		f.lookupds = append(f.lookupds, l.Listener.Addr().String())
		f.tb.Cleanup(l.Close)
	}
}

// fail has so many nodes hang, and as many others refuse connections.
func (f *fleet) fail(count int) {
	var closing sync.WaitGroup
	for i := range count {
		f.nodes[i].hangs.Store(true)
		closing.Go(func() {
			f.nodes[count+i].server.CloseClientConnections()
			f.nodes[count+i].server.Close()
		})
	}
	closing.Wait()
}

func (f *fleet) admin() *testAdmin {
	opts := testOptions(f.tb)
	opts.Logger = slog.New(slog.DiscardHandler)
	opts.LookupdHTTPAddresses = f.lookupds
	opts.HTTPClientRequestTimeout = 2 * time.Second
	a := start(f.tb, opts)
	nsqtest.EventuallyWithin(f.tb, time.Minute, "all nodes are seen", func() bool {
		v := a.poller.View()
		return len(v.Nodes) == len(f.nodes) && !slices.ContainsFunc(v.Nodes, func(n watch.NodeState) bool { return n.Stats == nil })
	})
	return a
}

// pages are those of a fleet, of a topic on nodes of all kinds, of a node that
// hangs if any does and of one that is well.
func (f *fleet) pages() []string {
	hangs, last := f.nodes[0], f.nodes[len(f.nodes)-1]
	topic := f.topics[0]
	return []string{
		"/", "/topics", "/topics?sort=depth&order=desc&q=topic&page=2", "/topics/" + topic, "/topics/" + topic + "/channel-1",
		"/nodes", "/nodes/" + last.address, "/nodes/" + hangs.address, "/lookup", "/counter", "/search?q=channel-1", "/action?do=empty_topic&topic=" + topic,
	}
}

// longestPage is what every page is to be faster than.
const longestPage = time.Second

// Every page of a large cluster comes soon, also while many of its nodes hang or
// are gone. In a build that looks for races everything takes several times as
// long.
func TestPagesOfALargeCluster(t *testing.T) {
	size, limit := fleetSize{nodes: 200, topics: 500, channels: 4, on: 10}, longestPage
	if nsqtest.RaceEnabled {
		size, limit = fleetSize{nodes: 20, topics: 50, channels: 4, on: 5}, 10*longestPage
	}
	f := startFleet(t, size)
	a := f.admin()
	look := func(state string) {
		t.Helper()
		for _, path := range f.pages() {
			took := time.Duration(1 << 62) // the best of three, as others use the machine
			for range 3 {
				began := time.Now()
				a.get(path)
				took = min(took, time.Since(began))
			}
			t.Logf("%s, %s: %v", state, path, took)
			if took >= limit {
				t.Errorf("%s, %s took %v", state, path, took)
			}
		}
	}
	look("all is well")
	f.fail(size.nodes / 10)
	nsqtest.EventuallyWithin(t, time.Minute, "those that fail show as such", func() bool {
		failed := 0
		v := a.poller.View()
		for i := range v.Nodes {
			if v.Nodes[i].Err != nil {
				failed++
			}
		}
		return failed == size.nodes/5
	})
	look("a fifth fails")
	v := a.poller.View()
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Err == nil && v.At.Sub(n.Answered) > 4*watch.WatchedPace && !nsqtest.RaceEnabled {
			t.Errorf("node %s, which is well, was last heard %v ago", n.Address, v.At.Sub(n.Answered))
		}
	}
}
