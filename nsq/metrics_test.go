package nsq

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// metricsText returns what WriteMetrics writes, without the comments.
func metricsText(t *testing.T, sources ...MetricSource) string {
	t.Helper()
	var b strings.Builder
	if err := WriteMetrics(&b, sources...); err != nil {
		t.Fatal(err)
	}
	var values strings.Builder
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "#") {
			values.WriteString(line)
		}
	}
	return values.String()
}

// awaitMetrics waits until the metrics of source are those in want. There, LABELS
// stands for labels, NSQD for the same without braces, DIALS for the number of
// attempts to connect, however many, and DIALS-2 for two less.
func awaitMetrics(t *testing.T, source MetricSource, labels, want string) {
	t.Helper()
	want = strings.NewReplacer("LABELS", labels, "NSQD", strings.Trim(labels, "{}")).Replace(strings.TrimSpace(want)) + "\n"
	got := ""
	defer func() {
		if t.Failed() {
			t.Logf("got\n%s\nwant\n%s", got, want)
		}
	}()
	nsqtest.Eventually(t, "the metrics", func() bool {
		got = metricsText(t, source)
		var dials int
		for m := range source.Metrics() {
			if strings.HasSuffix(m.Name, "_dials_total") {
				dials = int(m.Value)
			}
		}
		return got == strings.NewReplacer("DIALS-2", fmt.Sprint(dials-2), "DIALS", fmt.Sprint(dials)).Replace(want)
	})
}

// Every metric of a consumer has its value in the middle and at the end of a
// conversation in which everything happens, differently often.
func TestMetricsOfConsumer(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) {
		c.MaxInFlight, c.MaxAttempts = 100, 3
		c.BackoffMultiplier = 30 * time.Second // one pause lasts for the whole test
		c.LookupdPollInterval = 10 * time.Millisecond
	})
	var returns [9]chan error // what the handler returns for messages 1 to 8
	for i := range returns {
		returns[i] = make(chan error, 1)
	}
	r.AddConcurrentHandlers(HandlerFunc(func(m *Message) error {
		m.Touch()
		return <-returns[m.ID[MsgIDLength-1]-'0']
	}), 2)
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(100)
	for i := range uint64(5) {
		c.Message(i+1, 1, "12345")
	}
	c.Next() // TOUCH
	c.Next()
	awaitMetrics(t, r, `{channel="c",topic="t"}`, `
nsq_consumer_backoff_levelLABELS 0
nsq_consumer_backoffs_totalLABELS 0
nsq_consumer_connectionsLABELS 1
nsq_consumer_connections_lost_totalLABELS 0
nsq_consumer_dial_failures_totalLABELS 0
nsq_consumer_dials_totalLABELS 1
nsq_consumer_handler_errors_totalLABELS 0
nsq_consumer_handlersLABELS 2
nsq_consumer_max_in_flightLABELS 100
nsq_consumer_messages_dropped_totalLABELS 0
nsq_consumer_messages_finished_totalLABELS 0
nsq_consumer_messages_given_up_totalLABELS 0
nsq_consumer_messages_in_flightLABELS 5
nsq_consumer_messages_received_totalLABELS 5
nsq_consumer_messages_requeued_totalLABELS 0
nsq_consumer_messages_touched_totalLABELS 2
nsq_consumer_messages_waitingLABELS 3
nsq_consumer_protocol_errors_totalLABELS 0
nsq_consumer_rdyLABELS 100
nsq_consumer_received_bytes_totalLABELS 25
nsq_consumer_starvedLABELS 0
`)

	returns[1] <- nil
	c.Expect("FIN " + nsqtest.ID(1))
	c.Expect("TOUCH " + nsqtest.ID(3))
	returns[2] <- errors.New("no")
	c.Expect("RDY 0")
	c.Expect("REQ " + nsqtest.ID(2) + " 90000")
	c.Expect("TOUCH " + nsqtest.ID(4))
	for range 3 {
		c.Fail("E_TOUCH_FAILED TOUCH failed")
	}
	c.Message(6, 4, "over-attempted")
	returns[3] <- nil
	c.Expect("FIN " + nsqtest.ID(3))
	c.Expect("TOUCH " + nsqtest.ID(5))
	returns[5] <- nil
	c.Expect("FIN " + nsqtest.ID(5))
	c.Expect("FIN " + nsqtest.ID(6))
	c.Message(7, 1, "1")
	c.Expect("TOUCH " + nsqtest.ID(7))
	c.Message(8, 1, "1")
	nsqtest.Eventually(t, "the last message arrives", func() bool { return r.Stats().MessagesReceived == 8 })

	f.Listener.Close()
	c.Conn.Close() // 4 and 7 are being handled, 8 waits
	nsqtest.Eventually(t, "failed attempts", func() bool { return r.counters.dialFailures.Load() >= 2 })
	returns[4] <- nil
	returns[7] <- errors.New("no")
	c = nsqtest.ListenFake(t, f.Addr).Accept()
	c.Expect("SUB t c")
	awaitMetrics(t, r, `{channel="c",topic="t"}`, `
nsq_consumer_backoff_levelLABELS 1
nsq_consumer_backoffs_totalLABELS 1
nsq_consumer_connectionsLABELS 1
nsq_consumer_connections_lost_totalLABELS 1
nsq_consumer_dial_failures_totalLABELS DIALS-2
nsq_consumer_dials_totalLABELS DIALS
nsq_consumer_handler_errors_totalLABELS 2
nsq_consumer_handlersLABELS 2
nsq_consumer_max_in_flightLABELS 100
nsq_consumer_messages_dropped_totalLABELS 1
nsq_consumer_messages_finished_totalLABELS 5
nsq_consumer_messages_given_up_totalLABELS 1
nsq_consumer_messages_in_flightLABELS 0
nsq_consumer_messages_received_totalLABELS 8
nsq_consumer_messages_requeued_totalLABELS 2
nsq_consumer_messages_touched_totalLABELS 6
nsq_consumer_messages_waitingLABELS 0
nsq_consumer_protocol_errors_totalLABELS 3
nsq_consumer_rdyLABELS 0
nsq_consumer_received_bytes_totalLABELS 41
nsq_consumer_starvedLABELS 0
`)
}

// Every metric of a producer has its value while publications are under way, after
// one was refused, and after connections were lost.
func TestMetricsOfProducer(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	one, two := [][]byte{[]byte("1")}, [][]byte{[]byte("12"), []byte("345")}
	unread := make(chan *ProducerTransaction)
	pinged := make(chan error, 1)
	go func() { pinged <- p.Ping() }()
	c := f.Accept()
	c.Expect("NOP")
	if err := nsqtest.Receive(t, "Ping", pinged); err != nil {
		t.Fatal(err)
	}
	publish := func(commands ...string) {
		t.Helper()
		for _, command := range commands {
			var err error
			switch command {
			case "PUB t":
				err = p.PublishAsync("t", []byte("body"), nil)
			case "MPUB t":
				err = p.MultiPublishAsync("t", two, nil)
			case "DPUB t 1000":
				err = p.DeferredPublishAsync("t", time.Second, []byte("deferred"), unread)
			case "MPUB u":
				err = p.MultiPublishAsync("u", one, nil)
			}
			if err != nil {
				t.Error(err)
			}
			c.Expect(command)
		}
	}
	publish("PUB t", "PUB t", "PUB t", "MPUB t", "DPUB t 1000", "MPUB u")
	for range 4 {
		c.Respond(wire.OK)
	}
	awaitMetrics(t, p, `{nsqd="`+f.Addr+`"}`, `
nsq_producer_connectedLABELS 1
nsq_producer_connections_lost_totalLABELS 0
nsq_producer_dial_failures_totalLABELS 0
nsq_producer_dials_totalLABELS 1
nsq_producer_messages_published_totalLABELS 5
nsq_producer_published_bytes_totalLABELS 17
nsq_producer_publishes_pendingLABELS 2
nsq_producer_publishes_total{kind="dpub",NSQD,result="lost"} 0
nsq_producer_publishes_total{kind="dpub",NSQD,result="ok"} 0
nsq_producer_publishes_total{kind="dpub",NSQD,result="refused"} 0
nsq_producer_publishes_total{kind="mpub",NSQD,result="lost"} 0
nsq_producer_publishes_total{kind="mpub",NSQD,result="ok"} 1
nsq_producer_publishes_total{kind="mpub",NSQD,result="refused"} 0
nsq_producer_publishes_total{kind="pub",NSQD,result="lost"} 0
nsq_producer_publishes_total{kind="pub",NSQD,result="ok"} 3
nsq_producer_publishes_total{kind="pub",NSQD,result="refused"} 0
nsq_producer_queued_bytesLABELS 0
nsq_producer_results_undeliveredLABELS 0
`)

	c.Respond(wire.OK) // the deferred one: nobody receives the result
	c.Fail("E_BAD_TOPIC MPUB no")
	f.Listener.Close()
	c.Conn.Close()
	nsqtest.Eventually(t, "a failed attempt", func() bool {
		return p.Ping() != nil && p.counters.dialFailures.Load() > 0
	})
	f = nsqtest.ListenFake(t, f.Addr)
	go p.Ping()
	c = f.Accept()
	c.Expect("NOP")
	publish("PUB t", "PUB t")
	f.Listener.Close()
	c.Conn.Close()
	nsqtest.Eventually(t, "the loss is noticed", func() bool { return p.counters.losses.Load() == 2 })
	awaitMetrics(t, p, `{nsqd="`+f.Addr+`"}`, `
nsq_producer_connectedLABELS 0
nsq_producer_connections_lost_totalLABELS 2
nsq_producer_dial_failures_totalLABELS DIALS-2
nsq_producer_dials_totalLABELS DIALS
nsq_producer_messages_published_totalLABELS 6
nsq_producer_published_bytes_totalLABELS 25
nsq_producer_publishes_pendingLABELS 0
nsq_producer_publishes_total{kind="dpub",NSQD,result="lost"} 0
nsq_producer_publishes_total{kind="dpub",NSQD,result="ok"} 1
nsq_producer_publishes_total{kind="dpub",NSQD,result="refused"} 0
nsq_producer_publishes_total{kind="mpub",NSQD,result="lost"} 0
nsq_producer_publishes_total{kind="mpub",NSQD,result="ok"} 1
nsq_producer_publishes_total{kind="mpub",NSQD,result="refused"} 1
nsq_producer_publishes_total{kind="pub",NSQD,result="lost"} 2
nsq_producer_publishes_total{kind="pub",NSQD,result="ok"} 3
nsq_producer_publishes_total{kind="pub",NSQD,result="refused"} 0
nsq_producer_queued_bytesLABELS 0
nsq_producer_results_undeliveredLABELS 1
`)
	<-unread
}

func TestNoMoreThanAskedFor(t *testing.T) {
	r := newTestConsumer(t, nil)
	n := 0
	for range r.Metrics() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("%d metrics after the first break", n)
	}
}

// given is a source of metrics that are given.
type given []Metric

func (g given) Metrics() iter.Seq[Metric] { return slices.Values(g) }

func TestWriteMetrics(t *testing.T) {
	one := given{
		{Name: "b_total", Help: "What b\\is\nabout.", Kind: MetricCounter, Labels: []MetricLabel{{"topic", "t"}, {"channel", "a\"b\\c\nd\xff"}}, Value: 1},
		{Name: "b_total", Help: "What b\\is\nabout.", Kind: MetricCounter, Labels: []MetricLabel{{"topic", "s"}}, Value: 12345678901},
		{Name: "a", Kind: MetricGauge, Value: 0.25},
		{Name: "nan", Kind: MetricKind(7), Value: math.NaN()},
		{Name: "inf", Kind: MetricGauge, Value: math.Inf(-1)},
	}
	two := given{
		{Name: "b_total", Help: "Another text.", Kind: MetricCounter, Labels: []MetricLabel{{"topic", "r"}}, Value: 3},
		{Name: "b_total", Help: "What b is about.", Kind: MetricCounter, Labels: []MetricLabel{{"channel", "a\"b\\c\nd\xff"}, {"topic", "t"}}, Value: 2},
	}
	want := `# TYPE a gauge
a 0.25
# HELP b_total What b\\is\nabout.
# TYPE b_total counter
b_total{channel="a\"b\\c\nd�",topic="t"} 3
b_total{topic="r"} 3
b_total{topic="s"} 1.2345678901e+10
# TYPE inf gauge
inf -Inf
# TYPE nan untyped
nan NaN
`
	for range 10 { // the order does not change
		var got strings.Builder
		if err := WriteMetrics(&got, one, two); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Fatalf("got\n%s\nwant\n%s", got.String(), want)
		}
	}
}

func TestInvalidMetrics(t *testing.T) {
	for _, tt := range []struct {
		metrics given
		want    string
	}{
		{given{{Name: "1a"}}, `invalid metric name "1a"`},
		{given{{Name: "a b"}}, `invalid metric name "a b"`},
		{given{{}}, `invalid metric name ""`},
		{given{{Name: "a\n"}}, `invalid metric name "a\n"`},
		{given{{Name: "a", Labels: []MetricLabel{{"b:c", "d"}}}}, `metric a: invalid label name "b:c"`},
		{given{{Name: "a", Labels: []MetricLabel{{"b", "c"}, {"b", "d"}}}}, "metric a: label b twice"},
		{given{{Name: "a"}, {Name: "a", Kind: MetricGauge}}, "metric a is both a counter and a gauge"},
	} {
		var b strings.Builder
		if err := WriteMetrics(&b, given{{Name: "good"}}, tt.metrics); err == nil || err.Error() != tt.want || b.Len() > 0 {
			t.Errorf("%+v: wrote %q, error %v, want %s", tt.metrics, b.String(), err, tt.want)
		}
		w := httptest.NewRecorder()
		MetricsHandler(tt.metrics).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%+v: answered with status %d", tt.metrics, w.Code)
		}
	}
}

func TestMetricsHandler(t *testing.T) {
	s := httptest.NewServer(MetricsHandler(given{{Name: "a", Value: 1}}, given{{Name: "a", Value: 2}}))
	defer s.Close()
	resp, err := s.Client().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if got := resp.Header.Get("Content-Type") + "\n" + string(body); err != nil ||
		got != "text/plain; version=0.0.4; charset=utf-8\n# TYPE a counter\na 3\n" {
		t.Errorf("got %s, %v", got, err)
	}
}
