package nsqlookupd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
)

// get returns status and body of a GET request.
func get(tb testing.TB, d *nsqtest.Lookupd, path string) (int, string) {
	tb.Helper()
	return request(tb, d, "GET", path)
}

func request(tb testing.TB, d *nsqtest.Lookupd, method, path string) (int, string) {
	tb.Helper()
	req, err := http.NewRequest(method, d.HTTPURL()+path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A picture is what the HTTP API says of one nsqd.
type picture struct {
	nodes    string            // its tombstones and topics in /nodes
	topics   string            // /topics
	channels map[string]string // /channels by topic
	lookup   map[string]string // the channels in /lookup by topic and "+" if it is a producer; none: 404
	debug    string            // the keys under which /debug shows it
}

const notFound = `{"message":"TOPIC_NOT_FOUND"}`

// lastUpdate is the one thing in /debug that is not known.
var lastUpdate = regexp.MustCompile(`"last_update":[0-9]{19},`)

// want checks that the API paints this picture of the node, which is connected
// from remote.
func (p picture) want(t *testing.T, d *nsqtest.Lookupd, step, remote string, node classicNode) {
	t.Helper()
	check := func(path string, wantStatus int, want string) {
		t.Helper()
		status, got := get(t, d, path)
		got = lastUpdate.ReplaceAllString(got, `"last_update":0,`)
		if status != wantStatus || got != want {
			t.Errorf("%s: %s:\ngot  %d %s\nwant %d %s", step, path, status, got, wantStatus, want)
		}
	}
	shown := fmt.Sprintf(`{"remote_address":"%s","hostname":"n1","broadcast_address":"%s","tcp_port":4150,"http_port":4151,`+
		`"version":"1.3.0","topology_zone":"","topology_region":""`, remote, node.address)
	check("/nodes", 200, `{"producers":[`+prefixed(p.nodes, shown+",")+`]}`)
	check("/topics", 200, `{"topics":`+p.topics+`}`)
	for topic, want := range p.channels {
		check("/channels?topic="+url.QueryEscape(topic), 200, `{"channels":`+want+`}`)
	}
	for topic, want := range p.lookup {
		channels, isProducer := strings.CutSuffix(want, "+")
		switch {
		case want == "none":
			check("/lookup?topic="+url.QueryEscape(topic), 404, notFound)
		case isProducer:
			check("/lookup?topic="+url.QueryEscape(topic), 200, `{"channels":`+channels+`,"producers":[`+shown+`}]}`)
		default:
			check("/lookup?topic="+url.QueryEscape(topic), 200, `{"channels":`+channels+`,"producers":[]}`)
		}
	}
	var debug []string
	for _, key := range strings.Fields(p.debug) {
		debug = append(debug, fmt.Sprintf(`"%s":[{"broadcast_address":"%s","hostname":"n1","http_port":4151,"id":"%s","last_update":0,"tcp_port":4150,`+
			`"tombstoned":false,"tombstoned_at":-6795364578871345152,"topology_region":"","topology_zone":"","version":"1.3.0"}]`, key, node.address, remote))
	}
	gotStatus, got := get(t, d, "/debug")
	got = lastUpdate.ReplaceAllString(got, `"last_update":0,`)
	for _, entry := range debug { // in any order
		if !strings.Contains(got, entry) {
			t.Errorf("%s: /debug: got %s without %s", step, got, entry)
		}
	}
	if want := len(strings.Join(debug, ",")) + len("{}"); gotStatus != 200 || len(got) != want {
		t.Errorf("%s: /debug: got %d with %d bytes, want %d: %s", step, gotStatus, len(got), want, got)
	}
}

// prefixed returns text with what precedes it, nothing where there is no text.
func prefixed(text, prefix string) string {
	if text == "" {
		return ""
	}
	return prefix + text + "}"
}

// A classicNode is an nsqd of other software: where it connects to, and the
// address that it advertises.
type classicNode struct{ listen, address string }

// What other software sends, byte by byte, and what is listed after each step.
func TestClassicNSQD(t *testing.T) {
	for name, node := range map[string]classicNode{
		"IPv4": {"127.0.0.1:0", "n1.example"},
		"IPv6": {"[::1]:0", "fd00::17"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "IPv6" {
				l, err := net.Listen("tcp", node.listen)
				if err != nil {
					t.Skipf("this machine has no ::1: %v", err)
				}
				l.Close()
			}
			playClassic(t, node)
		})
	}
}

func playClassic(t *testing.T, node classicNode) {
	opts := nsqtest.LookupdOptions(t)
	opts.TCPAddress = node.listen
	opts.HTTPAddress = node.listen
	d := nsqtest.StartLookupd(t, opts)
	c := connect(t, d.RealTCPAddr())
	remote := c.addr()
	empty := picture{topics: "[]", lookup: map[string]string{"t": "none"}}

	body := `{"broadcast_address":"` + node.address + `","hostname":"n1","http_port":4151,"tcp_port":4150,"topology_region":"","topology_zone":"","version":"1.3.0"}`
	c.send("  V1")
	empty.want(t, d, "before IDENTIFY", remote, node)
	c.send("IDENTIFY\n" + string([]byte{0, 0, 0, byte(len(body))}) + body)
	c.want(fmt.Sprintf(`{"broadcast_address":"127.0.0.1","hostname":"%s","http_port":%s,"tcp_port":%s,"version":"%s"}`,
		config.Hostname(), portOf(d.RealHTTPAddr()), portOf(d.RealTCPAddr()), version.Binary))

	for _, step := range []struct {
		send string
		want picture
	}{
		{"PING\n", picture{
			nodes: `"tombstones":[],"topics":[]`, topics: `[]`, lookup: map[string]string{"t": "none"},
			channels: map[string]string{"t": "[]"}, debug: "client::",
		}},
		{"REGISTER t\n", picture{
			nodes: `"tombstones":[false],"topics":["t"]`, topics: `["t"]`, lookup: map[string]string{"t": "[]+", "u": "none"},
			channels: map[string]string{"t": "[]", "u": "[]"}, debug: "client:: topic:t:",
		}},
		{"REGISTER t c1\n", picture{
			nodes: `"tombstones":[false],"topics":["t"]`, topics: `["t"]`, lookup: map[string]string{"t": `["c1"]+`},
			channels: map[string]string{"t": `["c1"]`}, debug: "client:: topic:t: channel:t:c1",
		}},
		{"REGISTER t c2#ephemeral\n", picture{
			nodes: `"tombstones":[false],"topics":["t"]`, topics: `["t"]`, lookup: map[string]string{"t": `["c1","c2#ephemeral"]+`},
			channels: map[string]string{"t": `["c1","c2#ephemeral"]`}, debug: "client:: topic:t: channel:t:c1 channel:t:c2#ephemeral",
		}},
		{"REGISTER e#ephemeral c\n", picture{ // a topic with a channel is told of by that alone
			nodes: `"tombstones":[false,false],"topics":["e#ephemeral","t"]`, topics: `["e#ephemeral","t"]`,
			lookup:   map[string]string{"e#ephemeral": `["c"]+`},
			channels: map[string]string{"e#ephemeral": `["c"]`}, debug: "client:: topic:t: channel:t:c1 channel:t:c2#ephemeral topic:e#ephemeral: channel:e#ephemeral:c",
		}},
		{"UNREGISTER t c2#ephemeral\n", picture{
			nodes: `"tombstones":[false,false],"topics":["e#ephemeral","t"]`, topics: `["e#ephemeral","t"]`,
			lookup:   map[string]string{"t": `["c1"]+`},
			channels: map[string]string{"t": `["c1"]`}, debug: "client:: topic:t: channel:t:c1 topic:e#ephemeral: channel:e#ephemeral:c",
		}},
		{"UNREGISTER e#ephemeral\n", picture{ // the topic is deleted there: first it is told of, then its channels
			nodes: `"tombstones":[false],"topics":["t"]`, topics: `["t"]`,
			lookup:   map[string]string{"e#ephemeral": "none"},
			channels: map[string]string{"e#ephemeral": "[]"}, debug: "client:: topic:t: channel:t:c1",
		}},
		{"UNREGISTER e#ephemeral c\n", picture{
			nodes: `"tombstones":[false],"topics":["t"]`, topics: `["t"]`,
			lookup:   map[string]string{"e#ephemeral": "none"},
			channels: map[string]string{"e#ephemeral": "[]"}, debug: "client:: topic:t: channel:t:c1",
		}},
		{"REGISTER u\n", picture{
			nodes: `"tombstones":[false,false],"topics":["t","u"]`, topics: `["t","u"]`,
			lookup: map[string]string{"u": "[]+"}, channels: map[string]string{"u": "[]"}, debug: "client:: topic:t: channel:t:c1 topic:u:",
		}},
		{"UNREGISTER t\n", picture{ // a topic that is not ephemeral stays known
			nodes: `"tombstones":[false],"topics":["u"]`, topics: `["t","u"]`,
			lookup: map[string]string{"t": `["c1"]`, "u": "[]+"}, channels: map[string]string{"t": `["c1"]`}, debug: "client:: topic:u:",
		}},
		{"UNREGISTER t c1\n", picture{
			nodes: `"tombstones":[false],"topics":["u"]`, topics: `["t","u"]`,
			lookup: map[string]string{"t": `["c1"]`, "u": "[]+"}, channels: map[string]string{"t": `["c1"]`}, debug: "client:: topic:u:",
		}},
		{"PING\n", picture{
			nodes: `"tombstones":[false],"topics":["u"]`, topics: `["t","u"]`,
			lookup: map[string]string{"t": `["c1"]`, "u": "[]+"}, channels: map[string]string{"t": `["c1"]`}, debug: "client:: topic:u:",
		}},
	} {
		c.send(step.send)
		c.want("OK")
		step.want.want(t, d, step.send, remote, node)
	}
	c.close()
	gone := picture{topics: `["t","u"]`, lookup: map[string]string{"t": `["c1"]`, "u": "[]"}, channels: map[string]string{"t": `["c1"]`}}
	nsqtest.Eventually(t, "the nsqd is gone", func() bool {
		_, nodes := get(t, d, "/nodes")
		return nodes == `{"producers":[]}`
	})
	gone.want(t, d, "after the end of the connection", remote, node)
}

// A node may be named with or without brackets, where its address has colons.
func TestTombstoneOfAnIPv6Address(t *testing.T) {
	for _, address := range []string{"fd00::17:4151", "[fd00::17]:4151"} {
		d := nsqtest.StartLookupd(t, nil)
		c := dial(t, d)
		c.identify(`{"broadcast_address":"fd00::17","http_port":4151,"tcp_port":4150,"version":"1.3.0"}`)
		c.register("t", "")
		if status, body := request(t, d, "POST", "/topic/tombstone?topic=t&node="+url.QueryEscape(address)); status != 200 || body != "" {
			t.Errorf("tombstone: %d %s", status, body)
		}
		if status, body := get(t, d, "/lookup?topic=t"); status != 200 || body != `{"channels":[],"producers":[]}` {
			t.Errorf("%s: %d %s", address, status, body)
		}
	}
}
