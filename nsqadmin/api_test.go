package nsqadmin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
)

// A testCluster is two brokers that one nsqlookupd knows, and two consoles: one
// that asks the nsqlookupd, and one that was given the brokers.
type testCluster struct {
	t       testing.TB
	lookupd *nsqtest.Lookupd
	nsqds   []*nsqtest.NSQD
	found   *testAdmin
	given   *testAdmin
}

func startCluster(t testing.TB) *testCluster {
	c := &testCluster{t: t, lookupd: nsqtest.StartLookupd(t, nil)}
	given := testOptions(t)
	for range 2 {
		opts := nsqtest.Options(t)
		opts.LookupdTCPAddresses = []string{c.lookupd.TCPAddr()}
		opts.E2EProcessingLatencyPercentiles = []float64{1}
		d := nsqtest.Start(t, opts)
		c.nsqds = append(c.nsqds, d)
		given.NSQDHTTPAddresses = append(given.NSQDHTTPAddresses, d.RealHTTPAddr().String())
	}
	c.found, c.given = start(t, testOptions(t, c.lookupd)), start(t, given)
	nsqtest.Eventually(t, "both brokers are registered", func() bool { return strings.Count(c.found.get("/api/nodes"), "tcp_port") == 2 })
	return c
}

// post sends a request to one of the brokers.
func (c *testCluster) post(nsqd int, path, body string) {
	c.t.Helper()
	resp, err := http.Post(c.nsqds[nsqd].HTTPURL()+path, "", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s", path, resp.Status)
	}
}

// create has brokers have topic t with channel c, which the nsqlookupd knows.
func (c *testCluster) create(topic, channel string, nsqds ...int) {
	c.t.Helper()
	for _, n := range nsqds {
		c.post(n, "/topic/create?topic="+topic, "")
		c.post(n, "/channel/create?topic="+topic+"&channel="+channel, "")
	}
	nsqtest.Eventually(c.t, "the topic is registered", func() bool {
		targets, channels, _, _ := c.found.sources.producing(c.t.Context(), topic)
		return len(targets) == len(nsqds) && len(channels) == 1
	})
}

func (c *testCluster) addr(nsqd int) string { return c.nsqds[nsqd].RealHTTPAddr().String() }

// decoded is JSON as a map.
func decoded(t testing.TB, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func TestAPIOfTopicsAndChannels(t *testing.T) {
	c := startCluster(t)
	for name, a := range map[string]*testAdmin{"found": c.found, "given": c.given} {
		a.want(200, `{"topics":null,"message":""}`, "GET", "/api/topics", "")
		a.want(200, `{"topics":{},"message":""}`, "GET", "/api/topics?inactive=true", "")
		a.want(200, `{"stats":{},"message":""}`, "GET", "/api/counter", "")
		_ = name
	}
	c.create("t2", "c", 0)
	c.create("t1", "c", 0, 1)
	for i := range 3 {
		c.post(0, "/pub?topic=t1", fmt.Sprint(i))
	}
	c.post(1, "/pub?topic=t1", "x")
	for name, a := range map[string]*testAdmin{"found": c.found, "given": c.given} {
		nsqtest.Eventually(t, "messages are in the channels", func() bool {
			return decoded(t, a.get("/api/topics/t1/c"))["depth"] == 4.0
		})
		a.want(200, `{"topics":["t1","t2"],"message":""}`, "GET", "/api/topics", "")
		a.want(200, `{"topics":["t1","t2"],"message":""}`, "GET", "/api/topics?inactive=yes", "")
		a.want(200, `{"topics":{},"message":""}`, "GET", "/api/topics?inactive=true", "")
		if resp, _ := a.do("GET", "/api/topics", ""); resp.Header.Get("X-Nsq-Content-Type") != "nsq; version=1.0" ||
			resp.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: header %v", name, resp.Header)
		}

		topic := decoded(t, a.get("/api/topics/t1"))
		nodes := topic["nodes"].([]any)
		if topic["node"] != "*" || topic["message_count"] != 4.0 || len(nodes) != 2 || topic["message"] != "" {
			t.Errorf("%s: topic %v", name, topic)
		}
		first := nodes[0].(map[string]any)["channels"].([]any)[0].(map[string]any)
		if n := first["depth"].(float64); n != 1 && n != 3 || first["node"] == "*" || first["clients"] != nil {
			t.Errorf("%s: the channel on the first node is %v", name, first)
		}
		channel := decoded(t, a.get("/api/topics/t1/c"))
		if channel["message_count"] != 4.0 || len(channel["nodes"].([]any)) != 2 || fmt.Sprint(channel["clients"]) != "[]" {
			t.Errorf("%s: channel %v", name, channel)
		}

		host := ""
		for _, n := range nodes {
			host = n.(map[string]any)["hostname"].(string)
		}
		one := func(n, messages int) string {
			return fmt.Sprintf(`"t1:c:%[1]s":{"node":"%[1]s","topic_name":"t1","channel_name":"c","message_count":%[2]d}`, c.addr(n), messages)
		}
		stats := decoded(t, a.get("/api/counter"))["stats"].(map[string]any)
		want := decoded(t, "{"+one(0, 3)+","+one(1, 1)+`,"t2:c:`+c.addr(0)+`":{"node":"`+c.addr(0)+`","topic_name":"t2","channel_name":"c","message_count":0}}`)
		if !reflect.DeepEqual(stats, want) {
			t.Errorf("%s: counter %v, want %v", name, stats, want)
		}

		// What is there, to the byte: t2 is on one node, and empty.
		e2e := func(channel, host string, value string) string {
			return fmt.Sprintf(`{"count":0,"percentiles":[{"average":0,"count":0,"max":0,"min":0,"quantile":1%s}],"topic":"t2","channel":"%s","host":"%s"}`, value, channel, host)
		}
		channelOf := func(node, host, nodes, clients, value string) string {
			return fmt.Sprintf(`{"node":"%[1]s","hostname":"%[2]s","topic_name":"t2","channel_name":"c","depth":0,"memory_depth":0,"backend_depth":0,`+
				`"in_flight_count":0,"deferred_count":0,"requeue_count":0,"timeout_count":0,"message_count":0,"client_count":0,`+
				`"nodes":%[3]s,"clients":%[4]s,"paused":false,"e2e_processing_latency":%[5]s}`, node, host, nodes, clients, e2e("c", node, value))
		}
		const value = `,"value":0`
		onNode := channelOf(c.addr(0), host, "null", "null", value)
		topicOf := func(node, host, nodes, channels, value string) string {
			return fmt.Sprintf(`{"node":"%[1]s","hostname":"%[2]s","topic_name":"t2","depth":0,"memory_depth":0,"backend_depth":0,"message_count":0,"delivery_msg_count":0,`+
				`"nodes":%[3]s,"channels":[%[4]s],"paused":false,"durability":"memory","e2e_processing_latency":%[5]s}`, node, host, nodes, channels, e2e("", node, value))
		}
		withMessage := func(object string) string { return strings.TrimSuffix(object, "}") + `,"message":""}` }
		a.want(200, withMessage(topicOf("*", "", "["+topicOf(c.addr(0), host, "null", onNode, value)+"]", channelOf("*", "", "["+onNode+"]", "null", ""), "")),
			"GET", "/api/topics/t2", "")
		a.want(200, withMessage(channelOf("*", "", "["+channelOf(c.addr(0), host, "null", "[]", value)+"]", "[]", "")), "GET", "/api/topics/t2/c", "")
	}
}

func TestAPIOfNodes(t *testing.T) {
	c := startCluster(t)
	c.create("t", "c", 0)
	c.post(0, "/pub?topic=t", "x")
	host := ""
	for name, a := range map[string]*testAdmin{"found": c.found, "given": c.given} {
		nodes := decoded(t, a.get("/api/nodes"))["nodes"].([]any)
		if len(nodes) != 2 {
			t.Fatalf("%s: nodes %v", name, nodes)
		}
		for _, n := range nodes {
			n := n.(map[string]any)
			host = n["hostname"].(string)
			if addr := fmt.Sprintf("%v:%v", n["broadcast_address"], n["http_port"]); addr != c.addr(0) && addr != c.addr(1) {
				t.Errorf("%s: a node at %s", name, addr)
			}
			registered := len(n["remote_address"].(string)) > 0 && n["remote_addresses"] != nil
			if registered != (name == "found") || n["version"] != version.Binary || n["out_of_date"] != false {
				t.Errorf("%s: node %v", name, n)
			}
		}
		a.want(404, `{"message":"NODE_NOT_FOUND"}`, "GET", "/api/nodes/127.0.0.1:1", "")
		a.want(404, `{"message":"NODE_NOT_FOUND"}`, "GET", "/api/nodes/x", "")
		const none = `"message":""}`
		a.want(200, `{"node":"`+c.addr(1)+`","topics":[],"total_messages":0,"total_clients":0,`+none, "GET", "/api/nodes/"+c.addr(1), "")
		node := decoded(t, a.get("/api/nodes/"+c.addr(0)))
		topic := node["topics"].([]any)[0].(map[string]any)
		channel := topic["channels"].([]any)[0].(map[string]any)
		if node["total_messages"] != 1.0 || topic["hostname"] != host || topic["nodes"] != nil || fmt.Sprint(channel["clients"]) != "[]" {
			t.Errorf("%s: node %v", name, node)
		}
	}
}

// What can be asked for wrongly.
func TestAPIRefuses(t *testing.T) {
	c := startCluster(t)
	c.create("t", "c", 0, 1)
	const unknownTopic = `{"message":"UPSTREAM_ERROR: failed to query any nsqlookupd: got response 404 Not Found \"{\\\"message\\\":\\\"TOPIC_NOT_FOUND\\\"}\""}`
	const noNSQD = `{"message":"UPSTREAM_ERROR: failed to query any nsqd: "}`
	code := func(text string) string { return `{"message":"` + text + `"}` }
	for _, x := range []struct {
		method, path, body string
		status             int
		found, given       string // answers
	}{
		{"GET", "/api/topics/x", "", 502, unknownTopic, noNSQD},
		{"GET", "/api/topics/x/c", "", 502, unknownTopic, noNSQD},
		{"GET", "/api/topics/t/x", "", 404, code("CHANNEL_NOT_FOUND"), ""},
		{"GET", "/api/topics/*", "", 400, code("INVALID_TOPIC"), ""},
		{"GET", "/api/topics/t/%20", "", 400, code("INVALID_CHANNEL"), ""},
		{"GET", "/api/topics?%zz", "", 400, code("INVALID_REQUEST"), ""},
		{"GET", "/api/nothing", "", 404, code("NOT_FOUND"), ""},
		{"PUT", "/api/topics", "{}", 405, code("METHOD_NOT_ALLOWED"), ""},
		{"DELETE", "/api/topics", "", 405, code("METHOD_NOT_ALLOWED"), ""},

		{"POST", "/api/topics", "", 400, code("EOF"), ""},
		{"POST", "/api/topics", "{", 400, code("unexpected EOF"), ""},
		{"POST", "/api/topics", "topic=t", 400, code("invalid character 'o' in literal true (expecting 'r')"), ""},
		{"POST", "/api/topics", `{"topic":1}`, 400, code("json: cannot unmarshal number into Go struct field .Topic of type string"), ""},
		{"POST", "/api/topics", "null", 400, code("INVALID_TOPIC"), ""},
		{"POST", "/api/topics", "{}", 400, code("INVALID_TOPIC"), ""},
		{"POST", "/api/topics", `{"topic":"a b"}`, 400, code("INVALID_TOPIC"), ""},
		{"POST", "/api/topics", `{"topic":"t","channel":"*"}`, 400, code("INVALID_CHANNEL"), ""},
		{"POST", "/api/topics", `{"topic":"` + strings.Repeat("x", maxBody) + `"}`, 413, code("BODY_TOO_BIG"), ""},
		{"POST", "/api/topics", strings.Repeat(" ", maxBody+1), 413, code("BODY_TOO_BIG"), ""},
		{"POST", "/api/topics", strings.Repeat("[", 20000), 400, code("invalid character '[' exceeded max depth"), ""},

		{"POST", "/api/topics/t", "", 400, code("EOF"), ""},
		{"POST", "/api/topics/t", `{"action":"drop"}`, 400, code("INVALID_ACTION"), ""},
		{"POST", "/api/topics/t", `{}`, 400, code("INVALID_ACTION"), ""},
		{"POST", "/api/topics/*", `{"action":"empty"}`, 400, code("INVALID_TOPIC"), ""},
		{"POST", "/api/topics/x", `{"action":"pause"}`, 0, "502 " + unknownTopic, `200 {"message":""}`},
		{"POST", "/api/topics/t/c", "[]", 400, code("json: cannot unmarshal array into Go value of type struct { Action string; Durability string }"), ""},
		{"POST", "/api/topics/t/c", `{"action":""}`, 400, code("INVALID_ACTION"), ""},
		{"DELETE", "/api/topics/*", "", 400, code("INVALID_TOPIC"), ""},
		{"DELETE", "/api/topics/x", "", 0, "502 " + unknownTopic, `200 {"message":""}`},
		{"DELETE", "/api/topics/t/*", "", 400, code("INVALID_CHANNEL"), ""},

		{"DELETE", "/api/nodes/" + c.addr(0), "", 400, code("INVALID_BODY"), ""},
		{"DELETE", "/api/nodes/" + c.addr(0), "{", 400, code("INVALID_BODY"), ""},
		{"DELETE", "/api/nodes/" + c.addr(0), `{"topic":"*"}`, 400, code("INVALID_TOPIC"), ""},
		{"DELETE", "/api/nodes/" + c.addr(0), strings.Repeat(" ", maxBody+1), 413, code("BODY_TOO_BIG"), ""},
		{"DELETE", "/api/nodes/nowhere", `{"topic":"t"}`, 404, code("NODE_NOT_FOUND"), ""},
		{"DELETE", "/api/nodes/127.0.0.1:1", `{"topic":"t"}`, 0, `502 {"message":"UPSTREAM_ERROR: failed to query any nsqd: 127.0.0.1:1: no nsqlookupd lists this node"}`, "404 " + code("NODE_NOT_FOUND")},
	} {
		for name, a := range map[string]*testAdmin{"found": c.found, "given": c.given} {
			want := x.found
			if name == "given" && x.given != "" {
				want = x.given
			}
			status := x.status
			if status == 0 {
				fmt.Sscanf(want, "%d", &status)
				want = want[4:]
			}
			a.want(status, want, x.method, x.path, x.body)
		}
	}
}

// Everything that can be done, in both modes, seen at the brokers.
func TestAPIActs(t *testing.T) {
	c := startCluster(t)
	c.create("t", "c", 0, 1)
	const ok = `{"message":""}`
	for name, a := range map[string]*testAdmin{"found": c.found, "given": c.given} {
		a.want(200, ok, "POST", "/api/topics/t", `{"action":"pause"}`)
		a.want(200, ok, "POST", "/api/topics/t/c", ` {"action":"pause"} trailing`)
		for n := range c.nsqds {
			topic := decoded(t, a.get("/api/nodes/"+c.addr(n)))["topics"].([]any)[0].(map[string]any)
			if channel := topic["channels"].([]any)[0].(map[string]any); topic["paused"] != true || channel["paused"] != true {
				t.Errorf("%s: on broker %d nothing is paused: %v", name, n, topic)
			}
		}
		c.post(0, "/pub?topic=t", "x")
		if topic := decoded(t, a.get("/api/topics/t")); topic["paused"] != true || topic["depth"] != 1.0 {
			t.Errorf("%s: the paused topic is %v", name, topic)
		}
		a.want(200, ok, "POST", "/api/topics/t", `{"action":"empty"}`)
		if topic := decoded(t, a.get("/api/topics/t")); topic["depth"] != 0.0 {
			t.Errorf("%s: the emptied topic is %v", name, topic)
		}
		a.want(200, ok, "POST", "/api/topics/t", `{"action":"unpause"}`)
		c.post(1, "/pub?topic=t", "x")
		nsqtest.Eventually(t, "the message is in the channel", func() bool { return decoded(t, a.get("/api/topics/t/c"))["depth"] == 1.0 })
		a.want(200, ok, "POST", "/api/topics/t/c", `{"action":"empty"}`)
		if channel := decoded(t, a.get("/api/topics/t/c")); channel["depth"] != 0.0 || channel["paused"] != true {
			t.Errorf("%s: the emptied channel is %v", name, channel)
		}
		a.want(200, ok, "POST", "/api/topics/t/c", `{"action":"unpause"}`)
		if channel := decoded(t, a.get("/api/topics/t/c")); channel["paused"] != false {
			t.Errorf("%s: the channel goes on being paused", name)
		}

		const unknown = `got response 404 Not Found \"{\\\"message\\\":\\\"CHANNEL_NOT_FOUND\\\"}\"`
		a.want(200, `{"message":"WARNING: `+unknown+`\n`+unknown+`"}`, "POST", "/api/topics/t/x", `{"action":"pause"}`)
		errs := 2
		if a == c.found {
			errs = 3
		}
		a.want(200, `{"message":"WARNING: `+strings.TrimSuffix(strings.Repeat(unknown+`\n`, errs), `\n`)+`"}`, "DELETE", "/api/topics/t/x", "")
	}
	// One console deletes what the other has created.
	c.found.want(200, ok, "DELETE", "/api/topics/t/c", "")
	c.given.want(404, `{"message":"CHANNEL_NOT_FOUND"}`, "GET", "/api/topics/t/c", "")
	c.found.want(404, `{"message":"CHANNEL_NOT_FOUND"}`, "GET", "/api/topics/t/c", "")
	c.given.want(200, ok, "POST", "/api/topics", `{"topic":"t","channel":"d#ephemeral"}`)
	nsqtest.Eventually(t, "the channel is registered", func() bool {
		resp, _ := c.found.do("GET", "/api/topics/t/d%23ephemeral", "")
		return resp.StatusCode == 200
	})
	c.given.want(200, ok, "DELETE", "/api/topics/t", "")
	nsqtest.Eventually(t, "the topic is gone", func() bool { return c.given.get("/api/topics") == `{"topics":null,"message":""}` })
	c.given.want(200, ok, "POST", "/api/topics", `{"topic":"new"}`)
	for n := range c.nsqds {
		if node := c.given.get("/api/nodes/" + c.addr(n)); !strings.Contains(node, `"topic_name":"new"`) {
			t.Errorf("broker %d has no topic that was created on all: %s", n, node)
		}
	}
}

// A change that nodes refuse for what they have is a conflict, with their reason.
func TestAPIChangesADurability(t *testing.T) {
	c := startCluster(t)
	c.create("t", "c", 0, 1)
	durability := func(d string) string { return `{"action":"change_durability","durability":"` + d + `"}` }
	for name, a := range map[string]*testAdmin{"found": c.found, "given": c.given} {
		for _, d := range []string{"disk", "fsync", "memory"} {
			a.want(200, `{"message":""}`, "POST", "/api/topics/t", durability(d))
			if topic := decoded(t, a.get("/api/topics/t")); topic["durability"] != d {
				t.Errorf("%s: the topic is %v", name, topic)
			}
		}
		a.want(400, `{"message":"INVALID_DURABILITY"}`, "POST", "/api/topics/t", durability(""))
		a.want(400, `{"message":"INVALID_DURABILITY"}`, "POST", "/api/topics/t", durability("paper"))
		a.want(400, `{"message":"INVALID_ACTION"}`, "POST", "/api/topics/t/c", durability("disk"))
		a.want(404, `{"message":"TOPIC_NOT_FOUND"}`, "POST", "/api/topics/unknown", durability("disk"))
	}
	c.post(1, "/pub?topic=t", "x")
	for _, a := range []*testAdmin{c.found, c.given} {
		a.want(200, `{"message":"WARNING: `+c.addr(1)+`: TOPIC_NOT_EMPTY"}`, "POST", "/api/topics/t", durability("disk"))
	}
	c.found.want(200, `{"message":""}`, "POST", "/api/topics/t", durability("memory"))
	c.post(0, "/pub?topic=t", "x")
	for _, a := range []*testAdmin{c.found, c.given} {
		a.want(409, `{"message":"TOPIC_NOT_EMPTY"}`, "POST", "/api/topics/t", durability("disk"))
	}
	c.found.want(409, `{"message":"TOPIC_NOT_EMPTY"}`, "POST", "/api/topics", `{"topic":"t","channel":"d","durability":"disk"}`)
}

// Only what all daemons say is the answer.
func TestAPIOfDaemonsThatRefuseEachForItself(t *testing.T) {
	full := script(t, map[string]string{"/topic/create": `409 {"message":"TOPIC_NOT_EMPTY"}`})
	for other, want := range map[string]string{
		`409 {"message":"TOPIC_NOT_EMPTY"}`: `409 {"message":"TOPIC_NOT_EMPTY"}`,
		`409 {"message":"OTHER"}`:           `502 {"message":"UPSTREAM_ERROR: failed to query any nsqd: FULL: TOPIC_NOT_EMPTY\nOTHER: OTHER"}`,
		`409 nonsense`:                      `502 {"message":"UPSTREAM_ERROR: failed to query any nsqd: FULL: TOPIC_NOT_EMPTY\ngot response 409 Conflict \"nonsense\""}`,
		`500 {}`:                            `502 {"message":"UPSTREAM_ERROR: failed to query any nsqd: FULL: TOPIC_NOT_EMPTY\ngot response 500 Internal Server Error \"{}\""}`,
	} {
		second := script(t, map[string]string{"/topic/create": other})
		o := testOptions(t)
		o.NSQDHTTPAddresses = []string{full.addr(), second.addr()}
		resp, body := start(t, o).do("POST", "/api/topics", `{"topic":"t","durability":"disk"}`)
		got := fmt.Sprint(resp.StatusCode, " ", strings.NewReplacer(full.addr(), "FULL", second.addr(), "OTHER").Replace(body))
		if got != want {
			t.Errorf("%s: %s, want %s", other, got, want)
		}
	}
}

// A topic that was only announced is shown with what is known of it.
func TestAPIOfTopicsWithoutProducers(t *testing.T) {
	c := startCluster(t)
	c.found.want(200, `{"message":""}`, "POST", "/api/topics", `{"topic":"pre","channel":"pc"}`)
	c.found.want(200, `{"message":""}`, "POST", "/api/topics", `{"topic":"bare"}`)
	c.found.want(200, `{"topics":["bare","pre"],"message":""}`, "GET", "/api/topics", "")
	c.found.want(200, `{"topics":{"bare":[],"pre":["pc"]},"message":""}`, "GET", "/api/topics?inactive=true", "")
	c.given.want(200, `{"topics":{},"message":""}`, "GET", "/api/topics?inactive=true", "")
	const topic = `{"node":"*","hostname":"","topic_name":"%[1]s","depth":0,"memory_depth":0,"backend_depth":0,"message_count":0,"delivery_msg_count":0,` +
		`"nodes":null,"channels":[%[2]s],"paused":false,"e2e_processing_latency":{"count":0,"percentiles":null,"topic":"%[1]s","channel":"","host":"*"},"message":""}`
	const channel = `{"node":"*","hostname":"","topic_name":"pre","channel_name":"pc","depth":0,"memory_depth":0,"backend_depth":0,"in_flight_count":0,` +
		`"deferred_count":0,"requeue_count":0,"timeout_count":0,"message_count":0,"client_count":0,"nodes":null,"clients":%s,"paused":false,` +
		`"e2e_processing_latency":{"count":0,"percentiles":null,"topic":"pre","channel":"pc","host":"*"}%s}`
	c.found.want(200, fmt.Sprintf(topic, "bare", ""), "GET", "/api/topics/bare", "")
	c.found.want(200, fmt.Sprintf(topic, "pre", fmt.Sprintf(channel, "null", "")), "GET", "/api/topics/pre", "")
	c.found.want(200, fmt.Sprintf(channel, "[]", `,"message":""`), "GET", "/api/topics/pre/pc", "")
	c.found.want(404, `{"message":"CHANNEL_NOT_FOUND"}`, "GET", "/api/topics/pre/x", "")
	c.found.want(200, `{"message":""}`, "POST", "/api/topics/pre", `{"action":"pause"}`) // nothing is done
	c.found.want(404, `{"message":"TOPIC_NOT_FOUND"}`, "POST", "/api/topics/pre", `{"action":"change_durability","durability":"disk"}`)
	c.found.want(200, `{"message":""}`, "DELETE", "/api/topics/pre/pc", "")
	c.found.want(200, `{"topics":{"bare":[],"pre":[]},"message":""}`, "GET", "/api/topics?inactive=true", "")
	c.found.want(200, `{"message":""}`, "DELETE", "/api/topics/pre", "")
	c.found.want(200, `{"topics":["bare"],"message":""}`, "GET", "/api/topics", "")
}

func TestAPITombstones(t *testing.T) {
	c := startCluster(t)
	c.create("t", "c", 0, 1)
	c.found.want(200, `{"message":""}`, "DELETE", "/api/nodes/"+c.addr(0), `{"topic":"t"}`)
	if topic := decoded(t, c.found.get("/api/topics/t")); len(topic["nodes"].([]any)) != 1 {
		t.Errorf("after the tombstone the topic is %v", topic)
	}
	if node := c.found.get("/api/nodes/" + c.addr(0)); !strings.Contains(node, `"topics":[]`) {
		t.Errorf("the node still has %s", node)
	}
	c.nsqds[1].Stop()
	nsqtest.Eventually(t, "the node is no longer listed", func() bool { return strings.Count(c.found.get("/api/nodes"), "tcp_port") == 1 })
	resp, body := c.found.do("DELETE", "/api/nodes/"+c.addr(1), `{"topic":"t"}`)
	if resp.StatusCode != 502 || !strings.HasPrefix(body, `{"message":"UPSTREAM_ERROR: failed to query any nsqd: `+c.addr(1)) {
		t.Errorf("tombstone of a node that is gone: %d %s", resp.StatusCode, body)
	}
	resp, body = c.given.do("DELETE", "/api/nodes/"+c.addr(1), `{"topic":"t"}`)
	if resp.StatusCode != 404 {
		t.Errorf("without nsqlookupds: %d %s", resp.StatusCode, body)
	}
}

// Who may do what: looking is free, and nothing is read of what others send.
func TestAPIIsForAdmins(t *testing.T) {
	lookupd := script(t, map[string]string{"/topics": `{"topics":["t"]}`, "/lookup": `{"channels":[],"producers":[]}`, "/nodes": `{"producers":[]}`,
		"/topic/create": "", "/topic/delete": "", "/channel/delete": "", "/topic/tombstone": ""})
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{lookupd.addr()}
	opts.AdminUsers = []string{"Bob"}
	a := start(t, opts)
	for _, x := range []struct{ method, path, body string }{
		{"POST", "/api/topics", `{"topic":"t"}`},
		{"POST", "/api/topics/t", `{"action":"pause"}`},
		{"POST", "/api/topics/t", `{"action":"change_durability","durability":"disk"}`},
		{"POST", "/api/topics/t/c", `{"action":"pause"}`},
		{"DELETE", "/api/topics/t", ""},
		{"DELETE", "/api/topics/t/c", ""},
		{"DELETE", "/api/nodes/n:1", `{"topic":"t"}`},
	} {
		for _, body := range []string{x.body, "", "{{{", strings.Repeat("x", maxBody+1)} {
			for _, header := range []string{"X-Forwarded-User: bob", "X-Forwarded-User: ", "X-Other: Bob", "X-Forwarded-User: Bob,bob"} {
				a.want(403, `{"message":"FORBIDDEN"}`, x.method, x.path, body, header)
			}
		}
		if resp, answer := a.do(x.method, x.path, x.body, "X-Forwarded-User: Bob"); resp.StatusCode == 403 {
			t.Errorf("%s %s of an admin: %s", x.method, x.path, answer)
		}
		if resp, answer := a.do(x.method, x.path, x.body, "X-Forwarded-User: Bob", "Sec-Fetch-Site: cross-site"); resp.StatusCode != 403 {
			t.Errorf("%s %s of another site: %d %s", x.method, x.path, resp.StatusCode, answer)
		}
	}
	a.want(200, `{"topics":["t"],"message":""}`, "GET", "/api/topics", "")
}

// Daemons that do not answer, or not as they should, are warned of; the others
// are shown, and nobody waits for longer than the time-out.
func TestAPIWarns(t *testing.T) {
	nsqd := script(t, map[string]string{"/stats": `{"topics":[{"topic_name":"t","message_count":7,"channels":[{"channel_name":"c"}]}]}`, "/topic/pause": "",
		"/info": `{"broadcast_address":"n","http_port":1}`})
	hung := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer close(hung)
	lying := script(t, map[string]string{"/stats": `{"topics":17}`, "/topics": "<html>\x00", "/lookup": "[]", "/nodes": `"`, "/channels": "-", "/info": "[]"})
	dead := nobodyListens
	answers := map[string]string{
		"/topics":   `{"topics":["t","left"]}`,
		"/channels": `{"channels":["b","a"]}`,
	}
	var producers []string
	for _, address := range []string{nsqd.addr(), hanging.Listener.Addr().String(), lying.addr(), dead} {
		producers = append(producers, producerJSON(address, "t"))
	}
	answers["/lookup"] = `{"channels":["c"],"producers":[` + strings.Join(producers, ",") + `]}`
	answers["/nodes"] = `{"producers":[` + strings.Join(producers, ",") + `]}`
	lookupd := script(t, answers)

	o := testOptions(t)
	o.HTTPClientRequestTimeout = 500 * time.Millisecond
	o.LookupdHTTPAddresses = []string{lookupd.addr(), dead, lying.addr(), hanging.Listener.Addr().String()}
	found := start(t, o)
	o = testOptions(t)
	o.HTTPClientRequestTimeout = 500 * time.Millisecond
	o.NSQDHTTPAddresses = []string{nsqd.addr(), dead, lying.addr(), hanging.Listener.Addr().String()}
	given := start(t, o)

	var asking sync.WaitGroup
	for name, a := range map[string]*testAdmin{"found": found, "given": given} {
		for _, x := range []struct{ method, path, body, want string }{
			{"GET", "/api/topics", "", `"t"`},
			{"GET", "/api/topics/t", "", `"message_count":7`},
			{"GET", "/api/topics/t/c", "", `"channel_name":"c"`},
			{"GET", "/api/nodes", "", `"http_port":`},
			{"GET", "/api/nodes/" + map[string]string{"found": nsqd.addr(), "given": "n:1"}[name], "", `"total_messages":7`},
			{"GET", "/api/counter", "", `"message_count":0`},
			{"POST", "/api/topics/t", `{"action":"pause"}`, ""},
		} {
			asking.Go(func() {
				began := time.Now()
				resp, body := a.do(x.method, x.path, x.body)
				took := time.Since(began)
				text, _ := decoded(t, body)["message"].(string)
				if resp.StatusCode != 200 || !strings.Contains(body, x.want) || !strings.HasPrefix(text, "WARNING: ") {
					t.Errorf("%s: %s %s: %d %s", name, x.method, x.path, resp.StatusCode, body)
				}
				for _, part := range []string{dead + ": dial tcp", lying.addr() + ": ", hanging.Listener.Addr().String() + ": "} {
					if !strings.Contains(text, part) {
						t.Errorf("%s: %s %s does not warn of %s: %s", name, x.method, x.path, part, text)
					}
				}
				if took > 4*time.Second {
					t.Errorf("%s: %s %s took %v", name, x.method, x.path, took)
				}
			})
		}
	}
	asking.Wait()
	if body := found.get("/api/topics?inactive=true"); !strings.HasPrefix(body, `{"topics":{"left":["a","b"]},"message":"WARNING: `) {
		t.Errorf("inactive topics: %s", body)
	}
}

// Without any daemon that answers there is nothing to show.
func TestAPIWithoutDaemons(t *testing.T) {
	dead := nobodyListens
	o := testOptions(t)
	o.LookupdHTTPAddresses = []string{dead}
	found := start(t, o)
	o = testOptions(t)
	o.NSQDHTTPAddresses = []string{dead}
	given := start(t, o)
	ask := func(a *testAdmin, kind, why string) {
		t.Helper()
		for _, x := range []struct{ method, path, body string }{
			{"GET", "/api/topics", ""},
			{"GET", "/api/topics/t", ""},
			{"GET", "/api/topics/t/c", ""},
			{"GET", "/api/nodes", ""},
			{"GET", "/api/nodes/n:1", ""},
			{"GET", "/api/counter", ""},
			{"POST", "/api/topics", `{"topic":"t"}`},
			{"POST", "/api/topics", `{"topic":"t","channel":"c"}`},
			{"POST", "/api/topics/t", `{"action":"pause"}`},
			{"POST", "/api/topics/t/c", `{"action":"empty"}`},
			{"DELETE", "/api/topics/t", ""},
			{"DELETE", "/api/topics/t/c", ""},
			{"DELETE", "/api/nodes/n:1", `{"topic":"t"}`},
		} {
			resp, body := a.do(x.method, x.path, x.body)
			if resp.StatusCode != 502 || !strings.HasPrefix(body, `{"message":"UPSTREAM_ERROR: failed to query any `+kind+": "+why) {
				t.Errorf("%s %s: %d %s", x.method, x.path, resp.StatusCode, body)
			}
		}
	}
	ask(found, "nsqlookupd", dead+": dial tcp")
	ask(given, "nsqd", dead+": dial tcp")
	if err := found.lookupds.set(nil); err != nil {
		t.Fatal(err)
	}
	ask(found, "nsqlookupd", "the list of nsqlookupds is empty (nsqlookupd_http_addresses)")
	found.want(502, `{"message":"UPSTREAM_ERROR: failed to query any nsqlookupd: the list of nsqlookupds is empty (nsqlookupd_http_addresses)"}`,
		"GET", "/api/topics?inactive=true", "")
}

// Daemons from before 1.0 answer in an envelope and list every topic.
func TestAPIOfOldDaemons(t *testing.T) {
	envelope := func(data string) string { return `{"status_code":200,"status_txt":"OK","data":` + data + `}` }
	handler := func(answers map[string]string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer, ok := answers[r.URL.Path]; ok {
				fmt.Fprint(w, envelope(answer))
				return
			}
			w.WriteHeader(http.StatusNotFound)
		}))
		t.Cleanup(s.Close)
		return s
	}
	nsqd := handler(map[string]string{
		"/stats": `{"version":"0.3.8","topics":[{"topic_name":"other"},{"topic_name":"t","depth":2,"channels":[{"channel_name":"c","clients":[{"name":"x"}]}]}]}`,
	})
	address := nsqd.Listener.Addr().String()
	lookupd := handler(map[string]string{
		"/topics": `{"topics":["t"]}`,
		"/lookup": `{"channels":["c"],"producers":[` + producerJSON(address) + `]}`,
		"/nodes":  `{"producers":[` + producerJSON(address, "t") + `]}`,
	})
	o := testOptions(t)
	o.LookupdHTTPAddresses = []string{lookupd.Listener.Addr().String()}
	a := start(t, o)
	a.want(200, `{"topics":["t"],"message":""}`, "GET", "/api/topics", "")
	if topic := decoded(t, a.get("/api/topics/t")); topic["depth"] != 2.0 || topic["message"] != "" {
		t.Errorf("topic %v", topic)
	}
	if channel := decoded(t, a.get("/api/topics/t/c")); channel["client_count"] != 1.0 || len(channel["clients"].([]any)) != 1 {
		t.Errorf("channel %v", channel)
	}
}

// Under a base path everything is below it.
func TestAPIBelowABasePath(t *testing.T) {
	lookupd := script(t, map[string]string{"/topics": `{"topics":[]}`})
	o := testOptions(t)
	o.LookupdHTTPAddresses = []string{lookupd.addr()}
	o.BasePath = "admin/"
	a := start(t, o)
	a.want(200, `{"topics":null,"message":""}`, "GET", "/admin/api/topics", "")
	a.want(404, `{"message":"NOT_FOUND"}`, "GET", "/api/topics", "")
}

// A body may be anything: what comes of it is a refusal or names that are valid.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{"", "{}", `{"topic":"t","channel":"c"}`, `{"action":"pause"}`, "[[[", `{"topic":"\ud800"}`, "\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(string(b)))
		var body struct{ Topic, Channel, Action string }
		if err := decode(r, &body); err != nil {
			return
		}
		if a := (action{Name: createChannel, Topic: body.Topic, Channel: body.Channel}); a.check() == nil && (len(a.Topic) == 0 || len(a.Topic) > 64) {
			t.Errorf("%q was accepted", a)
		}
	})
}
