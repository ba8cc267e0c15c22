package nsqd_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/metrics/metricstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqd"
)

func (b *bubble) scrape(query string) metricstest.Scrape {
	b.tb.Helper()
	return metricstest.Get(b.tb, b.http.HTTPClient(), "http://nsqd/metrics"+query)
}

// wantValue compares a counter or gauge, whose labels are in the order of their names:
// channel before topic.
func wantValue(t *testing.T, s metricstest.Scrape, want float64, name string, labels ...string) {
	t.Helper()
	if got := s.Value(name, labels...); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
		t.Errorf("%s%q is %v, want %v", name, labels, got, want)
	}
}

// absent is the value of what is not there.
var absent = math.NaN()

// busyBroker is one in which everything has happened: messages of topics with and
// without a channel, in memory and on disk, deferred, in flight, finished, requeued and
// timed out.
func busyBroker(t *testing.T) *bubble {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 3
	opts.MsgTimeout = 5 * time.Second
	b := startInBubble(t, opts)
	b.createChannel("orders", "billing")
	b.createChannel("orders", "audit")
	b.createChannel("quiet", "c")
	b.post("/topic/create?topic=alone")
	b.post("/channel/pause?topic=orders&channel=audit")
	p, c := b.dial(), b.dial()
	p.mpub("orders", "1", "22", "333", "4444", "55555")
	p.dpub("orders", time.Hour, "later")
	p.mpub("alone", "1", "2", "3", "4")
	synctest.Wait()
	c.consume("orders", "billing", 3)
	one, two := c.message(), c.message()
	c.message() // which times out
	after(20 * time.Millisecond)
	c.fin(one)
	c.req(two, time.Hour)
	synctest.Wait()
	after(6 * time.Second)
	synctest.Wait()
	return b
}

func TestMetricsAreTheNumbersOfStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := busyBroker(t)
		said, s := b.Stats(), b.scrape("")
		var all stats.Channel
		var depth, onDisk float64
		for _, topic := range said.Topics {
			wantValue(t, s, float64(topic.Depth), "nsqd_topic_depth", topic.Name)
			wantValue(t, s, float64(topic.BackendDepth), "nsqd_topic_backend_depth", topic.Name)
			wantValue(t, s, float64(topic.Messages), "nsqd_topic_messages_total", topic.Name)
			wantValue(t, s, float64(topic.Bytes), "nsqd_topic_bytes_total", topic.Name)
			wantValue(t, s, 0, "nsqd_topic_paused", topic.Name)
			depth, onDisk = depth+float64(topic.Depth), onDisk+float64(topic.BackendDepth)
			for _, ch := range topic.Channels {
				for name, value := range map[string]float64{
					"depth":                    float64(ch.Depth),
					"backend_depth":            float64(ch.BackendDepth),
					"in_flight_messages":       float64(ch.InFlight),
					"deferred_messages":        float64(ch.Deferred),
					"messages_total":           float64(ch.Messages),
					"finished_messages_total":  float64(*ch.Finished),
					"requeued_messages_total":  float64(ch.Requeues),
					"timed_out_messages_total": float64(ch.Timeouts),
					"consumers":                float64(ch.ClientCount),
				} {
					wantValue(t, s, value, "nsqd_channel_"+name, ch.Name, topic.Name)
				}
				wantValue(t, s, map[bool]float64{true: 1}[ch.Paused], "nsqd_channel_paused", ch.Name, topic.Name)
				all.Depth += ch.Depth
				all.BackendDepth += ch.BackendDepth
				all.InFlight += ch.InFlight
				all.Deferred += ch.Deferred
				all.Messages += ch.Messages
				all.Requeues += ch.Requeues
				all.Timeouts += ch.Timeouts
			}
		}
		for name, value := range map[string]float64{
			"nsqd_topics": 3, "nsqd_channels": 3, "nsqd_connections": 2, "nsqd_connections_accepted_total": 2, "nsqd_producers": 1,
			"nsqd_topics_depth": depth, "nsqd_topics_backend_depth": onDisk,
			"nsqd_topics_messages_total": 10, "nsqd_topics_bytes_total": 15 + 5 + 4,
			"nsqd_channels_depth": float64(all.Depth), "nsqd_channels_backend_depth": float64(all.BackendDepth),
			"nsqd_channels_in_flight_messages": float64(all.InFlight), "nsqd_channels_deferred_messages": float64(all.Deferred),
			"nsqd_channels_messages_total":          float64(all.Messages),
			"nsqd_channels_finished_messages_total": 1, "nsqd_channels_requeued_messages_total": 1,
			"nsqd_channels_timed_out_messages_total": float64(all.Timeouts),
			"nsqd_channels_consumers":                1, "nsqd_channels_paused": 1, "nsqd_topics_paused": 0,
			"nsqd_healthy": 1, "nsqd_panics_total": 0, "nsqd_metrics_truncated": 0, "nsqd_publish_failures_total": 0,
			"nsqd_start_time_seconds": float64(said.StartTime), "nsqd_lookupds": 0,
		} {
			wantValue(t, s, value, name)
		}
		// The numbers themselves, so that not both are wrong.
		wantValue(t, s, 1, "nsqd_topic_backend_depth", "alone")
		wantValue(t, s, 2, "nsqd_channel_backend_depth", "audit", "orders")
		if all.Timeouts == 0 || s.Value("nsqd_channel_delivered_messages_total", "billing", "orders") < 3 {
			t.Errorf("nothing timed out, or was delivered: %+v", all)
		}
		if got := s.Value("nsqd_topic_backend_bytes", "alone"); got < 10 || got > s.Value("nsqd_disk_queue_bytes") {
			t.Errorf("a message on disk takes %v bytes, all %v", got, s.Value("nsqd_disk_queue_bytes"))
		}
		if free, size := s.Value("nsqd_disk_free_bytes"), s.Value("nsqd_disk_size_bytes"); !(0 < free && free < size) {
			t.Errorf("%v bytes are free of %v", free, size)
		}
	})
}

func TestLatencyHistograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.createChannel("t", "a")
		b.createChannel("t", "b")
		p, c := b.dial(), b.dial()
		c.consume("t", "a", 10)
		p.mpub("t", "1", "2")
		p.pub("t", "3")
		one, two, three := c.message(), c.message(), c.message()
		after(20 * time.Millisecond)
		c.fin(one)
		c.fin(two)
		synctest.Wait()
		after(30 * time.Second)
		c.fin(three)
		synctest.Wait()

		s := b.scrape("")
		for name, h := range map[string]string{
			"of the channel":  metricstest.Buckets(s.Histogram("nsqd_channel_e2e_latency_seconds", "a", "t")),
			"of all channels": metricstest.Buckets(s.Histogram("nsqd_channels_e2e_latency_seconds")),
		} {
			if h != "3: 2 up to 0.025, 1 up to 60" {
				t.Errorf("%s: %s", name, h)
			}
		}
		if s.Histogram("nsqd_channel_e2e_latency_seconds", "b", "t") != nil {
			t.Error("a channel of which nothing is finished has a histogram")
		}
		if got := metricstest.Buckets(s.Histogram("nsqd_publish_latency_seconds")); got != "2: 2 up to 1e-05" { // a bubble's clock does not move
			t.Errorf("publishes: %s", got)
		}
	})
}

func TestOldestMessageAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 1
		b := startInBubble(t, opts)
		b.createChannel("t", "c")
		age := func() float64 { return b.scrape("").Value("nsqd_channel_oldest_message_age_seconds", "c", "t") }
		want := func(when string, want float64) {
			t.Helper()
			if got := age(); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("%s: %v s, want %v s", when, got, want)
			}
		}
		want("nothing waits", 0)
		p := b.dial()
		for range 3 {
			p.pub("t", "m")
			synctest.Wait()
			after(10 * time.Second)
		}
		want("the first is in memory", 30)
		c := b.dial()
		c.consume("t", "c", 1)
		one := c.message()
		synctest.Wait()
		want("the second is on disk", 20)
		wantValue(t, b.scrape(""), 20, "nsqd_channels_oldest_message_age_seconds")
		wantValue(t, b.scrape(""), 0, "nsqd_topics_oldest_message_age_seconds")
		c.send([]byte("RDY 0\n"))
		synctest.Wait()
		c.fin(one)
		synctest.Wait()
		want("nobody takes it", 20)

		files, err := filepath.Glob(filepath.Join(opts.DataPath, "t*c.diskqueue.000000.dat"))
		if err != nil || len(files) != 1 {
			t.Fatalf("files %q, %v", files, err)
		}
		if err := os.WriteFile(files[0], make([]byte, 200), 0o600); err != nil {
			t.Fatal(err)
		}
		want("it is damaged", absent)
		c.send([]byte("RDY 1\n"))
		synctest.Wait()
		want("it was skipped", 0)
		if got := b.scrape("").Value("nsqd_channel_damaged_ranges_total", "c", "t"); got < 1 {
			t.Errorf("%v damaged ranges", got)
		}
		if got := b.scrape("").Value("nsqd_damaged_ranges_total"); got < 1 {
			t.Errorf("%v damaged ranges in all", got)
		}
	})
}

// What is deleted takes its own metrics along, but counts on in the sums.
func TestTotalsNeverGoDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := busyBroker(t)
		names := []string{
			"nsqd_topics_messages_total", "nsqd_topics_bytes_total", "nsqd_channels_messages_total",
			"nsqd_channels_delivered_messages_total", "nsqd_channels_finished_messages_total",
			"nsqd_channels_requeued_messages_total", "nsqd_channels_timed_out_messages_total",
		}
		before := b.scrape("")
		want := func(what string) {
			t.Helper()
			s := b.scrape("")
			for _, name := range names {
				if v := before.Value(name); v == 0 || s.Value(name) < v {
					t.Errorf("%s: %s was %v and is %v", what, name, v, s.Value(name))
				}
			}
			if h := s.Histogram("nsqd_channels_e2e_latency_seconds"); metricstest.Buckets(h) != "1: 1 up to 0.025" {
				t.Errorf("%s: %s", what, metricstest.Buckets(h))
			}
		}
		b.post("/channel/delete?topic=orders&channel=billing")
		synctest.Wait()
		want("a channel is deleted")
		b.post("/topic/delete?topic=orders")
		synctest.Wait()
		want("a topic is deleted")
		wantValue(t, b.scrape(""), absent, "nsqd_topic_messages_total", "orders")
	})
}

func TestQueryPicksMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		for _, topic := range []string{"s", "t"} {
			b.createChannel(topic, "a")
			b.createChannel(topic, "b")
		}
		b.createChannel("u", "b")
		for query, want := range map[string]string{
			"":                     "s t u s/a t/a s/b t/b u/b",
			"?topic=t":             "t t/a t/b",
			"?channel=a":           "s t s/a t/a",
			"?topic=t&channel=b":   "t t/b",
			"?topic=t&channel=":    "t t/a t/b",
			"?topic=none":          "",
			"?topic=t&channel=not": "",
		} {
			s := b.scrape(query)
			var fields []string // Prometheus' library has sorted them by labels, channel before topic
			for _, m := range s["nsqd_topic_depth"].GetMetric() {
				fields = append(fields, m.Label[0].GetValue())
			}
			for _, m := range s["nsqd_channel_depth"].GetMetric() {
				fields = append(fields, m.Label[1].GetValue()+"/"+m.Label[0].GetValue())
			}
			if strings.Join(fields, " ") != want {
				t.Errorf("%s: %q, want %q", query, fields, want)
			}
			wantValue(t, s, 5, "nsqd_channels")
			wantValue(t, s, 0, "nsqd_metrics_truncated")
		}
	})
}

func TestManyChannelsHaveSumsAlone(t *testing.T) {
	if nsqd.MaxLabelled != 2000 { // which users are told
		t.Errorf("the limit is %d", nsqd.MaxLabelled)
	}
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil, func(n *nsqd.NSQD) { n.LimitMetrics(20) })
		makeChannels(t, b.NSQD, 10, 2)
		wantValue(t, b.scrape(""), 0, "nsqd_metrics_truncated")
		makeChannels(t, b.NSQD, 7, 3)
		s := b.scrape("")
		wantValue(t, s, 1, "nsqd_metrics_truncated")
		wantValue(t, s, 27, "nsqd_channels")
		if s["nsqd_topic_depth"] != nil || s["nsqd_channel_depth"] != nil {
			t.Error("there are metrics of topics or channels")
		}
		for query, channels := range map[string]int{"?topic=topic-5": 3, "?channel=channel-2": 7, "?full=1": 27, "?full=true&topic=topic-5": 3} {
			s := b.scrape(query)
			wantValue(t, s, 0, "nsqd_metrics_truncated")
			if got := len(s["nsqd_channel_depth"].GetMetric()); got != channels {
				t.Errorf("%s: %d channels, want %d", query, got, channels)
			}
		}
	})
}

// Prometheus gets native histograms where it asks for them by its own format, and
// everybody the form and the compression that they ask for.
func TestFormsOfMetrics(t *testing.T) {
	n := nsqtest.Start(t, nil)
	publishHTTP(t, n, "t")
	for accept, contentType := range map[string]string{
		"":                             "text/plain; version=0.0.4; ",
		"application/openmetrics-text": "application/openmetrics-text; ",
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf; ",
	} {
		for _, encoding := range []string{"identity", "gzip"} {
			r, err := http.NewRequest(http.MethodGet, n.HTTPURL()+"/metrics", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", accept)
			r.Header.Set("Accept-Encoding", encoding)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, contentType) {
				t.Errorf("%q: the type is %q", accept, got)
			}
			var body io.Reader = resp.Body
			if encoding == "gzip" {
				if body, err = gzip.NewReader(body); err != nil {
					t.Fatal(err)
				}
			}
			if strings.Contains(contentType, "protobuf") {
				h := metricstest.Decode(t, resp.Header, body).Histogram("nsqd_publish_latency_seconds")
				if h.GetSampleCount() != 1 || len(h.GetPositiveSpan()) == 0 || h.GetSchema() != 2 || len(h.GetBucket()) == 0 {
					t.Errorf("the histogram is %v", h)
				}
			} else if text, err := io.ReadAll(body); err != nil || !strings.Contains(string(text), "nsqd_topics 1") {
				t.Errorf("%q, %s: %.200q, %v", accept, encoding, text, err)
			}
			resp.Body.Close()
		}
	}
}

// A scraper that asks for much and takes nothing of it is in nobody's way.
func TestStalledScrapeDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		makeChannels(t, b.NSQD, 20, 2)
		scraper := b.http.Dial() // nothing is written to it that is not read
		defer scraper.Close()
		if _, err := io.WriteString(scraper, "GET /metrics HTTP/1.1\r\nHost: nsqd\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(scraper, make([]byte, 1000)); err != nil { // so it is being written
			t.Fatal(err)
		}
		p := b.dial()
		before := time.Now()
		for i := range 20 {
			p.pub(fmt.Sprintf("topic-%d", i), "m")
		}
		makeChannels(t, b.NSQD, 21, 3)
		b.post("/topic/delete?topic=topic-0")
		wantValue(t, b.scrape(""), 20, "nsqd_topics_messages_total")
		if took := time.Since(before); took > 0 {
			t.Errorf("that took %v", took)
		}
	})
}

func publishHTTP(t *testing.T, n *nsqtest.NSQD, topic string) {
	t.Helper()
	resp, err := http.Post(n.HTTPURL()+"/pub?topic="+topic, "", strings.NewReader("m"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}

// makeChannels makes what is missing of topic-0, topic-1 and so on with channels
// channel-0 and so on.
func makeChannels(tb testing.TB, n *nsqd.NSQD, topics, channels int) {
	tb.Helper()
	for i := range topics {
		for j := range channels {
			if err := n.MakeChannel(fmt.Sprintf("topic-%d", i), fmt.Sprintf("channel-%d", j)); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// BenchmarkScrape is what a scrape of everything costs, and how large it is.
func BenchmarkScrape(b *testing.B) {
	for _, channels := range []int{100, 2000, 5000} {
		b.Run(fmt.Sprintf("%d channels", channels), func(b *testing.B) {
			n := nsqtest.Start(b, nil)
			makeChannels(b, n.NSQD, channels/5, 5)
			for _, encoding := range []string{"identity", "gzip"} {
				b.Run(encoding, func(b *testing.B) {
					var size int64
					for b.Loop() {
						r, err := http.NewRequest(http.MethodGet, n.HTTPURL()+"/metrics?full=1", nil)
						if err != nil {
							b.Fatal(err)
						}
						r.Header.Set("Accept-Encoding", encoding)
						resp, err := http.DefaultClient.Do(r)
						if err != nil {
							b.Fatal(err)
						}
						if size, err = io.Copy(io.Discard, resp.Body); err != nil {
							b.Fatal(err)
						}
						resp.Body.Close()
					}
					b.ReportMetric(float64(size), "bytes")
				})
			}
		})
	}
}
