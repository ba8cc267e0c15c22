package nsqd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/statsd"
)

// sampleMetrics is sampleStats as statsd sees it in a first round.
const sampleMetrics = `topic.orders.message_count:6|c
topic.orders.message_bytes:48|c
topic.orders.depth:0|g
topic.orders.backend_depth:0|g
topic.orders.e2e_processing_latency_100:252218031|g
topic.orders.e2e_processing_latency_95:252218031|g
topic.orders.channel.audit.message_count:1|c
topic.orders.channel.audit.depth:1|g
topic.orders.channel.audit.backend_depth:0|g
topic.orders.channel.audit.in_flight_count:0|g
topic.orders.channel.audit.deferred_count:0|g
topic.orders.channel.audit.requeue_count:0|c
topic.orders.channel.audit.timeout_count:0|c
topic.orders.channel.audit.clients:0|g
topic.orders.channel.audit.e2e_processing_latency_100:0|g
topic.orders.channel.audit.e2e_processing_latency_95:0|g
topic.orders.channel.billing.message_count:6|c
topic.orders.channel.billing.depth:0|g
topic.orders.channel.billing.backend_depth:0|g
topic.orders.channel.billing.in_flight_count:2|g
topic.orders.channel.billing.deferred_count:1|g
topic.orders.channel.billing.requeue_count:1|c
topic.orders.channel.billing.timeout_count:0|c
topic.orders.channel.billing.clients:1|g
topic.orders.channel.billing.e2e_processing_latency_100:252218031|g
topic.orders.channel.billing.e2e_processing_latency_95:252218031|g
mem.heap_objects:2367|g
mem.heap_idle_bytes:6127616|g
mem.heap_in_use_bytes:1703936|g
mem.heap_released_bytes:6094848|g
mem.gc_pause_usec_100:0|g
mem.gc_pause_usec_99:0|g
mem.gc_pause_usec_95:0|g
mem.next_gc_bytes:4194304|g
mem.gc_runs:0|c
`

// metricsText returns a round as one text.
func metricsText(m *statsd.Metrics, s *stats.Stats, withoutEphemeral bool) string {
	addStats(m, s, withoutEphemeral)
	return string(bytes.Join(m.Flush(), nil))
}

func TestMetricsOfASnapshot(t *testing.T) {
	s := parseSample(t)
	m := statsd.NewMetrics("", 508)
	wantText(t, metricsText(m, &s, false), sampleMetrics)

	s.Topics[0].Messages += 10
	s.Topics[0].Bytes += 100
	s.Topics[0].Channels[1].Requeues++
	s.Topics[0].Channels[1].Timeouts += 2
	s.Memory.GCTotalRuns = 3
	second := metricsText(m, &s, false)
	for _, line := range []string{
		"topic.orders.message_count:10|c\n",
		"topic.orders.message_bytes:100|c\n",
		"topic.orders.channel.audit.message_count:0|c\n",
		"topic.orders.channel.billing.requeue_count:1|c\n",
		"topic.orders.channel.billing.timeout_count:2|c\n",
		"mem.gc_runs:3|c\n",
	} {
		if !strings.Contains(second, line) {
			t.Errorf("the second round has no %q:\n%s", line, second)
		}
	}

	// Deleted, created again, and 4 messages since.
	s.Topics[0].Messages = 4
	if third := metricsText(m, &s, false); !strings.HasPrefix(third, "topic.orders.message_count:4|c\n") {
		t.Errorf("the third round is\n%s", third)
	}
}

func TestMetricsOfEphemeralTopicsAndChannels(t *testing.T) {
	s := stats.Stats{Topics: []stats.Topic{
		{Name: "a.b#ephemeral", Channels: []stats.Channel{{Name: "c"}}},
		{Name: "t", Channels: []stats.Channel{{Name: "c"}, {Name: "x#ephemeral"}}},
	}}
	for withoutEphemeral, want := range map[bool]string{
		false: "topic.a.b#ephemeral. topic.a.b#ephemeral.channel.c. topic.t. topic.t.channel.c. topic.t.channel.x#ephemeral.",
		true:  "topic.t. topic.t.channel.c.",
	} {
		var names []string
		for line := range strings.Lines(metricsText(statsd.NewMetrics("", 1), &s, withoutEphemeral)) {
			if name, ok := strings.CutSuffix(line, "message_count:0|c\n"); ok {
				names = append(names, name)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("without ephemeral %v: %s, want %s", withoutEphemeral, got, want)
		}
	}
}

func TestLatencyNames(t *testing.T) {
	l := stats.Latency{Percentiles: []stats.Percentile{{Quantile: 1, Value: 3}, {Quantile: 0.999, Value: 2}, {Quantile: 0.99, Value: 1.9}, {Quantile: 0.5, Value: 0}, {Quantile: 0.07, Value: 0}}}
	m := statsd.NewMetrics("", 508)
	addLatency(m, &l, "x.")
	want := "x.e2e_processing_latency_100:3|g\nx.e2e_processing_latency_100:2|g\nx.e2e_processing_latency_99:1|g\nx.e2e_processing_latency_50:0|g\nx.e2e_processing_latency_7:0|g\n"
	if got := string(bytes.Join(m.Flush(), nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// testNSQD returns a broker that serves nobody, as Main is not called.
func testNSQD(tb testing.TB, change func(*Options)) *NSQD {
	tb.Helper()
	opts := NewOptions()
	opts.DataPath = tb.TempDir()
	opts.TCPAddress, opts.HTTPAddress = "127.0.0.1:0", ""
	if change != nil {
		change(opts)
	}
	n, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := n.Exit(); err != nil {
			tb.Error(err)
		}
	})
	return n
}

func TestStatsdPrefix(t *testing.T) {
	for _, c := range []struct {
		prefix, address string
		port            int
		want            string
	}{
		{"nsq.%s", "my.host", 4151, "nsq.my_host_4151."},
		{"nsq.%s.", "10.0.0.1", 80, "nsq.10_0_0_1_80."},
		{"%s/%s", "h", 1, "h_1/h_1."},
		{"plain", "h", 1, "plain."},
		{"", "h", 1, ""},
		{"nsq.%s", "h", 0, "nsq.h_0."}, // HTTP is off
	} {
		n := testNSQD(t, func(o *Options) {
			o.StatsdPrefix, o.BroadcastAddress, o.BroadcastHTTPPort = c.prefix, c.address, c.port
		})
		if got := n.statsdPrefix(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}

	n := testNSQD(t, func(o *Options) { o.HTTPAddress, o.BroadcastAddress = "127.0.0.1:0", "h" })
	if got, want := n.statsdPrefix(), fmt.Sprintf("nsq.h_%d.", n.RealHTTPAddr().(*net.TCPAddr).Port); got != want {
		t.Errorf("the port that was bound: %s, want %s", got, want)
	}
}

// A statsdSink takes packets in place of a daemon and notes when they came.
type statsdSink struct {
	net.Conn
	start time.Time
	mu    sync.Mutex // what follows
	err   error      // what dialling returns
	dials []string
	times []time.Duration
	text  string // of all packets
}

func (s *statsdSink) dial(_ context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = append(s.dials, fmt.Sprintf("%s %s at %v", network, address, time.Since(s.start)))
	return s, s.err
}

func (s *statsdSink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Since(s.start))
	s.text += string(p)
	return len(p), nil
}

func (s *statsdSink) Close() error { return nil }

func (s *statsdSink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// startStatsd starts statsdLoop with a sink, until the end of the bubble.
func startStatsd(t *testing.T, n *NSQD) *statsdSink {
	t.Helper()
	s := &statsdSink{start: time.Now()}
	p := newStatsdPusher(n)
	p.dial = s.dial
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.statsdLoop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	return s
}

func TestStatsdIntervals(t *testing.T) {
	const s = time.Second
	for interval, want := range map[time.Duration][]time.Duration{
		// Four packets for each round, one for each line; three rounds.
		s:      {1 * s, 1 * s, 1 * s, 1 * s, 2 * s, 2 * s, 2 * s, 2 * s, 3 * s, 3 * s, 3 * s, 3 * s},
		9 * s:  {9 * s, 11 * s, 13 * s, 15 * s, 18 * s, 20 * s, 22 * s, 24 * s, 27 * s},
		61 * s: {61 * s, 76 * s, 91 * s, 106 * s, 122 * s, 137 * s, 152 * s, 167 * s, 183 * s},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := testNSQD(t, func(o *Options) {
				o.StatsdAddress, o.StatsdInterval, o.StatsdUDPPacketSize, o.StatsdMemStats = "statsd:8125", interval, 1, false
			})
			if _, err := n.topics.topic([]byte("t")); err != nil {
				t.Fatal(err)
			}
			sink := startStatsd(t, n)
			<-time.After(3*interval + time.Millisecond) // of the fake clock
			synctest.Wait()
			sink.mu.Lock()
			defer sink.mu.Unlock()
			if !slices.Equal(sink.times, want) {
				t.Errorf("interval %v: packets came at %v, want %v", interval, sink.times, want)
			}
			if want := fmt.Sprintf("udp statsd:8125 at %v", interval); len(sink.dials) != 3 || sink.dials[0] != want {
				t.Errorf("interval %v: dialled %q, the first should be %s", interval, sink.dials, want)
			}
		})
	}
}

// A daemon that cannot be reached is logged when that begins and ends, and what
// was counted meanwhile is sent then.
func TestStatsdDaemonThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := testNSQD(t, func(o *Options) {
			o.StatsdAddress, o.StatsdInterval = "statsd:8125", 10*time.Second
		})
		n.log = slog.New(slog.NewTextHandler(&log, nil))
		sink := startStatsd(t, n)
		sink.fail(errors.New("no such host"))
		if err := n.topics.publish([]byte("t"), []byte("\x00\x00\x00\x01x"), 1, 0); err != nil {
			t.Fatal(err)
		}
		<-time.After(45 * time.Second) // of the fake clock
		synctest.Wait()
		sink.fail(nil)
		<-time.After(30 * time.Second)
		synctest.Wait()

		sink.mu.Lock()
		defer sink.mu.Unlock()
		if len(sink.dials) != 7 || len(sink.times) == 0 || sink.times[0] != 50*time.Second {
			t.Errorf("dialled %q, packets came at %v", sink.dials, sink.times)
		}
		var counts []string
		for line := range strings.Lines(sink.text) {
			if _, count, ok := strings.Cut(line, "topic.t.message_count:"); ok {
				counts = append(counts, count)
			}
		}
		if want := []string{"1|c\n", "0|c\n", "0|c\n"}; !slices.Equal(counts, want) {
			t.Errorf("the rounds count %q messages, want %q", counts, want)
		}
		for line, want := range map[string]int{
			`level=INFO msg="STATSD: pushing stats to statsd:8125"`:                                                  7,
			`level=ERROR msg="STATSD: stats cannot be pushed, will try on" address=statsd:8125 error="no such host"`: 1,
			`level=INFO msg="STATSD: stats are pushed again" address=statsd:8125`:                                    1,
		} {
			if got := strings.Count(log.String(), line); got != want {
				t.Errorf("%d times %q in the log, want %d:\n%s", got, line, want, log.String())
			}
		}
	})
}
