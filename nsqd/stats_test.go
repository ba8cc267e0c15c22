package nsqd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/version"
)

// sampleStats is what readers of /stats?format=json rely on: every field, its
// order and its form. The whole is one line on the wire.
const sampleStats = `
{"version":"1.3.0","health":"OK","start_time":1795291499,
 "topics":[{"topic_name":"orders",
   "channels":[
    {"channel_name":"audit","depth":1,"backend_depth":0,"in_flight_count":0,"deferred_count":0,"message_count":1,
     "finish_count":0,"requeue_count":0,"timeout_count":0,"client_count":0,"clients":[],"paused":true,
     "e2e_processing_latency":{"count":0,"percentiles":[{"quantile":1,"value":0},{"quantile":0.95,"value":0}]}},
    {"channel_name":"billing","depth":0,"backend_depth":0,"in_flight_count":2,"deferred_count":1,"message_count":6,
     "global_msg_count":6,"finish_count":3,"requeue_count":1,"timeout_count":0,"client_count":1,
     "clients":[{"client_id":"worker-7","hostname":"worker-7.local","version":"V2","remote_address":"127.0.0.1:38388",
       "state":3,"ready_count":10,"in_flight_count":2,"message_count":6,"finish_count":3,"requeue_count":1,
       "connect_ts":1795291499,"sample_rate":0,"deflate":false,"snappy":false,"user_agent":"pynsq/0.9.1",
       "topology_zone":"","topology_region":"","tls":false,"tls_cipher_suite":"","tls_version":"",
       "tls_negotiated_protocol":"","tls_negotiated_protocol_is_mutual":false}],
     "paused":false,
     "e2e_processing_latency":{"count":3,"percentiles":[{"quantile":1,"value":252218031},{"quantile":0.95,"value":252218031}]}}],
   "depth":0,"backend_depth":0,"message_count":6,"message_bytes":48,"paused":false,
   "e2e_processing_latency":{"count":3,"percentiles":[{"quantile":1,"value":252218031},{"quantile":0.95,"value":252218031}]}}],
 "memory":{"heap_objects":2367,"heap_idle_bytes":6127616,"heap_in_use_bytes":1703936,"heap_released_bytes":6094848,
   "gc_pause_usec_100":0,"gc_pause_usec_99":0,"gc_pause_usec_95":0,"next_gc_bytes":4194304,"gc_total_runs":0},
 "producers":[{"client_id":"web-1","hostname":"web-1.local","version":"V2","remote_address":"127.0.0.1:38382","state":0,
   "ready_count":0,"in_flight_count":0,"message_count":0,"finish_count":0,"requeue_count":0,"connect_ts":1795291499,
   "sample_rate":0,"deflate":false,"snappy":false,"user_agent":"go-nsq/1.1.0","topology_zone":"","topology_region":"",
   "pub_counts":[{"topic":"orders","count":6}],"tls":false,"tls_cipher_suite":"","tls_version":"",
   "tls_negotiated_protocol":"","tls_negotiated_protocol_is_mutual":false}]}`

// samplePage is the same as text, with %s for the version line.
const samplePage = `%s
start_time 2026-11-21T20:04:59Z
uptime 1.008852845s

Health: OK

Memory:
   heap_objects             	2367
   heap_idle_bytes          	6127616
   heap_in_use_bytes        	1703936
   heap_released_bytes      	6094848
   gc_pause_usec_100        	0
   gc_pause_usec_99         	0
   gc_pause_usec_95         	0
   next_gc_bytes            	4194304
   gc_total_runs            	0

Topics:
   [orders         ] depth: 0     be-depth: 0     msgs: 6        e2e%%: 252.2ms, 252.2ms
   *P [audit                    ] depth: 1     be-depth: 0     inflt: 0    def: 0    re-q: 0     timeout: 0     msgs: 1        e2e%%: 0.0ns, 0.0ns
      [billing                  ] depth: 0     be-depth: 0     inflt: 2    def: 1    re-q: 1     timeout: 0     msgs: 6        e2e%%: 252.2ms, 252.2ms
        [V2 worker-7.local:38388 pynsq/0.9.1] state: 3 inflt: 2    rdy: 10   fin: 3        re-q: 1        msgs: 6        connected: 1s

Producers:
   [V2 web-1.local:38382 go-nsq/1.1.0] msgs: 6        topics: orders=6 connected: 1s
`

func parseSample(t *testing.T) (s stats.Stats) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(sampleStats))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	gotLines, wantLines := strings.SplitAfter(got, "\n"), strings.SplitAfter(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("line %d:\ngot  %q\nwant %q", i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("got %d lines, want %d", len(gotLines), len(wantLines))
}

func TestStatsAsJSON(t *testing.T) {
	var want bytes.Buffer
	if err := json.Compact(&want, []byte(sampleStats)); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(parseSample(t))
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, strings.ReplaceAll(string(got), ",", ",\n"), strings.ReplaceAll(want.String(), ",", ",\n"))
}

func TestStatsAsText(t *testing.T) {
	started := time.Unix(1795291499, 0).UTC()
	now := started.Add(1008852845)
	s := parseSample(t)
	wantText(t, statsText(&s, started, now), fmt.Sprintf(samplePage, version.String("nsqd")))

	t.Run("without memory, topics and producers", func(t *testing.T) {
		s := stats.Stats{Health: "NOK - no"}
		wantText(t, statsText(&s, started, now), version.String("nsqd")+`
start_time 2026-11-21T20:04:59Z
uptime 1.008852845s

Health: NOK - no

Topics: None

Producers: None
`)
	})
	t.Run("paused topics, consumers that publish, unix sockets, hostile names", func(t *testing.T) {
		s := stats.Stats{Health: "OK", Topics: []stats.Topic{
			{Name: "a", Paused: true},
			{Name: strings.Repeat("b", 20), Depth: 123456, Channels: []stats.Channel{{
				Name: "c",
				Clients: []stats.Client{
					{Version: "V2", Hostname: "h", RemoteAddress: "@", UserAgent: "x\ny\x1b[2J", Connected: 1795291400},
					{Version: "V2", Hostname: "h", RemoteAddress: "[::1]:5", Connected: 1795287800, Published: []stats.PubCount{{Topic: "a", Count: 1}, {Topic: "b", Count: 2}}},
				},
			}}},
		}}
		wantText(t, statsText(&s, started, now), version.String("nsqd")+`
start_time 2026-11-21T20:04:59Z
uptime 1.008852845s

Health: OK

Topics:
*P [a              ] depth: 0     be-depth: 0     msgs: 0        e2e%: `+`

   [bbbbbbbbbbbbbbbbbbbb] depth: 123456 be-depth: 0     msgs: 0        e2e%: `+`
      [c                        ] depth: 0     be-depth: 0     inflt: 0    def: 0    re-q: 0     timeout: 0     msgs: 0        e2e%: `+`
        [V2 h x�y�[2J            ] state: 0 inflt: 0    rdy: 0    fin: 0        re-q: 0        msgs: 0        connected: 1m40s
        [V2 h:5                  ] msgs: 3        topics: a=1,b=2 connected: 1h1m40s

Producers: None
`)
	})
}

func TestLatencyUnits(t *testing.T) {
	for value, want := range map[float64]string{
		0:      "0.0ns",
		1000:   "1000.0ns",
		1001:   "1.0us",
		252218: "252.2us",
		1.5e6:  "1.5ms",
		1.5e9:  "1.5s",
		1.5e13: "15000.0s",
	} {
		l := stats.Latency{Percentiles: []stats.Percentile{{Quantile: 1, Value: value}}}
		if got := latencyText(&l); got != want {
			t.Errorf("%v: %s, want %s", value, got, want)
		}
	}
}

func TestHealthText(t *testing.T) {
	disk := &fs.PathError{Op: "open", Path: "/d/t.diskqueue.000000.dat", Err: syscall.ENOENT}
	for want, err := range map[string]error{
		"OK": nil,
		"NOK - open /d/t.diskqueue.000000.dat: no such file or directory": errors.Join(fmt.Errorf("writing to disk queue %q: %w", "t", disk), errors.New("another")),
		"NOK - strange": errors.New("strange"),
	} {
		if got := healthText(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func TestMemoryStatsAreAlive(t *testing.T) {
	m := memoryStats()
	if m.HeapObjects == 0 || m.HeapInUseBytes == 0 || m.NextGCBytes == 0 || m.HeapReleasedBytes > m.HeapIdleBytes || m.GCPauseUsec95 > m.GCPauseUsec99 || m.GCPauseUsec99 > m.GCPauseUsec100 {
		t.Errorf("memory is %+v", *m)
	}
}

// A snapshot of an empty broker has lists, not nulls.
func TestStatsListsAreNeverNull(t *testing.T) {
	opts := NewOptions()
	opts.DataPath = t.TempDir()
	opts.TCPAddress, opts.HTTPAddress = "127.0.0.1:0", ""
	n, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Exit()
	for _, create := range []bool{false, true} {
		if create {
			if err := n.topics.publish([]byte("t"), nil, 0, 0); err != nil {
				t.Fatal(err)
			}
			ch, err := n.topics.existing("t").channel("c")
			if err != nil || ch.name != "c" {
				t.Fatal(ch, err)
			}
		}
		for _, filter := range []statsFilter{
			{},
			{clients: true, memory: true},
			{topic: "none", clients: true},
			{channel: "none", clients: true},
			{topic: "t", channel: "c", clients: true},
		} {
			got, err := json.Marshal(n.stats(filter))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(got, []byte("null")) {
				t.Errorf("%+v: %s", filter, got)
			}
			if hasMemory := bytes.Contains(got, []byte(`"memory":{`)); hasMemory != filter.memory {
				t.Errorf("%+v: %s", filter, got)
			}
		}
	}
}

// What other implementations do not have comes last, and only if there is any.
func TestStatsOfPanics(t *testing.T) {
	n := testNSQD(t, nil)
	for panics, want := range []string{`"producers":[]}`, `"producers":[],"panics":1}`} {
		n.env.panics.Store(uint64(panics))
		got, err := json.Marshal(n.stats(statsFilter{}))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(got), want) {
			t.Errorf("%d panics: %s", panics, got)
		}
	}
}
