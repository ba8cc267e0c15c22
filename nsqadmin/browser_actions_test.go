package nsqadmin

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/seed893f581e/nsq/internal/browsertest"
	"github.com/seed893f581e/nsq/nsqd"
)

// heading waits for a page with a heading.
func heading(tab *browsertest.Tab, text string) {
	tab.Until("the heading is "+text, `document.querySelector("h1")?.innerText.includes(%s)`, text)
}

// Everything that can be done to topics and channels is done through the pages,
// and the daemons have it then.
func testActions(t *testing.T, b *browsertest.Browser) {
	c := openScene(t, 2, nil)
	tab := b.Tab(t, c.origin())
	tab.Open("/lookup")

	tab.Click("input[name=topic]", "")
	tab.Type("fresh" + kb.Tab + "reader" + kb.Tab + "disk")
	tab.Click("main button", "Create")
	heading(tab, "fresh/reader?")
	tab.UntilText("with durability disk")
	tab.Click("main button", "Create channel")
	heading(tab, "done")
	for i := range c.nsqds {
		if !c.has(i, `"durability":"disk"`) {
			t.Errorf("nsqd %d has no durable topic", i)
		}
	}
	c.poller.Refresh(t.Context())
	tab.Open("/topics/fresh")
	tab.UntilText("reader")

	tab.Click("main .head a.button", "Change durability")
	heading(tab, "Change durability of topic fresh?")
	tab.Until("the stricter one is suggested", `document.querySelector("select[name=durability]").value === "fsync"`)
	tab.Click("main button", "Change durability of topic")
	heading(tab, "done")
	for i := range c.nsqds {
		if !c.has(i, `"durability":"fsync"`) {
			t.Errorf("after the change nsqd %d has another durability", i)
		}
	}
	tab.Click("main a.button", "Back to Topic fresh")
	tab.UntilText("durability fsync")
	for i := range c.nsqds {
		c.channel(i, "fresh", "reader")
		c.publish(i, "fresh", 21)
	}

	tab.Open("/topics/fresh/reader")
	tab.Until("the messages are counted", `[...document.querySelectorAll("dt")].find((e) => e.innerText === "Depth")?.nextElementSibling.innerText.startsWith("42")`)
	for _, a := range []struct{ verb, button, typed, check string }{
		{"Pause", "Pause channel", "", `"paused":true`},
		{"Unpause", "Unpause channel", "", `"paused":false`},
		{"Empty", "Empty channel", "reader", `"depth":0`},
		{"Delete", "Delete channel", "", `"channels":[]`},
	} {
		tab.Click("main .head a.button", a.verb)
		heading(tab, a.verb+" channel fresh/reader?")
		if a.typed != "" {
			// What is typed wrong is refused, and nothing is done.
			tab.Click("input[name=confirm]", "")
			tab.Type("raeder" + kb.Enter)
			tab.Allow("400")
			tab.UntilText("Nothing was done")
			tab.Click("input[name=confirm]", "")
			tab.Type("a", chromedp.ModifierCtrl)
			tab.Type(a.typed)
		}
		tab.Click("main button", a.button)
		heading(tab, "done")
		for i := range c.nsqds {
			if !c.has(i, a.check) {
				t.Errorf("after %s nsqd %d has no %s", a.verb, i, a.check)
			}
			tab.UntilText(c.node(i))
		}
		if a.verb != "Delete" {
			tab.Click("main a.button", "Back to Channel fresh/reader")
			tab.Until("the channel's page comes", `document.querySelector("h1")?.innerText === "reader"`)
		}
	}

	// A tombstone takes the topic from one node.
	for i := range c.nsqds {
		c.publish(i, "fresh", 1)
	}
	c.poller.Refresh(t.Context())
	tab.Open("/topics/fresh")
	tab.Click(fmt.Sprintf("tr[data-key=%q] a[href*=tombstone]", c.node(1)), "")
	heading(tab, "fresh on "+c.node(1))
	if browsertest.Eval[bool](tab, `document.querySelector("input[name=confirm]") !== null`) {
		tab.Click("input[name=confirm]", "")
		tab.Type("fresh")
	}
	tab.Click("main button", "")
	heading(tab, "done")
	if c.has(1, `"fresh"`) || !c.has(0, `"fresh"`) {
		t.Error("the topic is not where it should be after the tombstone")
	}

	tab.Open("/action?do=delete_topic&topic=fresh")
	tab.Click("input[name=confirm]", "")
	tab.Type("fresh" + kb.Enter)
	heading(tab, "done")
	if c.has(0, `"fresh"`) || strings.Contains(c.ask("GET", c.lookupds[0].HTTPURL()+"/topics", ""), "fresh") {
		t.Error("the topic is there still after it was deleted")
	}
}

// Who is no admin sees no buttons and is refused; who is one, as the proxy says,
// may act.
func testAdmins(t *testing.T, b *browsertest.Browser) {
	c := openScene(t, 1, func(opts *Options) { opts.AdminUsers = []string{"root"} })
	c.channel(0, "guarded", "reader")
	c.poller.Refresh(t.Context())
	const action = "/action?do=pause_channel&topic=guarded&channel=reader"

	guest := b.Tab(t, c.origin())
	for _, path := range []string{"/", "/topics", "/topics/guarded", "/topics/guarded/reader", "/nodes", "/nodes/" + c.node(0), "/lookup"} {
		guest.Open(path)
		if n := browsertest.Eval[int](guest, `document.querySelectorAll("a[href*='/action'], form[method=post], form[action$='/action']").length`); n != 0 {
			t.Errorf("%s shows %d actions to somebody who may not act", path, n)
		}
	}
	guest.Allow("403")
	guest.Open(action)
	guest.UntilText("403")
	// A form made by hand fares no better.
	guest.Open("/topics")
	browsertest.Eval[bool](guest, `(() => {
		const form = Object.assign(document.createElement("form"), { method: "post", action: "/action" });
		for (const [name, value] of Object.entries({ do: "pause_channel", topic: "guarded", channel: "reader" })) form.append(Object.assign(document.createElement("input"), { name, value }));
		document.body.append(form);
		form.submit();
		return true;
	})()`)
	guest.UntilText("403")
	if c.has(0, `"paused":true`) {
		t.Error("somebody who may not act has paused the channel")
	}

	admin := b.Tab(t, c.origin())
	admin.Header("X-Forwarded-User", "root")
	admin.Open("/topics/guarded/reader")
	admin.Click("main a.button", "Pause")
	heading(admin, "Pause channel")
	admin.Click("main button", "Pause channel")
	heading(admin, "done")
	if !c.has(0, `"paused":true`) {
		t.Error("the admin has not paused the channel")
	}
}

// Below a base path and behind a proxy everything is where links say.
func testBehindProxy(t *testing.T, b *browsertest.Browser) {
	c := openScene(t, 1, func(opts *Options) { opts.BasePath = "/tools/nsq" })
	c.channel(0, "one", "reader")
	c.channel(0, "two", "reader")
	c.poller.Refresh(t.Context())
	target, err := url.Parse(c.origin())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	t.Cleanup(proxy.Close)

	tab := b.Tab(t, proxy.URL)
	tab.Open("/tools/nsq")
	tab.Until("the script runs", `document.querySelector("[data-live]").innerText === "Live"`)
	for _, page := range []string{"Topics", "Nodes", "Lookup", "Counter"} {
		tab.Click("header nav a", page)
		tab.Until("the page comes", `document.querySelector("header nav a[aria-current]")?.innerText === %s`, page)
		if path := tab.Path(); !strings.HasPrefix(path, "/tools/nsq/") {
			t.Errorf("%s is at %s", page, path)
		}
	}
	tab.Open("/tools/nsq/topics")
	tab.Click("main input[type=search]", "")
	tab.Type("tw")
	tab.Until("the table is filtered", `location.search === "?q=tw" && document.querySelectorAll("main tbody tr").length === 1`)
	c.publish(0, "two", 9)
	tab.Until("the numbers move", `document.querySelector("main tbody tr").innerText.includes("9")`)
	tab.Click("main tbody a", "two")
	heading(tab, "two")
	tab.Click("main .head a.button", "Pause")
	tab.Click("main button", "Pause topic")
	heading(tab, "done")
	if !c.has(0, `"paused":true`) {
		t.Error("the topic is not paused")
	}
}

// A keyboard is enough.
func testKeyboard(t *testing.T, b *browsertest.Browser) {
	c := openScene(t, 1, nil)
	c.channel(0, "alpha", "one")
	c.poller.Refresh(t.Context())
	tab := b.Tab(t, c.origin())
	tab.Open("/topics")

	tab.Type(kb.Tab)
	if got := browsertest.Eval[string](tab, `(() => {
		const e = document.activeElement, box = e.getBoundingClientRect();
		return e.getAttribute("href") + (box.left >= 0 && box.top >= 0 && box.width > 0 ? " is seen" : " is not seen");
	})()`); got != "#main is seen" {
		t.Errorf("the first stop of the Tab key is %s, want the link to #main", got)
	}
	tab.Type(kb.Enter)
	tab.Type(kb.Tab)
	if !browsertest.Eval[bool](tab, `document.querySelector("main").contains(document.activeElement)`) {
		t.Error("behind the link to the content the Tab key is not in it")
	}

	tab.Open("/topics")
	tabTo(t, tab, "alpha")
	tab.Type(kb.Enter)
	heading(tab, "alpha")
	tabTo(t, tab, "one")
	tab.Type(kb.Enter)
	tab.Until("the channel's page comes", `document.querySelector("h1")?.innerText === "one"`)
	tabTo(t, tab, "Pause")
	tab.Type(kb.Enter)
	heading(tab, "Pause channel")
	tabTo(t, tab, "Pause channel")
	tab.Type(kb.Enter)
	heading(tab, "done")
	if !c.has(0, `"paused":true`) {
		t.Error("the channel is not paused")
	}
	tabTo(t, tab, "Back to Channel alpha/one")
	tab.Type(kb.Enter)
	tab.UntilText("paused")
}

// tabTo presses the Tab key until what has a text has the focus. On the way every
// stop must be seen to be one, and come behind the one before.
func tabTo(t *testing.T, tab *browsertest.Tab, text string) {
	t.Helper()
	browsertest.Eval[bool](tab, `(window.before = null, true)`)
	for range 60 {
		tab.Type(kb.Tab)
		stop := browsertest.Eval[struct{ Text, Fault string }](tab, `(() => {
			const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
			const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
			let fault = "";
			if (e === document.body) fault = "is nowhere";
			else if (!outlined) fault = "has no outline";
			else if (box.bottom < 0 || box.top > innerHeight) fault = "is out of sight";
			else if (before?.isConnected && !(before.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) fault = "comes before the one before";
			before = e;
			return { Text: (e.innerText || e.ariaLabel || "").trim(), Fault: fault };
		})()`)
		if stop.Fault != "" {
			t.Errorf("on the way to %q the focus on %q %s", text, stop.Text, stop.Fault)
		}
		if stop.Text == text {
			return
		}
	}
	t.Fatalf("the Tab key does not come to %q", text)
}

// A node that does not answer is shown as such, and the rest goes on.
func testFailingNode(t *testing.T, b *browsertest.Browser) {
	broken := newSceneFront(t)
	c := newScene(t, 1, 2, func(i int, opts *nsqd.Options) {
		if i == 1 {
			opts.BroadcastHTTPPort = broken.port(t)
		}
	})
	broken.before(c.nsqds[1])
	for i := range c.nsqds {
		c.channel(i, "alpha", "one")
		c.publish(i, "alpha", 10)
	}
	c.testAdmin = start(t, testOptions(t, c.lookupds...))
	name := fmt.Sprintf("127.0.0.1:%d", c.nsqds[1].Opts.BroadcastHTTPPort)

	front, nodes, channel := b.Tab(t, c.origin()), b.Tab(t, c.origin()), b.Tab(t, c.origin())
	front.Open("/")
	nodes.Open("/nodes")
	channel.Open("/topics/alpha/one")
	nodes.Until("both answer", `document.querySelectorAll("main tbody tr").length === 2 && !document.body.innerText.includes("no answer")`)
	broken.breakDown()
	front.UntilText(name + " has not answered")
	nodes.Until("the row of the node says so", `document.querySelector("tr[data-key=" + CSS.escape(%s) + "]")?.innerText.includes("no answer")`, name)
	c.publish(0, "alpha", 5)
	channel.Until("the channel's depth moves on", `document.querySelector("tr[data-key=" + CSS.escape(%s) + "]")?.innerText.includes("15")`, c.node(0))
	channel.UntilText("no answer")

	// What is done is done where it can be; the result says where it was not.
	channel.Click("main .head a.button", "Pause")
	channel.UntilText("does not answer")
	channel.Click("main button", "Pause channel")
	heading(channel, "partly done")
	channel.UntilText("failed")
	if !c.has(0, `"paused":true`) {
		t.Error("the channel is not paused where that could be done")
	}
}
