package nsqadmin

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
	"github.com/seed893f581e/nsq/nsqd"
)

const nodesTable = "Nodes, those that need attention first"

// nodePath is the path of the page of a node.
func nodePath(address string) string { return "/nodes/" + url.PathEscape(address) }

// A hung daemon accepts requests and answers none, until the end of the test.
func startHung(t *testing.T) (address string) {
	t.Helper()
	end := make(chan struct{})
	daemon := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		close(end)
		daemon.Close()
	})
	return daemon.Listener.Addr().String()
}

// deadAddress is one at which nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNodesPage(t *testing.T) {
	c := newConsole(t, 2, func(o *nsqd.Options) { o.TopologyRegion, o.TopologyZone = "eu", "eu-a" })
	c.create(0, "orders", "mail")
	c.publish(0, "orders", 7)
	name := func(i int) string { return c.nsqds[i].RealHTTPAddr().String() }
	d := c.eventually("the messages are shown", "/nodes", func(d *document) bool { return d.tile("Depth") == "7 messages that wait" })
	if got := d.tile("Nodes"); got != "2 all answer" {
		t.Errorf("nodes: %q", got)
	}
	row := d.Find(`tr[data-key="` + name(0) + `"]`)
	for _, want := range []string{"TCP " + fmt.Sprint(c.nsqds[0].RealTCPAddr().(*net.TCPAddr).Port), "healthy", "answers in", "eu, eu-a", "1 of 1", "7"} {
		if !strings.Contains(text(row), want) {
			t.Errorf("the row says %q, not %q", text(row), want)
		}
	}
	if got := row.Find("th a").AttrOr("href", ""); got != nodePath(name(0)) {
		t.Errorf("a node links to %q", got)
	}
	for _, th := range d.table(nodesTable).Find("thead th").EachIter() {
		if th.AttrOr("title", "") == "" {
			t.Errorf("column %q is not explained", text(th))
		}
	}
	sorted := c.open(d.link("thead a", "Depth"))
	if got := sorted.table(nodesTable).Find("tbody tr").First().AttrOr("data-key", ""); got != name(0) {
		t.Errorf("the node with the most messages is not on top, but %s", got)
	}
	c.open("/nodes?q=nothing-like-it").has(".blank", "No node matches")

	// One that is gone stays, on top, and says why.
	c.nsqds[1].Stop()
	d = c.eventually("the node that stopped does not answer", "/nodes", func(d *document) bool {
		return strings.Contains(d.tile("Nodes"), "1 not answering or missing")
	})
	top := d.table(nodesTable).Find("tbody tr").First()
	if top.AttrOr("data-key", "") != name(1) || !strings.Contains(text(top), "refused") || !top.HasClass("off") {
		t.Errorf("on top is %q", text(top))
	}
	c.openStatus(http.StatusNotFound, nodePath("127.0.0.1:1"))
}

func TestNodesPageWithoutNodes(t *testing.T) {
	c := newConsole(t, 0, nil)
	c.open("/nodes").has(".blank", "No nsqd is registered with the nsqlookupd")
}

// A node that is registered at one of two nsqlookupds says at which it is not.
func TestNodeThatIsNotRegisteredEverywhere(t *testing.T) {
	other := nsqtest.StartLookupd(t, nil)
	c := newConsole(t, 1, nil)
	c.lookupds.set([]string{c.lookupd.HTTPAddr(), other.HTTPAddr()})
	d := c.eventually("the other nsqlookupd is asked", "/nodes", func(d *document) bool {
		return strings.Contains(text(d.table(nodesTable)), "1 of 2")
	})
	d.has("tbody td", "It is not registered with nsqlookupd "+other.HTTPAddr())
	d = c.open(nodePath(c.address(0)))
	d.has("dd", "registered from 127.0.0.1:")
	d.has("dd", "not registered")
	d.has(".banner.warning", "Consumers that ask there do not find it.")
}

func TestNodePage(t *testing.T) {
	c := newConsole(t, 1, func(o *nsqd.Options) { o.MsgTimeout = 42 * time.Second })
	path := nodePath(c.address(0))
	c.open(path).has("section", "There is no topic on this node.")
	c.create(0, "orders", "mail")
	c.tell(0, "/channel/pause", "", "orders", "mail")
	c.consume(t, "orders", "mail", nil, finish, 0)
	p, err := nsq.NewProducer(c.nsqds[0].TCPAddr(), nsq.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	p.SetLoggerLevel(nsq.LogLevelMax)
	defer p.Stop()
	for range 3 {
		if err := p.Publish("orders", []byte("message")); err != nil {
			t.Fatal(err)
		}
	}
	const topics, producers, consumers = "Topics and their channels on this node", "Connections that have published to this node", "Connections that are subscribed on this node"
	d := c.eventually("messages and clients are shown", path, func(d *document) bool {
		return d.Find("table").Length() == 3 && d.row(topics, "mail")["Depth"] == "3" && d.tile("Depth") == "3 messages that wait" && strings.HasPrefix(d.tile("Clients"), "1 + 1")
	})
	d.wantRow(topics, "mail", "Depth", "3", "In flight", "0", "Messages", "3", "Consumers", "1")
	d.has("tbody th", "mail paused")
	if got := d.column(producers, "Publishes to"); len(got) != 1 || got[0] != "orders 3" {
		t.Errorf("producers: %q", got)
	}
	if got := d.column(consumers, "Consumes"); len(got) != 1 || got[0] != "orders/mail" {
		t.Errorf("consumers: %q", got)
	}
	if got := d.column(consumers, "Program")[0]; !strings.HasPrefix(got, "go-nsq/") {
		t.Errorf("a consumer is %q", got)
	}
	settings := map[string]string{}
	for _, dt := range d.Find(".props dt").EachIter() {
		settings[text(dt)] = text(dt.Next())
	}
	for key, want := range map[string]string{"msg_timeout": "42s", "tls_cert": "empty", "mem_queue_size": "10000", "log_level": "info", "Health": "OK"} {
		if settings[key] != want {
			t.Errorf("%s is %q, want %q", key, settings[key], want)
		}
	}
	if !strings.HasPrefix(settings["Started"], time.Now().Format("2006-")) || settings["Heap in use"] == "" {
		t.Errorf("started %q, heap %q", settings["Started"], settings["Heap in use"])
	}
	if n := d.Find("figure.chart").Length(); n != 3 {
		t.Errorf("%d charts", n)
	}
	tombstone := action{Name: tombstoneTopic, Topic: "orders", Node: c.address(0)}
	if got, want := d.link("tbody a", "Tombstone"), actionLink(tombstone); got != want {
		t.Errorf("the tombstone is at %s, want %s", got, want)
	}
	for _, q := range []string{"?q=none", "?p-q=none", "?c-q=none"} {
		if got := c.open(path + q).Find("table").Length(); got != 2 {
			t.Errorf("with filter %s there are %d tables", q, got)
		}
	}
	c.nsqds[0].StartDrain()
	c.eventually("it is shown that the node drains", path, func(d *document) bool {
		return strings.HasPrefix(text(d.Find(".props dd .badge")), "drain")
	})
}

// A node that hangs and one that is dead have pages that say so, at once.
func TestNodePagesOfSilentNodes(t *testing.T) {
	opts := testOptions(t)
	hung, dead := startHung(t), deadAddress(t)
	real := nsqtest.Start(t, nil)
	opts.NSQDHTTPAddresses = []string{hung, dead, real.RealHTTPAddr().String()}
	opts.HTTPClientRequestTimeout = 300 * time.Millisecond
	c := &console{testAdmin: start(t, opts)}
	c.eventually("who is asked in vain is known", "/nodes", func(d *document) bool { return strings.Contains(d.tile("Nodes"), "2 not answering") })
	for _, address := range []string{hung, dead} {
		began := time.Now()
		d := c.open(nodePath(address))
		if took := time.Since(began); took > 2*askTimeout {
			t.Errorf("the page of %s took %v", address, took)
		}
		d.has(".banner.problem", "It has not answered")
		d.has("#silent", "1 of 3 daemons does not answer") // the other
		d.has("section", "A node that does not answer does not tell its settings.")
	}
	d := c.open("/nodes")
	if strings.Contains(text(d.Find("table")), "nsqlookupd") {
		t.Error("nodes are not registered, though there is nothing to register with")
	}
	c.open(nodePath(real.RealHTTPAddr().String())).has("dt", "msg_timeout")
}

func TestNodePageOfIPv6Node(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6: ", err)
	} else {
		l.Close()
	}
	c := newConsole(t, 1, func(o *nsqd.Options) {
		o.TCPAddress, o.HTTPAddress, o.BroadcastAddress = "[::1]:0", "[::1]:0", "::1"
	})
	c.publish(0, "orders", 1)
	d := c.eventually("the topic is shown", nodePath(c.address(0)), func(d *document) bool { return d.tile("Topics") == "1 0 channels" })
	d.has("dd", "::1, TCP")
	link := d.link("tbody a", "Tombstone")
	c.open(link).has("h1", "Tombstone topic orders on "+c.address(0)+"?")
	_, done := c.post("/action", url.Values{"do": {tombstoneTopic}, "topic": {"orders"}, "node": {c.address(0)}, "confirm": {"orders"}})
	done.has("h1", "done")
	c.eventually("the topic is gone", nodePath(c.address(0)), func(d *document) bool { return d.tile("Topics") == "0 0 channels" })
}
