package nsqadmin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

const orphansTable = "Topics without producers, and channels that no node has"

func TestLookupPage(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "orders", "mail")
	for _, path := range []string{"/channel/create?topic=orders&channel=unused", "/channel/create?topic=old&channel=c", "/topic/create?topic=left-behind%23ephemeral"} {
		if resp, err := http.Post(c.lookupd.HTTPURL()+path, "", nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(path, err)
		}
	}
	d := c.eventually("what nobody produces is shown", "/lookup", func(d *document) bool {
		return d.Find("table").Length() == 2 && slices.Equal(d.column(orphansTable, "Name"), []string{"left-behind#ephemeral", "old", "orders/unused"})
	})
	d.wantRow("The nsqlookupds that are asked", c.lookupd.HTTPAddr(), "State", "answers", "Nodes", "1", "Topics", "3")
	d.wantRow(orphansTable, "old", "Kind", "topic without a producer", "Channels", "c", "Known to", c.lookupd.HTTPAddr())
	d.wantRow(orphansTable, "orders/unused", "Kind", "channel that no node has")
	for _, name := range d.column(orphansTable, "Name") {
		row := d.table(orphansTable).Find("tbody tr").FilterFunction(func(_ int, s *goquery.Selection) bool { return text(s.Find("th")) == name })
		if status, done := c.confirm(row.Find("td a").AttrOr("href", ""), ""); status != http.StatusOK || !strings.HasSuffix(text(done.Find("h1")), ": done") {
			t.Errorf("delete %s: %d %s", name, status, text(done.Find("main")))
		}
	}
	c.eventually("nothing is left", "/lookup", func(d *document) bool {
		return strings.Contains(text(d.Find("main")), "Every topic and channel that is registered is on a node.")
	})

	// The form asks for confirmation, as everything else.
	form := d.Find(`form[action="/action"]`)
	values := url.Values{"do": {form.Find("input[name=do]").AttrOr("value", "")}, "topic": {"new"}, "channel": {"c#ephemeral"}}
	if status, done := c.confirm("/action?"+values.Encode(), ""); status != http.StatusOK {
		t.Errorf("create: %d %s", status, text(done.Find("main")))
	}
	if l := c.view().Lookupds[0]; !slices.Equal(l.Topics["new"], []string{"c#ephemeral"}) {
		t.Errorf("the nsqlookupd has %v", l.Topics)
	}
}

func TestLookupPageOfSilentLookupds(t *testing.T) {
	c := newConsole(t, 1, nil)
	dead := nsqtest.StartLookupd(t, nil)
	c.lookupds.set([]string{c.lookupd.HTTPAddr(), dead.HTTPAddr()})
	c.view()
	dead.Stop()
	d := c.eventually("the nsqlookupd does not answer", "/lookup", func(d *document) bool {
		return strings.HasPrefix(d.row("The nsqlookupds that are asked", dead.HTTPAddr())["State"], "no answer")
	})
	d.wantRow("The nsqlookupds that are asked", c.lookupd.HTTPAddr(), "State", "answers")
	// Whether the node is registered there is not known, which is not its fault.
	c.open(nodePath(c.address(0))).hasNot(".banner.problem:not(details)")
}

func TestLookupPageWithoutLookupds(t *testing.T) {
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{nsqtest.Start(t, nil).RealHTTPAddr().String()}
	c := &console{testAdmin: start(t, opts)}
	c.view()
	d := c.open("/lookup")
	d.has(".banner.info", "it asks the nsqd directly, and no nsqlookupd")
	d.hasNot("table")
	if status, done := c.confirm("/action?do=create&topic=new&channel=c", ""); status != http.StatusOK || !strings.HasSuffix(text(done.Find("h1")), ": done") {
		t.Errorf("create: %d %s", status, text(done.Find("main")))
	}
	if got := c.view().Topics; !slices.Equal(got, []string{"new"}) {
		t.Errorf("topics %q", got)
	}
}

func TestCounterPage(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.open("/counter").has(".big", "0")
	c.create(0, "orders", "mail")
	c.create(0, "orders", "archive")
	c.consume(t, "orders", "mail", nil, finish, 0)
	c.publish(0, "orders", 1234)
	d := c.eventually("what is finished is counted", "/counter", func(d *document) bool { return text(d.Find("[data-counter]")) == "1,234" })
	d.has(".sub", "1,234 published in all")
	d.has(".sub", "finished by consumers")
	if d.Find("figure.chart").Length() != 1 {
		t.Error("no chart")
	}
}

func TestSearchPage(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "mail", "orders")
	c.create(0, "orders", "mail")
	c.consume(t, "orders", "mail", nil, finish, 0)
	c.open("/search").has(".blank", "Nothing to search for")
	c.open("/search?q=%20").has(".blank", "Nothing to search for")
	d := c.eventually("topics are found", "/search?q=ORDERS", func(d *document) bool { return d.Find("tbody tr").Length() == 3 })
	var got []string
	for _, a := range d.Find("tbody th a").EachIter() {
		got = append(got, a.AttrOr("href", ""))
	}
	if want := []string{"/topics/orders", "/topics/mail/orders", "/topics/orders/mail"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if got := d.Find("header input[name=q]").AttrOr("value", ""); got != "ORDERS" {
		t.Errorf("the field has %q", got)
	}
	c.publish(0, "mail", 3) // which wait in the channel
	c.eventually("the messages are known", "/search?q=mail", func(d *document) bool {
		return strings.Contains(text(d.Find("tbody tr").First()), "3 messages waiting, 1 channel, on 1 node")
	})
	c.open("/search?q="+url.QueryEscape(c.address(0))).has("tbody td", "node")
	c.open("/search?q="+url.QueryEscape(c.lookupd.HTTPAddr())).has("tbody td", "nsqlookupd")
	c.open("/search?q=go-nsq").has(".blank", "Nothing found")
	d = c.eventually("the consumer is found", "/search?q=go-nsq&clients=1", func(d *document) bool { return d.Find("tbody tr").Length() == 1 })
	d.has("tbody td", "consumes orders/mail on "+c.address(0))
	c.open("/search?q=%22%3E%3Cscript%3E").has("h1", `Search for “"><script>”`)

	c.nsqds[0].Stop()
	c.open("/search?q=go-nsq&clients=1").has(".banner.warning", c.address(0)+") did not answer")
}
