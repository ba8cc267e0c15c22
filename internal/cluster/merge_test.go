package cluster

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
)

// said is what a node says in JSON, 60 seconds after the epoch.
func said(t *testing.T, address, hostname, text string) NodeStats {
	t.Helper()
	n := NodeStats{Address: address, Hostname: hostname, At: time.Unix(60, 500), Stats: new(stats.Stats)}
	if err := json.Unmarshal([]byte(text), n.Stats); err != nil {
		t.Fatal(err)
	}
	return n
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One node and one channel: all keys, in their order.
func TestTopicOfOneNodeToTheByte(t *testing.T) {
	n := said(t, "127.0.0.1:4151", "vm", `{"topics":[{"topic_name":"t1","depth":5,"backend_depth":2,"message_count":4,"message_bytes":99,"paused":true,
		"channels":[{"channel_name":"c1","depth":3,"backend_depth":1,"in_flight_count":6,"deferred_count":7,"requeue_count":8,"timeout_count":9,
			"message_count":10,"global_msg_count":3,"client_count":2,"clients":[{"client_id":"x"}],"e2e_processing_latency":{"count":0,"percentiles":null}}],
		"e2e_processing_latency":{"count":3,"percentiles":[{"quantile":1,"value":300709483}]}}]}`)
	const channel = `{"node":%q,"hostname":%q,"topic_name":"t1","channel_name":"c1","depth":3,"memory_depth":2,"backend_depth":1,` +
		`"in_flight_count":6,"deferred_count":7,"requeue_count":8,"timeout_count":9,"message_count":10,"delivery_msg_count":3,"global_msg_count":3,` +
		`"client_count":2,"nodes":%s,"clients":null,"paused":false,"e2e_processing_latency":{"count":0,"percentiles":null,"topic":"t1","channel":"c1","host":%q}}`
	const topic = `{"node":%q,"hostname":%q,"topic_name":"t1","depth":5,"memory_depth":3,"backend_depth":2,"message_count":4,"delivery_msg_count":0,` +
		`"nodes":%s,"channels":[%s],"paused":true,"e2e_processing_latency":{"count":3,"percentiles":[` +
		`{"average":300709483,"count":3,"max":300709483,"min":300709483,"quantile":1%s}],"topic":"t1","channel":"","host":%q}}`

	oneChannel := fmt.Sprintf(channel, "127.0.0.1:4151", "vm", "null", "127.0.0.1:4151")
	oneNode := fmt.Sprintf(topic, "127.0.0.1:4151", "vm", "null", oneChannel, `,"value":300709483`, "127.0.0.1:4151")
	allChannels := fmt.Sprintf(channel, "*", "", "["+oneChannel+"]", "*")
	want := fmt.Sprintf(topic, "*", "", "["+oneNode+"]", allChannels, "", "*")

	got, ok := MergeTopic("t1", []NodeStats{n})
	if text := toJSON(t, got); !ok || text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestChannelOfOneNodeToTheByte(t *testing.T) {
	n := said(t, "127.0.0.1:4151", "vm", `{"topics":[{"topic_name":"t1","channels":[{"channel_name":"c1","client_count":1,"clients":[
		{"client_id":"id","hostname":"h","version":"V2","remote_address":"127.0.0.1:9","state":3,"ready_count":1,"in_flight_count":2,"message_count":3,
		 "finish_count":4,"requeue_count":5,"connect_ts":18,"sample_rate":6,"deflate":true,"snappy":true,"user_agent":"ua/1","authed":true,
		 "auth_identity":"who","auth_identity_url":"url","topology_zone":"z","topology_region":"r","tls":true,"tls_cipher_suite":"suite",
		 "tls_version":"TLS1.3","tls_negotiated_protocol":"p","tls_negotiated_protocol_is_mutual":true}]}]}]}`)
	n.Zone, n.Region = "z1", "r1"
	got, _ := MergeChannel("t1", "c1", []NodeStats{n})
	want := `{"node":"127.0.0.1:4151","remote_address":"127.0.0.1:9","version":"V2","client_id":"id","hostname":"h","user_agent":"ua/1",` +
		`"connect_ts":18,"connected":42000000000,"in_flight_count":2,"ready_count":1,"finish_count":4,"requeue_count":5,"message_count":3,` +
		`"sample_rate":6,"deflate":true,"snappy":true,"authed":true,"auth_identity":"who","auth_identity_url":"url",` +
		`"node_topology_region":"r1","node_topology_zone":"z1","topology_region":"r","topology_zone":"z",` +
		`"tls":true,"tls_cipher_suite":"suite","tls_version":"TLS1.3","tls_negotiated_protocol":"p","tls_negotiated_protocol_is_mutual":true}`
	if text := toJSON(t, got.Clients); text != "["+want+"]" {
		t.Errorf("got  %s\nwant [%s]", text, want)
	}
	bare := toJSON(t, ClientInfo{})
	for _, key := range []string{"node_topology_region", "node_topology_zone", `"topology_region`, `"topology_zone`} {
		if strings.Contains(bare, key) {
			t.Errorf("%s is there without a value: %s", key, bare)
		}
	}
}

// Sums are of all nodes, and what a node says stays its own.
func TestMergeAddsUpNodes(t *testing.T) {
	const text = `{"topics":[{"topic_name":"other"},{"topic_name":"t","depth":%[1]d,"backend_depth":1,"message_count":%[1]d,"channels":[
		{"channel_name":"c","depth":%[1]d,"in_flight_count":%[1]d,"deferred_count":%[1]d,"requeue_count":%[1]d,"timeout_count":%[1]d,"message_count":%[1]d,
		 "zone_local_msg_count":%[1]d,"region_local_msg_count":%[1]d,"global_msg_count":%[1]d,"client_count":%[1]d,"paused":%[2]v},
		{"channel_name":"only-%[1]d","depth":7}]}]}`
	nodes := []NodeStats{
		said(t, "b:1", "hb", fmt.Sprintf(text, 20, true)),
		said(t, "a:1", "ha", fmt.Sprintf(text, 1, false)),
		said(t, "c:1", "hc", `{"topics":[]}`),
		{Address: "d:1"}, // no answer
	}
	before := toJSON(t, nodes)
	topic, ok := MergeTopic("t", nodes)
	if !ok || topic.Depth != 21 || topic.BackendDepth != 2 || topic.MemoryDepth != 19 || topic.Messages != 21 || topic.Paused {
		t.Errorf("the topic is %+v", topic)
	}
	var names []string
	for _, n := range topic.Nodes {
		names = append(names, n.Node+" "+n.Hostname)
	}
	if want := []string{"a:1 ha", "b:1 hb"}; !reflect.DeepEqual(names, want) {
		t.Errorf("nodes are %q, want %q", names, want)
	}
	names = nil
	for _, c := range topic.Channels {
		names = append(names, fmt.Sprint(c.Node, c.Channel, c.Depth, len(c.Nodes)))
	}
	if want := []string{"*c21 2", "*only-17 1", "*only-207 1"}; !reflect.DeepEqual(names, want) {
		t.Errorf("channels are %q, want %q", names, want)
	}
	if first := topic.Nodes[0].Channels[0]; first.Depth != 1 || first.Messages != 1 || first.Nodes != nil {
		t.Errorf("the channel of the first node is that of others as well: %+v", first)
	}

	fromTopic := topic.Channels[0]
	channel, ok := MergeChannel("t", "c", nodes)
	channel.Clients = nil
	for i := range channel.Nodes {
		channel.Nodes[i].Clients = nil
	}
	if !ok || !reflect.DeepEqual(channel, fromTopic) {
		t.Errorf("alone and in the topic the channel differs:\n%+v\n%+v", channel, fromTopic)
	}
	want := ChannelStats{
		Node: "*", Topic: "t", Channel: "c", Depth: 21, MemoryDepth: 21, InFlight: 21, Deferred: 21, Requeues: 21, Timeouts: 21, Messages: 21,
		Delivered: 63, ZoneLocal: 21, RegionLocal: 21, Global: 21, ClientCount: 21, Nodes: channel.Nodes, Paused: true,
		E2E: E2E{Topic: "t", Channel: "c", Host: "*"},
	}
	if !reflect.DeepEqual(channel, want) {
		t.Errorf("got  %+v\nwant %+v", channel, want)
	}
	if after := toJSON(t, nodes); after != before {
		t.Errorf("the nodes' answers were changed:\n%s\n%s", before, after)
	}
}

func TestMergeOfWhatNobodyHas(t *testing.T) {
	nodes := []NodeStats{said(t, "a:1", "", `{"topics":[{"topic_name":"t","channels":null}]}`), said(t, "b:1", "", `{"topics":null}`)}
	if got, ok := MergeTopic("x", nodes); ok || !reflect.DeepEqual(got, EmptyTopic("x")) {
		t.Errorf("an unknown topic: %v, %+v", ok, got)
	}
	for _, topic := range []string{"t", "x"} {
		if got, ok := MergeChannel(topic, "c", nodes); ok || !reflect.DeepEqual(got, EmptyChannel(topic, "c")) {
			t.Errorf("an unknown channel of %s: %v, %+v", topic, ok, got)
		}
	}
	const want = `{"node":"*","hostname":"","topic_name":"x","depth":0,"memory_depth":0,"backend_depth":0,"message_count":0,"delivery_msg_count":0,` +
		`"nodes":null,"channels":[],"paused":false,"e2e_processing_latency":{"count":0,"percentiles":null,"topic":"x","channel":"","host":"*"}}`
	if text := toJSON(t, EmptyTopic("x")); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestMergeLatencies(t *testing.T) {
	for name, c := range map[string]struct {
		nodes []stats.Latency
		want  []Percentile
		count int64
	}{
		"several nodes": {
			[]stats.Latency{{Count: 1, Percentiles: []stats.Percentile{{Quantile: 1, Value: 10}, {Quantile: .5, Value: 4}}}, {Count: 3, Percentiles: []stats.Percentile{{Quantile: 1, Value: 30}, {Quantile: .5, Value: 2}}}},
			[]Percentile{{Average: 25, Count: 4, Max: 30, Min: 10, Quantile: 1}, {Average: 2.5, Count: 4, Max: 4, Min: 2, Quantile: .5}}, 4,
		},
		"a node on which nothing was finished": {
			[]stats.Latency{{Count: 0, Percentiles: []stats.Percentile{{Quantile: 1}}}, {Count: 2, Percentiles: []stats.Percentile{{Quantile: 1, Value: 30}}}, {Count: 0, Percentiles: []stats.Percentile{{Quantile: 1}}}},
			[]Percentile{{Average: 30, Count: 2, Max: 30, Min: 30, Quantile: 1}}, 2,
		},
		"other percentiles": {
			[]stats.Latency{{Count: 1, Percentiles: []stats.Percentile{{Quantile: 1, Value: 10}}}, {Count: 2}, {Count: 3, Percentiles: []stats.Percentile{{Quantile: .9, Value: 30}}}},
			[]Percentile{{Average: 10, Count: 1, Max: 10, Min: 10, Quantile: 1}, {Average: 30, Count: 3, Max: 30, Min: 30, Quantile: .9}}, 6,
		},
		"none": {[]stats.Latency{{Count: 0}, {Count: 0}}, nil, 0},
		"nonsense": {
			[]stats.Latency{{Count: math.MaxInt, Percentiles: []stats.Percentile{{Quantile: 1, Value: math.MaxFloat64}}}, {Count: -1, Percentiles: []stats.Percentile{{Quantile: 1, Value: -math.MaxFloat64}}}},
			[]Percentile{{Average: math.MaxInt64, Count: min(math.MaxInt, 1<<50), Max: math.MaxInt64, Min: math.MaxInt64, Quantile: 1}}, min(math.MaxInt, 1<<50),
		},
	} {
		var nodes []NodeStats
		for i, l := range c.nodes {
			nodes = append(nodes, NodeStats{Address: fmt.Sprint("n", i), Stats: &stats.Stats{Topics: []stats.Topic{{Name: "t", E2E: l}}}})
		}
		got, _ := MergeTopic("t", nodes)
		if want := (E2E{c.count, c.want, "t", "", "*"}); !reflect.DeepEqual(got.E2E, want) {
			t.Errorf("%s: got %+v, want %+v", name, got.E2E, want)
		}
		toJSON(t, got)
	}
}

func TestClientsAreOrderedByNodeAndDistance(t *testing.T) {
	const text = `{"topics":[{"topic_name":"t","channels":[{"channel_name":"c","clients":[
		{"client_id":"far","topology_zone":"x","topology_region":"x"},{"client_id":"region","topology_zone":"x","topology_region":"r"},
		{"client_id":"zone 1","topology_zone":"z","topology_region":"r"},{"client_id":"zone 2","topology_zone":"z","topology_region":"r"}]}]}]}`
	b, a := said(t, "b:1", "", text), said(t, "a:1", "", text)
	b.Zone, b.Region = "z", "r"
	a.Zone, a.Region = "x", "r"
	channel, _ := MergeChannel("t", "c", []NodeStats{b, a})
	var got []string
	for _, c := range channel.Clients {
		got = append(got, c.Node+" "+c.ClientID)
	}
	want := []string{"a:1 far", "a:1 region", "a:1 zone 1", "a:1 zone 2", "b:1 zone 1", "b:1 zone 2", "b:1 region", "b:1 far"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if channel.ClientCount != 8 {
		t.Errorf("%d clients are counted where the nsqds count none, want the 8 that they list", channel.ClientCount)
	}
}

func TestConnectedFor(t *testing.T) {
	for name, c := range map[string]struct {
		since int64
		at    time.Time
		want  time.Duration
	}{
		"whole seconds":                    {10, time.Unix(70, 999_999_999), time.Minute},
		"a clock that goes ahead":          {100, time.Unix(70, 0), 0},
		"an answer of which no one knows":  {100, time.Time{}, 0},
		"a client that does not say since": {0, time.Unix(70, 0), 0},
		"nonsense":                         {math.MinInt64, time.Unix(70, 0), 0},
		"more than a duration holds":       {1, time.Unix(1<<40, 0), 0},
	} {
		if got := connectedFor(c.since, c.at); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestTopicsOfANode(t *testing.T) {
	n := said(t, "a:1", "ha", `{"topics":[{"topic_name":"z"},{"topic_name":"t","channels":[{"channel_name":"d"},{"channel_name":"c","clients":[{"client_id":"x"}]}]}]}`)
	got := NodeTopics(n)
	if len(got) != 2 || got[0].Topic != "t" || got[1].Topic != "z" || got[0].Node != "a:1" || got[0].Hostname != "ha" || got[0].Nodes != nil {
		t.Fatalf("got %+v", got)
	}
	channels := got[0].Channels
	if len(channels) != 2 || channels[0].Channel != "c" || len(channels[0].Clients) != 1 || channels[0].Clients[0].ClientID != "x" {
		t.Errorf("channels are %+v", channels)
	}
	if text := toJSON(t, NodeTopics(NodeStats{})); text != "[]" {
		t.Errorf("a node that did not answer has %s", text)
	}
}

func TestATopicHasADurabilityIfItsNodesAgree(t *testing.T) {
	for name, c := range map[string]struct {
		nodes []string
		want  string
	}{
		"all alike":          {[]string{"fsync", "fsync"}, "fsync"},
		"they differ":        {[]string{"disk", "fsync", "disk"}, Mixed},
		"one does not tell":  {[]string{"disk", ""}, Mixed},
		"the first does not": {[]string{"", "disk"}, Mixed},
		"none tells":         {[]string{"", ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var nodes []NodeStats
			for i, d := range c.nodes {
				nodes = append(nodes, NodeStats{Address: string(rune('a' + i)), Stats: &stats.Stats{Topics: []stats.Topic{{Name: "t", Durability: d}}}})
			}
			if sum, _ := MergeTopic("t", nodes); sum.Durability != c.want {
				t.Errorf("%q, want %q", sum.Durability, c.want)
			}
		})
	}
}
