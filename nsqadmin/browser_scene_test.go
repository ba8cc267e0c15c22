package nsqadmin

import (
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
	"github.com/seed893f581e/nsq/nsqd"
)

// A scene is an nsqadmin with the cluster that it shows.
type scene struct {
	*testAdmin
	t        testing.TB
	lookupds []*nsqtest.Lookupd
	nsqds    []*nsqtest.NSQD
}

// newScene starts the daemons of a scene; options of nsqds may be changed.
func newScene(t testing.TB, lookupds, nsqds int, change func(i int, opts *nsqd.Options)) *scene {
	c := &scene{t: t}
	var tcp []string
	for range lookupds {
		l := nsqtest.StartLookupd(t, nil)
		c.lookupds = append(c.lookupds, l)
		tcp = append(tcp, l.TCPAddr())
	}
	for i := range nsqds {
		opts := nsqtest.Options(t)
		opts.LookupdTCPAddresses = tcp
		if change != nil {
			change(i, opts)
		}
		c.nsqds = append(c.nsqds, nsqtest.Start(t, opts))
	}
	c.registered(nsqds)
	return c
}

// registered waits until all nsqlookupds know so many nsqds.
func (c *scene) registered(nsqds int) {
	for _, l := range c.lookupds {
		nsqtest.Eventually(c.t, "the nsqds are registered", func() bool {
			return strings.Count(c.ask("GET", l.HTTPURL()+"/nodes", ""), `"http_port"`) == nsqds
		})
	}
}

// openScene runs an nsqadmin for one nsqlookupd and some nsqds.
func openScene(t testing.TB, nsqds int, change func(*Options)) *scene {
	c := newScene(t, 1, nsqds, nil)
	opts := testOptions(t, c.lookupds...)
	if change != nil {
		change(opts)
	}
	c.testAdmin = start(t, opts)
	return c
}

// origin is the URL for a tab, without the base path.
func (c *scene) origin() string { return "http://" + c.RealHTTPAddr().String() }

// node returns the name of an nsqd in URLs.
func (c *scene) node(i int) string { return c.nsqds[i].RealHTTPAddr().String() }

// ask sends a request to a daemon, which must succeed.
func (c *scene) ask(method, url, body string) string {
	c.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s %v", method, url, resp.StatusCode, answer, err)
	}
	return string(answer)
}

func (c *scene) post(i int, path, body string) {
	c.t.Helper()
	c.ask("POST", c.nsqds[i].HTTPURL()+path, body)
}

// channel creates a channel, and its topic, on an nsqd.
func (c *scene) channel(i int, topic, channel string) {
	c.t.Helper()
	query := "?topic=" + url.QueryEscape(topic) + "&channel=" + url.QueryEscape(channel)
	c.post(i, "/topic/create"+query, "")
	if channel != "" {
		c.post(i, "/channel/create"+query, "")
	}
}

// publish publishes messages to an nsqd.
func (c *scene) publish(i int, topic string, messages int) {
	c.t.Helper()
	c.post(i, "/mpub?topic="+url.QueryEscape(topic), strings.Repeat("message\n", messages))
}

// depth is what all nsqds have in a channel, or in a topic for "".
func (c *scene) has(i int, text string) bool {
	return strings.Contains(c.ask("GET", c.nsqds[i].HTTPURL()+"/stats?format=json", ""), text)
}

// consume starts a consumer of all nsqds. Without a handler it keeps what it gets
// until the end of the test.
func (c *scene) consume(topic, channel string, config *nsq.Config, handle nsq.HandlerFunc) {
	c.t.Helper()
	consumer, err := nsq.NewConsumer(topic, channel, config)
	if err != nil {
		c.t.Fatal(err)
	}
	consumer.SetLogger(nil, nsq.LogLevelMax)
	if handle == nil {
		handle = func(m *nsq.Message) error { m.DisableAutoResponse(); return nil }
	}
	consumer.AddHandler(handle)
	for _, d := range c.nsqds {
		if err := consumer.ConnectToNSQD(d.TCPAddr()); err != nil {
			c.t.Fatal(err)
		}
	}
	c.t.Cleanup(func() {
		consumer.StopContext(c.t.Context()) // which has ended: what it kept goes back to nsqd at once
		<-consumer.StopChan
	})
}

func consumerAs(name, agent string, maxInFlight int) *nsq.Config {
	config := nsq.NewConfig()
	config.ClientID, config.Hostname, config.UserAgent = name, name+".example.net", agent
	config.MaxInFlight = maxInFlight
	return config
}

func finishIt(*nsq.Message) error { return nil }

// traffic publishes so many messages each second, until the end of the test.
func (c *scene) traffic(topic string, perSecond int) {
	stop := make(chan struct{})
	var running sync.WaitGroup
	c.t.Cleanup(func() { close(stop); running.Wait() })
	producer, err := nsq.NewProducer(c.nsqds[0].TCPAddr(), consumerAs("shop-1", "shop/2.1", 1))
	if err != nil {
		c.t.Fatal(err)
	}
	producer.SetLogger(nil, nsq.LogLevelMax)
	c.t.Cleanup(producer.Stop)
	batch := make([][]byte, max(1, perSecond/5))
	for i := range batch {
		batch[i] = []byte("message")
	}
	running.Go(func() {
		tick := time.NewTicker(time.Second / 5)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				producer.MultiPublish(topic, batch) // at the end of the test it may fail
			case <-stop:
				return
			}
		}
	})
}

// A sceneFront is where nsqadmin finds an nsqd, until it breaks down: the nsqd stays
// registered and does not answer.
type sceneFront struct {
	*httptest.Server
	target *url.URL
}

func newSceneFront(t testing.TB) *sceneFront {
	f := &sceneFront{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(f.target) }}).ServeHTTP(w, r)
	}))
	t.Cleanup(f.breakDown)
	return f
}

func (f *sceneFront) breakDown() {
	f.CloseClientConnections()
	f.Close()
}

func (f *sceneFront) port(t testing.TB) int {
	_, port, err := net.SplitHostPort(f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// before puts f before an nsqd that has f's port as its broadcast port.
func (f *sceneFront) before(d *nsqtest.NSQD) {
	f.target = &url.URL{Scheme: "http", Host: d.RealHTTPAddr().String()}
}

// openBusyScene runs an nsqadmin for a cluster with most of what there is to see:
// traffic, channels that nobody reads, paused and slow ones, topics without
// producers, a node that breaks down, and an hour of history.
func openBusyScene(t testing.TB) (c *scene, broken *sceneFront) {
	broken = newSceneFront(t)
	c = newScene(t, 2, 4, func(i int, opts *nsqd.Options) {
		opts.TopologyRegion, opts.TopologyZone = "eu", string(rune('a'+i%2))
		opts.E2EProcessingLatencyPercentiles = []float64{0.5, 0.95, 0.99}
		if i == 3 {
			opts.BroadcastHTTPPort = broken.port(t)
		}
	})
	broken.before(c.nsqds[3])
	for i := range c.nsqds {
		for _, name := range []string{"orders/billing", "orders/shipping", "orders/archive", "clicks/analytics", "clicks/live#ephemeral", "payments/ledger", "audit/"} {
			topic, channel, _ := strings.Cut(name, "/")
			c.channel(i, topic, channel)
		}
		c.publish(i, "payments", 310)
		c.publish(i, "audit", 85)
	}
	for i := range 18 {
		topic := fmt.Sprintf("service-%02d.events", i+1)
		c.channel(i%3, topic, "worker")
		c.publish(i%3, topic, i*i)
	}
	c.channel(0, "a-topic-whose-name-is-as-long-as-names-may-be-64-characters-long", "and-a-channel-whose-name-is-as-long-as-names-may-be-64-character")
	c.post(1, "/channel/pause?topic=payments&channel=ledger", "")
	for i := range 25 {
		c.post(i%3, "/pub?topic=orders&defer="+strconv.Itoa(1000*(600+i)), "later")
	}
	c.publish(0, "orders", 3000)
	c.publish(2, "orders", 900)
	for _, l := range c.lookupds {
		c.ask("POST", l.HTTPURL()+"/topic/create?topic=legacy-import", "")
		c.ask("POST", l.HTTPURL()+"/channel/create?topic=legacy-import&channel=loader", "")
	}

	n, err := New(testOptions(t, c.lookupds...))
	if err != nil {
		t.Fatal(err)
	}
	c.seedHistory(n)
	c.testAdmin = startNew(t, n)

	for i := range 2 {
		config := consumerAs(fmt.Sprintf("billing-%d", i+1), "go-nsq/1.4.0", 200)
		config.Snappy = i == 0
		c.consume("orders", "billing", config, finishIt)
	}
	c.consume("orders", "shipping", consumerAs("shipping-1", "pynsq/0.9.1", 40), nil)
	sampled := consumerAs("analytics-1", "nsqjs/0.13.0", 200)
	sampled.SampleRate = 50
	c.consume("clicks", "analytics", sampled, finishIt)
	c.consume("clicks", "live#ephemeral", consumerAs("dashboard-1", "go-nsq/1.4.0", 200), finishIt)
	c.traffic("orders", 40)
	c.traffic("clicks", 60)
	return c, broken
}

// seedHistory makes an nsqadmin that has not begun one that has run for an hour.
func (c *scene) seedHistory(n *NSQAdmin) {
	now := time.Now()
	begin := now.Add(-time.Hour)
	store := history.NewStore(begin, 0)
	n.poller.History = store
	for i := range history.Steps {
		x := float64(i) / float64(history.Steps)
		wave := func(base, swing, turns float64) float64 {
			return base + swing*math.Sin(2*math.Pi*turns*x) + base/20*math.Sin(97*x*x*6)
		}
		channels := map[history.Key]history.Sample{
			{Topic: "orders", Channel: "billing"}:   {Depth: int64(wave(20, 15, 5)), InFlight: int64(wave(12, 4, 3)), Publish: wave(40, 12, 2), Finish: wave(40, 12, 2)},
			{Topic: "orders", Channel: "shipping"}:  {Depth: int64(3900 * x * x), InFlight: 40, Deferred: 25, Publish: wave(40, 12, 2), Finish: max(0, wave(30, 10, 1)-25*x)},
			{Topic: "orders", Channel: "archive"}:   {Depth: int64(3900 * x), Deferred: 25, Publish: wave(40, 12, 2)},
			{Topic: "clicks", Channel: "analytics"}: {Depth: int64(max(0, wave(0, 400, 1.5))), InFlight: int64(wave(30, 10, 7)), Publish: wave(60, 25, 1.5), Finish: wave(58, 22, 1.4)},
			{Topic: "payments", Channel: "ledger"}:  {Depth: int64(1240 * min(1, 2*x)), Publish: wave(3, 1, 4)},
		}
		samples := maps.Clone(channels)
		whole := history.Sample{}
		for k, s := range channels {
			topic := samples[history.Key{Topic: k.Topic}]
			for _, sum := range []*history.Sample{&topic, &whole} {
				sum.Depth, sum.InFlight, sum.Deferred = sum.Depth+s.Depth, sum.InFlight+s.InFlight, sum.Deferred+s.Deferred
				sum.Finish += s.Finish
			}
			topic.Publish = max(topic.Publish, s.Publish)
			samples[history.Key{Topic: k.Topic}] = topic
		}
		whole.Publish = wave(103, 30, 2)
		samples[history.Key{}] = whole
		for _, node := range []string{c.node(0), c.node(1), c.node(2), c.brokenNode()} {
			part := whole
			part.Depth, part.InFlight, part.Publish, part.Finish = whole.Depth/4, whole.InFlight/4, whole.Publish/4, whole.Finish/4
			samples[history.Key{Node: node}] = part
		}
		store.Add(begin.Add(time.Duration(i)*history.Step), maps.All(samples))
	}
}
