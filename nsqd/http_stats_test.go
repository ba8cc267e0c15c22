package nsqd_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/nsqd"
)

// The whole answer for a broker with a bit of everything.
func TestHTTPStatsOfABusyBroker(t *testing.T) {
	overEveryListener(t, nil, func(t *testing.T, n *nsqtest.NSQD, a *api) {
		began := time.Now().Unix()
		a.post("/topic/create?topic=orders")
		a.post("/channel/create?topic=orders&channel=audit")
		a.post("/channel/pause?topic=orders&channel=audit")

		worker := dialRaw(t, n)
		worker.identify(`{"client_id":"worker-7","hostname":"worker-7.local","user_agent":"pynsq/0.9.1","topology_zone":"z1","topology_region":"r1","sample_rate":0}`)
		worker.consume("orders", "billing", 3)
		producer := dialRaw(t, n)
		producer.identify(`{"client_id":"web-1","hostname":"web-1.local","user_agent":"go-nsq/1.1.0"}`)
		producer.mpub("orders", "1", "22", "333", "4444")
		producer.pub("logs", "x")
		producer.dpub("orders", time.Hour, "deferred")

		finished, requeued := worker.message(), worker.message()
		worker.fin(finished)
		worker.req(requeued, time.Hour)
		worker.message()
		worker.message() // and a third stays in flight
		worker.sync()
		nsqtest.Eventually(t, "every message is where it stays", func() bool {
			audit, _ := n.ChannelCounts("orders", "audit")
			billing, _ := n.ChannelCounts("orders", "billing")
			return audit == nsqd.Counts{Depth: 4, Deferred: 1} && billing == nsqd.Counts{InFlight: 2, Deferred: 2}
		})
		a.post("/topic/delete?topic=sync%23ephemeral")

		s := a.stats("include_mem=false")
		if s.StartTime < began-5 || s.StartTime > time.Now().Unix() {
			t.Errorf("start_time %d, now is %d", s.StartTime, began)
		}
		if len(s.Topics) != 2 || len(s.Topics[1].Channels) != 2 || len(s.Topics[1].Channels[1].Clients) != 1 || len(s.Producers) != 2 {
			t.Fatalf("got %+v", s)
		}
		for _, c := range []*stats.Client{&s.Topics[1].Channels[1].Clients[0], &s.Producers[0], &s.Producers[1]} {
			if c.Connected < began || c.Connected > time.Now().Unix() {
				t.Errorf("%s is connected since %d, now is %d", c.ClientID, c.Connected, began)
			}
			if n.RealTCPAddr().Network() == "unix" {
				if c.RemoteAddress != "@" {
					t.Errorf("%s has the address %s", c.ClientID, c.RemoteAddress)
				}
			} else if host, _, err := net.SplitHostPort(c.RemoteAddress); host != "127.0.0.1" || err != nil {
				t.Errorf("%s has the address %s", c.ClientID, c.RemoteAddress)
			}
			c.RemoteAddress, c.Connected = "", 0
		}
		s.StartTime = 0
		got, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		const (
			latency = `"e2e_processing_latency":{"count":0,"percentiles":[]}`
			tls     = `"tls":false,"tls_cipher_suite":"","tls_version":"","tls_negotiated_protocol":"","tls_negotiated_protocol_is_mutual":false}`
			worker7 = `{"client_id":"worker-7","hostname":"worker-7.local","version":"V2","remote_address":"","state":3,"ready_count":3,"in_flight_count":2,` +
				`"message_count":4,"finish_count":1,"requeue_count":1,"connect_ts":0,"sample_rate":0,"deflate":false,"snappy":false,"user_agent":"pynsq/0.9.1",` +
				`"topology_zone":"z1","topology_region":"r1","pub_counts":[{"topic":"sync#ephemeral","count":1}],` + tls
			web1 = `{"client_id":"web-1","hostname":"web-1.local","version":"V2","remote_address":"","state":0,"ready_count":0,"in_flight_count":0,` +
				`"message_count":0,"finish_count":0,"requeue_count":0,"connect_ts":0,"sample_rate":0,"deflate":false,"snappy":false,"user_agent":"go-nsq/1.1.0",` +
				`"topology_zone":"","topology_region":"","pub_counts":[{"topic":"logs","count":1},{"topic":"orders","count":5}],` + tls
		)
		want := `{"version":"` + version.Binary + `","health":"OK","start_time":0,"topics":[` +
			`{"topic_name":"logs","channels":[],"depth":1,"backend_depth":0,"message_count":1,"message_bytes":1,"paused":false,"durability":"memory",` + latency + `},` +
			`{"topic_name":"orders","channels":[` +
			`{"channel_name":"audit","depth":4,"backend_depth":0,"in_flight_count":0,"deferred_count":1,"message_count":5,` +
			`"finish_count":0,"requeue_count":0,"timeout_count":0,"client_count":0,"clients":[],"paused":true,` + latency + `},` +
			`{"channel_name":"billing","depth":0,"backend_depth":0,"in_flight_count":2,"deferred_count":2,"message_count":5,"global_msg_count":4,` +
			`"finish_count":1,"requeue_count":1,"timeout_count":0,"client_count":1,"clients":[` + worker7 + `],"paused":false,` + latency + `}],` +
			`"depth":0,"backend_depth":0,"message_count":5,"message_bytes":18,"paused":false,"durability":"memory",` + latency + `}],` +
			`"producers":[` + worker7 + `,` + web1 + `]}`
		if string(got) != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	})
}

func TestHTTPStatsFilters(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	for _, channel := range []string{"a/both", "b/both", "b/only", "b/gone"} {
		topic, channel, _ := strings.Cut(channel, "/")
		a.post("/topic/create?topic=" + topic)
		a.post("/channel/create?topic=" + topic + "&channel=" + channel)
	}
	a.post("/topic/create?topic=c")
	consumer := dialRaw(t, n)
	consumer.consume("b", "both", 1)
	one := dialRaw(t, n)
	one.pub("b", "x")
	one.pub("a", "x")
	two := dialRaw(t, n) // after the first was answered: the oldest comes first
	two.pub("c", "x")
	two.pub("c", "y")
	two.pub("deleted", "x")
	a.post("/topic/delete?topic=deleted")

	for query, want := range map[string]string{
		"":                          "a[both] b[both(1) gone only] c[] producers: a=1,b=1 c=2,deleted=1",
		"topic=":                    "a[both] b[both(1) gone only] c[] producers: a=1,b=1 c=2,deleted=1",
		"topic=b":                   "b[both(1) gone only] producers: b=1",
		"topic=c&topic=a":           "c[] producers: c=2",
		"topic=none":                "producers:",
		"topic=deleted":             "producers:",
		"channel=both":              "a[both] b[both(1)] producers: a=1,b=1 c=2,deleted=1",
		"channel=none":              "producers: a=1,b=1 c=2,deleted=1",
		"topic=b&channel=only":      "b[only] producers: b=1",
		"include_clients=false":     "a[both] b[both gone only] c[] producers:",
		"include_clients=0":         "a[both] b[both gone only] c[] producers:",
		"include_clients=FALSE":     "a[both] b[both(1) gone only] c[] producers: a=1,b=1 c=2,deleted=1",
		"include_clients=true":      "a[both] b[both(1) gone only] c[] producers: a=1,b=1 c=2,deleted=1",
		"topic=b&include_clients=0": "b[both gone only] producers:",
	} {
		var parts []string
		s := a.stats(query)
		for _, topic := range s.Topics {
			var channels []string
			for _, ch := range topic.Channels {
				name := ch.Name
				if len(ch.Clients) > 0 {
					name += fmt.Sprintf("(%d)", len(ch.Clients))
				}
				if wantClients := map[string]int{"b/both": 1}[topic.Name+"/"+ch.Name]; ch.ClientCount != wantClients {
					t.Errorf("%q: %s has client_count %d", query, ch.Name, ch.ClientCount)
				}
				channels = append(channels, name)
			}
			parts = append(parts, topic.Name+"["+strings.Join(channels, " ")+"]")
		}
		parts = append(parts, "producers:")
		for _, p := range s.Producers {
			var counts []string
			for _, c := range p.Published {
				counts = append(counts, fmt.Sprintf("%s=%d", c.Topic, c.Count))
			}
			parts = append(parts, strings.Join(counts, ","))
		}
		if got := strings.Join(parts, " "); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", query, got, want)
		}
	}

	// Monitoring expects lists even where there is nothing.
	_, body, err := a.try("GET", "/stats?format=json&include_mem=0&topic=none", nil)
	if err != nil || !strings.Contains(body, `"topics":[],"producers":[]}`) {
		t.Errorf("of an unknown topic: %s, %v", body, err)
	}

	for query, want := range map[string]bool{"": true, "include_mem=1": true, "include_mem=no": true, "include_mem=false": false, "include_mem=0": false} {
		if s := a.stats(query); (s.Memory != nil) != want {
			t.Errorf("%q: memory %+v", query, s.Memory)
		}
	}
}

// What consumers finished counts on when they have left, and nothing else counts:
// neither what is emptied nor what comes back.
func TestHTTPStatsFinishCount(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	finished := func() uint64 {
		s := a.stats("include_clients=false")
		return *s.Topics[0].Channels[0].Finished
	}
	producer := dialRaw(t, n)
	for i := range 3 {
		producer.mpub("t", "1", "2", "3", "4")
		c := dialRaw(t, n)
		c.consume("t", "c", 4)
		c.take(2)
		c.message()
		c.req(c.message(), 0)
		nsqtest.Eventually(t, "two more are finished", func() bool { return finished() == uint64(2*i+2) })
		c.close()
		nsqtest.Eventually(t, "the consumer has left", func() bool {
			return a.stats("").Topics[0].Channels[0].ClientCount == 0
		})
		a.post("/channel/empty?topic=t&channel=c")
		if got := finished(); got != uint64(2*i+2) {
			t.Errorf("finish_count %d after %d consumers, want %d", got, i+1, 2*i+2)
		}
	}
}

func TestHTTPAccessLog(t *testing.T) {
	opts := nsqtest.Options(t)
	var lines loggingtest.Buffer
	opts.Logger = lines.Logger(slog.LevelInfo)
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.pub("t", "x")
	a.want(400, `{"message":"MSG_EMPTY"}`, "POST", "/pub?topic=t", "")
	a.want(200, "OK", "POST", "/mpub?topic=t&binary=%0Ayes", "\x00\x00\x00\x01\x00\x00\x00\x01a")
	a.want(405, `{"message":"METHOD_NOT_ALLOWED"}`, "GET", "/pub?topic=t", "")
	a.post("/topic/pause?topic=t")
	if _, _, err := a.try("GET", "/debug/pprof/cmdline", nil); err != nil {
		t.Fatal(err)
	}
	n.Stop() // and with it every request's last line

	log := lines.String()
	for _, want := range []string{
		`level=INFO msg="405 GET /pub?topic=t (127.0.0.1:`,
		`level=INFO msg="200 POST /topic/pause?topic=t (127.0.0.1:`,
		`level=WARN msg="HTTP: mpub: binary=\"\\nyes\"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log:\n%s", want, log)
		}
	}
	for _, line := range []string{"POST /pub", "POST /mpub", "pprof"} {
		if strings.Contains(log, line) {
			t.Errorf("%s is in the log:\n%s", line, log)
		}
	}
}
