package nsqadmin

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
	"github.com/seed893f581e/nsq/nsqd"
)

// A console is an nsqadmin with the daemons that it shows.
type console struct {
	*testAdmin
	lookupd *nsqtest.Lookupd
	nsqds   []*nsqtest.NSQD
}

// newConsole starts an nsqlookupd, nsqds that are registered there, and an
// nsqadmin that asks it.
func newConsole(t *testing.T, nsqds int, change func(*nsqd.Options)) *console {
	t.Helper()
	c := &console{lookupd: nsqtest.StartLookupd(t, nil)}
	for range nsqds {
		opts := nsqtest.Options(t)
		opts.LookupdTCPAddresses = []string{c.lookupd.TCPAddr()}
		if change != nil {
			change(opts)
		}
		c.nsqds = append(c.nsqds, nsqtest.Start(t, opts))
	}
	c.testAdmin = start(t, testOptions(t, c.lookupd))
	nsqtest.Eventually(t, "all nsqds have registered", func() bool { return len(c.view().Nodes) == nsqds })
	return c
}

// view returns what the nsqadmin knows after it has asked everybody.
func (c *console) view() *watch.View {
	ctx, cancel := context.WithTimeout(context.Background(), nsqtest.Patience)
	defer cancel()
	c.poller.Refresh(ctx)
	return c.poller.View()
}

// address is the name of an nsqd on pages.
func (c *console) address(nsqd int) string { return c.nsqds[nsqd].RealHTTPAddr().String() }

// tell has an nsqd do something that must succeed.
func (c *console) tell(nsqd int, path, body string, names ...string) {
	c.t.Helper()
	query := url.Values{"topic": {names[0]}}
	if len(names) > 1 {
		query.Set("channel", names[1])
	}
	if len(names) > 2 {
		query.Set("defer", names[2])
	}
	separator := map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]
	resp, err := http.Post(c.nsqds[nsqd].HTTPURL()+path+separator+query.Encode(), "", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		c.t.Fatalf("POST %s: %d %s", path, resp.StatusCode, answer)
	}
}

// create creates a channel and its topic.
func (c *console) create(nsqd int, topic, channel string) {
	c.t.Helper()
	c.tell(nsqd, "/topic/create", "", topic)
	c.tell(nsqd, "/channel/create", "", topic, channel)
}

// publish publishes so many messages.
func (c *console) publish(nsqd int, topic string, messages int) {
	c.t.Helper()
	c.tell(nsqd, "/mpub", strings.TrimSuffix(strings.Repeat("message\n", messages), "\n"), topic)
}

// consume connects a consumer with a handler until the end of the test.
func (c *console) consume(t *testing.T, topic, channel string, change func(*nsq.Config), handler nsq.HandlerFunc, nsqds ...int) {
	t.Helper()
	config := nsq.NewConfig()
	if change != nil {
		change(config)
	}
	consumer, err := nsq.NewConsumer(topic, channel, config)
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetSlogger(slog.New(slog.DiscardHandler))
	consumer.AddHandler(handler)
	for _, i := range nsqds {
		if err := consumer.ConnectToNSQD(c.nsqds[i].TCPAddr()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		consumer.Stop()
		<-consumer.StopChan
	})
}

func finish(*nsq.Message) error { return nil }

// eventually opens a page until it is there and what is on it is as it must be.
func (c *console) eventually(what, path string, is func(*document) bool) *document {
	c.t.Helper()
	var d *document
	nsqtest.Eventually(c.t, what, func() bool {
		c.view()
		resp, body := c.do("GET", path, "")
		if resp.StatusCode == http.StatusNotFound {
			return false
		}
		d = c.read(resp, body, http.StatusOK, path)
		return is(d)
	})
	return d
}

func TestTopicsPage(t *testing.T) {
	c := newConsole(t, 2, nil)
	c.open("/topics").has(".blank", "There are no topics yet")

	c.publish(0, "orders", 3)
	c.publish(1, "orders", 2)
	c.create(0, "payments", "mail")
	c.publish(0, "payments", 4)
	c.tell(0, "/topic/create?durability=fsync", "", "ledger")
	c.tell(0, "/topic/create?durability=fsync", "", "journal")
	c.tell(1, "/topic/create?durability=disk", "", "journal")
	c.tell(0, "/pub", "late", "payments", "", "3600000")
	c.tell(1, "/topic/pause", "", "orders")
	if resp, _ := http.Post(c.lookupd.HTTPURL()+"/topic/create?topic=nobody", "", nil); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}

	d := c.eventually("what was published is shown", "/topics", func(d *document) bool {
		return slices.Equal(d.column("Topics on all nodes", "Topic"), []string{"journal mixed no channel", "ledger fsync no channel",
			"nobody no nsqd has it", "orders memory paused on 1 of 2 nodes no channel", "payments memory"}) &&
			d.row("Topics on all nodes", "payments")["Deferred"] == "1"
	})
	d.wantRow("Topics on all nodes", "orders", "Depth", "5", "In channels", "0", "Messages", "5", "Channels", "0", "Nodes", "2")
	d.wantRow("Topics on all nodes", "payments", "Depth", "0", "In channels", "4", "Messages", "5", "Channels", "1", "Deferred", "1", "Consumers", "0", "Nodes", "1")
	d.wantRow("Topics on all nodes", "nobody", "Nodes", "0", "Depth", "")
	if got := d.link("tbody th a", "orders"); got != "/topics/orders" {
		t.Errorf("a topic links to %q", got)
	}
	if n := d.table("Topics on all nodes").Find("td svg[role=img] title").Length(); n != 4 {
		t.Errorf("%d sparklines with a title, want one for each topic that an nsqd has", n)
	}

	sorted := c.open(d.link("thead a", "In channels"))
	if got := sorted.column("Topics on all nodes", "Topic")[0]; got != "payments memory" {
		t.Errorf("the topic with the most messages in channels is not the first, but %q", got)
	}
	if got := sorted.table("Topics on all nodes").Find("th[aria-sort=descending]"); text(got) != "In channels" {
		t.Errorf("sorted by %q", text(got))
	}
	filtered := c.open("/topics?q=MAI") // a channel of payments
	if got := filtered.column("Topics on all nodes", "Topic"); !slices.Equal(got, []string{"payments memory"}) {
		t.Errorf("filtered: %q", got)
	}
	filtered.has(".filter", "1 of 5")
	c.open("/topics?q=%22%3E%3Cscript%3E").has(".blank", `has “"><script>” in its name`)
}

// Every column says what it means.
func TestColumnsAreExplained(t *testing.T) {
	c := newConsole(t, 1, func(o *nsqd.Options) {
		o.E2EProcessingLatencyPercentiles = []float64{0.5}
		o.TopologyZone, o.TopologyRegion = "z", "r"
	})
	c.create(0, "t", "c")
	c.consume(t, "t", "c", nil, finish, 0)
	c.eventually("the consumer is shown", "/topics/t/c", func(d *document) bool { return d.Find("table").Length() == 2 })
	for _, path := range []string{"/topics", "/topics/t", "/topics/t/c"} {
		d := c.open(path)
		for _, th := range d.Find("thead th").EachIter() {
			if th.AttrOr("title", "") == "" || th.AttrOr("scope", "") != "col" {
				t.Errorf("%s: column %q has title %q, scope %q", path, text(th), th.AttrOr("title", ""), th.AttrOr("scope", ""))
			}
		}
		d.has("details dl", "Messages")
	}
}

func TestTopicPage(t *testing.T) {
	c := newConsole(t, 2, func(o *nsqd.Options) { o.E2EProcessingLatencyPercentiles = []float64{1, 0.99} })
	for i := range c.nsqds {
		c.create(i, "orders", "audit")
	}
	c.create(0, "orders", "mail")
	c.consume(t, "orders", "mail", nil, finish, 0)
	c.publish(0, "orders", 1234)
	c.publish(1, "orders", 6)
	c.tell(0, "/channel/pause", "", "orders", "audit")

	d := c.eventually("messages were finished", "/topics/orders", func(d *document) bool {
		cells := d.row("Channels of orders", "mail")
		return cells["Depth"] == "0" && cells["In flight"] == "0" && cells["Messages"] == "1,234" &&
			cells["Publish to finish"] != "–" && strings.Contains(d.row("orders on each nsqd", "All nodes")["Messages"], "1,240")
	})
	d.has("h1", "orders")
	d.wantRow("Channels of orders", "audit", "State", "paused on 1 of 2 nodes no consumers", "Depth", "1,240", "Messages", "1,240", "Consumers", "0")
	c.open("/topics/orders/audit").has(".banner.warning", "Channel audit of topic orders is paused with 1,240 messages waiting.")
	c.open("/topics/orders/mail").hasNot(".banner.warning")
	d.wantRow("Channels of orders", "mail", "State", "", "Consumers", "1", "Requeued", "0", "Timed out", "0")
	d.wantRow("orders on each nsqd", c.address(0), "Health", "OK", "Durability", "memory", "Depth", "0", "Messages", "1,234", "Channels", "2")
	d.wantRow("orders on each nsqd", c.address(1), "Health", "OK", "Messages", "6", "Channels", "1")
	d.wantRow("orders on each nsqd", "All nodes", "Messages", "1,240", "Channels", "2")
	if got := d.row("orders on each nsqd", c.address(0))["Publish to finish"]; !strings.HasPrefix(got, "max ") || !strings.Contains(got, "p99 ") {
		t.Errorf("the percentiles of the node: %q", got)
	}
	if got := d.tile("Depth of its channels"); got != "1,240 0 on disk" {
		t.Errorf("depth of the channels: %q", got)
	}
	if got := d.tile("Consumers"); got != "1 on 2 channels" {
		t.Errorf("consumers: %q", got)
	}
	if n := d.Find("figure.chart svg[role=img]").Length(); n != 3 {
		t.Errorf("%d charts, want 3", n)
	}
	d.has("pre.command", `curl -X POST -d '{"action":"pause"}' '`+c.url("/api/topics/orders")+"'")
	if got := d.link("a.button", "Delete"); got != "/action?do=delete_topic&topic=orders" {
		t.Errorf("delete leads to %q", got)
	}
	if got, want := d.link("td a", "Tombstone"), "/action?do=tombstone_topic_producer&node="+url.QueryEscape(c.address(0))+"&topic=orders"; !strings.Contains(got, "tombstone_topic_producer") || len(got) != len(want) {
		t.Errorf("tombstone leads to %q, want %q or that of the other", got, want)
	}
	c.hasActions(d, "Pause", "Empty", "Delete", "Change durability")

	for i := range c.nsqds {
		c.tell(i, "/topic/pause", "", "orders")
	}
	d = c.eventually("the topic is paused", "/topics/orders", func(d *document) bool { return text(d.Find("h1 + .sub")) == "topic durability memory paused" })
	c.hasActions(d, "Unpause", "Empty", "Delete", "Change durability")
}

// hasActions expects these links to actions at the top of a page.
func (c *console) hasActions(d *document, want ...string) {
	c.t.Helper()
	got := d.Find(`.head .actions a[href*="/action?"]`).Map(func(_ int, s *goquery.Selection) string { return text(s) })
	if !slices.Equal(got, want) {
		c.t.Errorf("actions %q, want %q", got, want)
	}
}

// Somebody who may not act sees no buttons.
func TestTopicPagesOfNonAdmins(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "t", "c")
	opts := testOptions(t, c.lookupd)
	opts.AdminUsers = []string{"bob"}
	c.testAdmin = start(t, opts)
	c.eventually("the channel is there", "/topics", func(d *document) bool {
		return d.Find("table").Length() == 1 && d.row("Topics on all nodes", "t")["Channels"] == "1"
	})
	for _, path := range []string{"/topics", "/topics/t", "/topics/t/c"} {
		c.open(path).hasNot(`a[href*="/action"], main a[href*="#create"]`)
		if c.open(path, "X-Forwarded-User: bob").Find(`a[href*="/action"], main a[href*="#create"]`).Length() == 0 {
			t.Errorf("%s offers nothing to an admin", path)
		}
	}
}

func TestChannelPage(t *testing.T) {
	pair := certstest.SelfSigned(t)
	cert, key := pair.Write(t, t.TempDir(), "nsqd")
	c := newConsole(t, 2, func(o *nsqd.Options) {
		o.TLSCert, o.TLSKey = cert, key
		o.TopologyZone, o.TopologyRegion = "z1", "r1"
	})
	for i := range c.nsqds {
		c.create(i, "orders", "mail")
	}
	hold := make(chan struct{})
	c.consume(t, "orders", "mail", func(config *nsq.Config) {
		config.ClientID, config.Hostname, config.UserAgent = "secure", "secure.example", "tester/1.0"
		config.TlsV1, config.TlsConfig = true, &tls.Config{RootCAs: pair.Pool(), ServerName: "127.0.0.1"}
		config.Snappy, config.SampleRate = true, 42
		config.TopologyZone, config.TopologyRegion = "z1", "r1"
		config.MaxInFlight = 7
	}, finish, 1)
	c.consume(t, "orders", "mail", func(config *nsq.Config) {
		config.ClientID, config.Hostname = "holder", "holder.example"
		config.MaxInFlight, config.Deflate = 2, true
	}, func(*nsq.Message) error { <-hold; return nil }, 0)
	t.Cleanup(func() { close(hold) })
	c.publish(0, "orders", 10)
	c.tell(0, "/pub", "late", "orders", "", "3600000")

	const consumers = "Consumers of mail"
	d := c.eventually("two messages are in flight", "/topics/orders/mail", func(d *document) bool {
		return strings.HasPrefix(d.tile("In flight"), "2 ") && strings.HasPrefix(d.tile("Deferred"), "1 ") && d.Find("table").Length() == 2 &&
			len(d.column(consumers, "Client")) == 2
	})
	d.wantRow("mail on each nsqd", c.address(0), "Health", "OK", "Depth", "8", "In flight", "2", "Deferred", "1", "Messages", "11", "Connections", "1")
	d.wantRow("mail on each nsqd", c.address(1), "Depth", "0", "Connections", "1", "Delivered to", "–")
	d.wantRow("mail on each nsqd", "All nodes", "In flight", "2", "Connections", "2", "Delivered to", "zone 0 % region 0 % elsewhere 100 %")
	d.wantRow(consumers, "secure", "User agent", "tester/1.0", "Protocol", "V2", "nsqd", c.address(1), "RDY", "7", "In flight", "0",
		"Compression", "snappy", "Sample", "42 %", "Identity", "none", "Zone", "z1 / r1 zone of the nsqd")
	d.wantRow(consumers, "holder", "nsqd", c.address(0), "In flight", "2", "Messages", "2", "Finished", "0", "TLS", "none", "Compression", "deflate", "Sample", "all")
	cells := d.row(consumers, "secure")
	if !strings.HasPrefix(cells["TLS"], "TLS1.3 ") || !strings.HasPrefix(cells["Host"], "secure.example 127.0.0.1:") {
		t.Errorf("TLS %q, host %q", cells["TLS"], cells["Host"])
	}
	c.hasActions(d, "Pause", "Empty", "Delete")
	d.has("pre.command", `curl -X DELETE '`+c.url("/api/topics/orders/mail")+"'")
	d.hasNot(".banner")

	filtered := c.open("/topics/orders/mail?q=TESTER")
	if got := filtered.column(consumers, "Client"); !slices.Equal(got, []string{"secure"}) {
		t.Errorf("filtered: %q", got)
	}
	sorted := c.open(d.link("section[aria-labelledby=consumers] thead a", "In flight"))
	if got := sorted.column(consumers, "Client"); !slices.Equal(got, []string{"holder", "secure"}) {
		t.Errorf("sorted by in flight: %q", got)
	}
	c.open("/topics/orders/mail?q=nothing").has(".blank", "None of 2 consumers matches “nothing”.")
}

// An nsqd that dies shows as such, with what it said last, and the page does not
// wait for it. One that hangs costs the page no more than its time for
// consumers.
func TestTopicPagesOfSilentNodes(t *testing.T) {
	c := newConsole(t, 2, nil)
	for i := range c.nsqds {
		c.create(i, "t", "c")
		c.publish(i, "t", 5)
	}
	address := c.address(1)
	c.eventually("both have the channel", "/topics/t/c", func(d *document) bool { return d.tile("Depth") == "10 10 in memory, 0 on disk" })
	c.nsqds[1].Stop()

	d := c.eventually("one does not answer", "/topics/t", func(d *document) bool {
		return strings.Contains(d.row("t on each nsqd", address)["Health"], "no answer for")
	})
	d.wantRow("t on each nsqd", c.address(0), "Health", "OK")
	d = c.open("/topics/t/c")
	d.has("section .banner", "The consumers of one node are missing below:")
	d.wantRow("c on each nsqd", c.address(0), "Depth", "5")
}

// A gate is in front of an nsqd and lets nothing through while it is closed.
type gate struct {
	proxy  *httputil.ReverseProxy
	closed atomic.Bool
}

// newGate returns a gate and its address.
func newGate(t *testing.T, target string) (g *gate, address string) {
	g = &gate{proxy: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, server.Listener.Addr().String()
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.closed.Load() {
		<-r.Context().Done()
		return
	}
	g.proxy.ServeHTTP(w, r)
}

// A page names who did not tell its consumers in time.
func TestConsumersOfAnNSQDThatHangs(t *testing.T) {
	c := newConsole(t, 2, nil)
	for i := range c.nsqds {
		c.create(i, "t", "c")
	}
	c.consume(t, "t", "c", func(config *nsq.Config) { config.ClientID = "seen" }, finish, 0)
	c.consume(t, "t", "c", func(config *nsq.Config) { config.ClientID = "unseen" }, finish, 1)
	g, address := newGate(t, c.address(1))
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{c.address(0), address}
	c.testAdmin = start(t, opts)
	c.eventually("both consumers are shown", "/topics/t/c", func(d *document) bool { return strings.HasPrefix(d.tile("Consumers"), "2 ") })
	g.closed.Store(true)
	began := time.Now()
	d := c.open("/topics/t/c")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the page took %v", took)
	}
	d.has("section .banner li", address)
	d.has("section .banner li", "did not answer within 800 ms")
	if got := d.column("Consumers of c", "Client"); !slices.Equal(got, []string{"seen"}) {
		t.Errorf("consumers %q", got)
	}
}

func TestMissingTopicsAndChannels(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "orders", "mail")
	c.view()

	d := c.openStatus(http.StatusNotFound, "/topics/order")
	d.has(".blank", "There is no topic order on any node or nsqlookupd.")
	if got := d.link(".blank a", "orders"); got != "/topics/orders" {
		t.Errorf("the similar name leads to %q", got)
	}
	if got := d.link(".blank a.button", "Create"); got != "/lookup?topic=order#create" {
		t.Errorf("create leads to %q", got)
	}
	if got := d.link(".blank a.button", "Search"); got != "/search?q=order" {
		t.Errorf("search leads to %q", got)
	}
	d = c.openStatus(http.StatusNotFound, "/topics/orders/email")
	d.has(".blank", "There is no channel email of topic orders")
	if got := d.link(".blank a", "mail"); got != "/topics/orders/mail" {
		t.Errorf("the similar name leads to %q", got)
	}
	for _, name := range []string{"<script>alert(1)", strings.Repeat("x", 3000), "a b", "#ephemeral", `"'&`} {
		d = c.openStatus(http.StatusNotFound, "/topics/"+url.PathEscape(name))
		d.has(".blank", "There cannot be one")
		d.hasNot("pre")
		if got := text(d.Find("h1")); got != name {
			t.Errorf("the heading is %q, want %q", got, name)
		}
	}
	c.openStatus(http.StatusNotFound, "/topics/orders/"+url.PathEscape("<b>")).has("h1", "<b>")
}

// A topic that was just created has no nsqd: the page says so, and what can be
// done.
func TestTopicThatOnlyAnNSQLookupdKnows(t *testing.T) {
	c := newConsole(t, 1, nil)
	if resp, _ := http.Post(c.lookupd.HTTPURL()+"/channel/create?topic=fresh&channel=mail", "", nil); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	d := c.open("/topics/fresh") // at once, although nobody was asked since
	d.has(".sub", "no nsqd has it")
	d.has("section", "The topic is known to nsqlookupd "+c.lookupd.HTTPAddr())
	d.has("section", "Its channels are mail.")
	if got := d.link("a.button", "Delete"); got != "/action?do=delete_topic&topic=fresh" {
		t.Errorf("delete leads to %q", got)
	}
	d.has("pre.command", "curl -X DELETE '"+c.url("/api/topics/fresh")+"'")
	c.publish(0, "fresh", 1)
	c.eventually("the nsqd has it", "/topics/fresh", func(d *document) bool { return d.Find("table").Length() > 0 })
}

func TestEphemeralAndLongNames(t *testing.T) {
	c := newConsole(t, 1, nil)
	topic, channel := strings.Repeat("t", 54)+"#ephemeral", "a.b-c_d#ephemeral"
	c.create(0, topic, channel)
	d := c.eventually("the topic is shown", "/topics", func(d *document) bool { return d.Find("table").Length() > 0 })
	d = c.open(d.link("tbody th a", topic))
	d.has(".sub", "ephemeral")
	d = c.open(d.link("tbody th a", channel))
	d.has("h1", channel)
	d.has(".sub", "ephemeral")
	if got, want := d.link("a.button", "Empty"), "/action?channel="+url.QueryEscape(channel)+"&do=empty_channel&topic="+url.QueryEscape(topic); got != want {
		t.Errorf("empty leads to %q, want %q", got, want)
	}
}

// What a consumer says of itself is shown and does nothing.
func TestHostileConsumer(t *testing.T) {
	c := newConsole(t, 1, nil)
	const hostile = `<script>alert("x")</script>`
	c.consume(t, "t", "c", func(config *nsq.Config) {
		config.ClientID, config.Hostname, config.UserAgent = hostile, hostile, hostile+strings.Repeat("y", 100)
	}, finish, 0)
	d := c.eventually("the consumer is shown", "/topics/t/c", func(d *document) bool { return d.Find("table").Length() == 2 })
	d.wantRow("Consumers of c", hostile, "User agent", hostile+strings.Repeat("y", 100))
}

// A consumer's identity comes from an auth server, and is no link unless to a
// web page.
func TestIdentityLinks(t *testing.T) {
	for link, want := range map[string]string{
		"https://example.org/u/1": "https://example.org/u/1",
		"javascript:alert(1)":     "",
		"//example.org":           "",
		"":                        "",
		"http://[":                "",
	} {
		c := consumerItem{&cluster.ClientInfo{Authed: true, AuthIdentity: "u", AuthIdentityURL: link}}
		if got := c.Identity(); got.URL != want || got.Name != "u" {
			t.Errorf("%q: %+v, want %q", link, got, want)
		}
	}
}

func TestManyConsumersArePaged(t *testing.T) {
	c := newConsole(t, 1, nil)
	for i := range 120 {
		c.subscribe(t, fmt.Sprintf("consumer-%03d", i))
	}
	d := c.eventually("all consumers are shown", "/topics/t/c?sort=client", func(d *document) bool { return strings.Contains(text(d.Find(".pager")), "1 to 100 of 120") })
	if got := d.column("Consumers of c", "Client"); len(got) != 100 || got[0] != "consumer-000" {
		t.Errorf("%d consumers on the first page, the first is %s", len(got), got[0])
	}
	d = c.open(d.link(".pager a", "Next"))
	if got := d.column("Consumers of c", "Client"); len(got) != 20 || got[19] != "consumer-119" {
		t.Errorf("%d consumers on the second page, the last is %s", len(got), got[len(got)-1])
	}
}

// subscribe connects a consumer that never is ready, at the cost of a socket.
func (c *console) subscribe(t *testing.T, id string) {
	t.Helper()
	conn, err := net.Dial("tcp", c.nsqds[0].TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var b bytes.Buffer
	body := fmt.Sprintf(`{"client_id":%q}`, id)
	fmt.Fprintf(&b, "  V2IDENTIFY\n%c%c%c%c%sSUB t c\n", 0, 0, 0, len(body), body)
	if _, err := conn.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// With a graphite, pages link to its pictures and load none of them.
func TestPagesLinkToGraphite(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "t", "c")
	c.view()
	for _, path := range []string{"/topics/t", "/topics/t/c"} {
		c.open(path).hasNot(`a[href*="/render?"]`)
	}
	opts := testOptions(t, c.lookupd)
	opts.GraphiteURL = "http://user:secret@graphite.example/g"
	c.testAdmin = start(t, opts)
	nsqtest.Eventually(t, "the topic is known", func() bool { row, _ := c.view().TopicRow("t"); return row.Nodes == 1 })
	for path, want := range map[string]string{
		"/topics/t":   "sumSeries(stats.gauges.nsq.*.topic.t.depth)",
		"/topics/t/c": "sumSeries(stats.gauges.nsq.*.topic.t.channel.c.depth)",
	} {
		d := c.open(path)
		to, err := url.Parse(d.link("details a", "Depth, 24h"))
		if err != nil {
			t.Fatal(err)
		}
		if q := to.Query(); to.Host != "graphite.example" || to.User != nil || q.Get("target") != want || q.Get("from") != "-24h" {
			t.Errorf("%s: a picture is at %s", path, to)
		}
		d.hasNot(`img, [src*="graphite"]`)
	}
}

func TestSimilarNames(t *testing.T) {
	names := []string{"orders", "orders.eu", "payments", "mail", "Order"}
	for name, want := range map[string]string{
		"order":           "[Order orders orders.eu]",
		"ordres":          "[]",
		"paymnets":        "[payments]",
		"orders_v2":       "[orders Order]",
		"nothing-like-it": "[]",
		"":                "[]",
	} {
		if got := fmt.Sprint(similar(name, names)); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}
