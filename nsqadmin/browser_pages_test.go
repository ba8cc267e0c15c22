package nsqadmin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/browsertest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A browsedPage is a page with what must be on it.
type browsedPage struct {
	name, path string
	texts      []string
	status     int // 0 for 200
}

func (c *scene) pages() []browsedPage {
	return []browsedPage{
		{name: "overview", path: "/", texts: []string{"Overview", "orders", "Needs attention"}},
		{name: "topics", path: "/topics", texts: []string{"orders", "service-01.events", "legacy-import"}},
		{name: "topic", path: "/topics/orders", texts: []string{"billing", "shipping", "archive", c.node(0)}},
		{name: "topic-without-channel", path: "/topics/audit", texts: []string{"255", "There is no channel"}},
		{name: "topic-without-node", path: "/topics/legacy-import", texts: []string{"legacy-import", "loader"}},
		{name: "channel", path: "/topics/orders/shipping", texts: []string{"shipping-1", "pynsq/0.9.1"}},
		{name: "channel-without-consumer", path: "/topics/orders/archive", texts: []string{"archive", "No consumer"}},
		{name: "channel-paused", path: "/topics/payments/ledger", texts: []string{"ledger", "paused"}},
		{name: "nodes", path: "/nodes", texts: []string{c.nsqds[0].TCPAddr()[len("127.0.0.1:"):], "healthy"}},
		{name: "node", path: "/nodes/" + c.node(0), texts: []string{"orders", "billing-1", "mem_queue_size"}},
		{name: "node-failing", path: "/nodes/" + c.brokenNode(), texts: []string{"no answer"}},
		{name: "lookup", path: "/lookup", texts: []string{c.lookupds[0].HTTPAddr(), "legacy-import", "Create"}},
		{name: "counter", path: "/counter", texts: []string{"Messages finished"}},
		{name: "search", path: "/search?q=e&clients=1", texts: []string{"payments", "service-01.events"}},
		{name: "search-in-vain", path: "/search?q=nothing-like-this", texts: []string{"Nothing found"}},
		{name: "action-delete", path: "/action?do=delete_channel&topic=orders&channel=archive", texts: []string{"to confirm", "curl"}},
		{name: "action-pause", path: "/action?do=pause_topic&topic=orders", texts: []string{"Pause", "Cancel", "curl"}},
		{name: "action-durability", path: "/action?do=change_topic_durability&topic=orders&durability=fsync", texts: []string{"Change durability of topic orders?", "a power cut"}},
		{name: "not-found", path: "/topics/order", texts: []string{"Did you mean"}, status: 404},
		{name: "no-page", path: "/no/such/page", texts: []string{"404"}, status: 404},
	}
}

// brokenNode is the name in URLs of the node behind the front of openBusyScene.
func (c *scene) brokenNode() string {
	return fmt.Sprintf("127.0.0.1:%d", c.nsqds[3].Opts.BroadcastHTTPPort)
}

// Every page can be read, in light and dark, on a desk and on a phone, by eye, by
// keyboard and by a screen reader; screenshots show it.
func testEveryPage(t *testing.T, b *browsertest.Browser) {
	c, broken := openBusyScene(t)
	tab := b.Tab(t, c.origin())
	tab.Open("/nodes")
	tab.Until("four nodes answer", `document.querySelectorAll("main tbody tr").length === 4 && !document.body.innerText.includes("no answer")`)
	broken.breakDown()
	tab.UntilText("no answer")
	t.Run("each", func(t *testing.T) {
		for _, p := range c.pages() {
			t.Run(p.name, func(t *testing.T) {
				nsqtest.Parallel(t)
				tab := b.Tab(t, c.origin())
				if p.status != 0 {
					tab.Allow(fmt.Sprint(p.status))
				}
				tab.Open(p.path)
				for _, text := range p.texts {
					tab.UntilText(text)
				}
				show(t, tab, p.name)
			})
		}
	})
	tab.Open("/action?do=pause_channel&topic=payments&channel=ledger")
	tab.Click("main button", "")
	heading(tab, "done")
	show(t, tab, "action-done")
	tab.Open("/action?do=change_topic_durability&topic=orders&durability=disk")
	tab.Allow("502")
	tab.Click("main button", "Change durability of topic")
	tab.UntilText("empty both")
	show(t, tab, "action-refused")
}

// show looks at the page that is open in all lights and sizes.
func show(t *testing.T, tab *browsertest.Tab, name string) {
	t.Helper()
	for _, width := range []int64{1280, 390} {
		tab.Resize(width, 800)
		for _, theme := range []string{"light", "dark"} {
			tab.Theme(theme)
			look := tab.Looks
			if theme == "light" {
				look = tab.Faults // names are the same in the dark
			}
			if faults := look(); len(faults) > 0 {
				t.Errorf("%s, %d pixels wide, %s:\n%s", name, width, theme, strings.Join(faults, "\n"))
			}
			tab.Screenshot(fmt.Sprintf("%s-%d-%s", name, width, theme))
		}
	}
}

// The pages work without scripts: by reloading, links and forms.
func testWithoutScripts(t *testing.T, b *browsertest.Browser) {
	c := openScene(t, 2, nil)
	for i := range c.nsqds {
		c.channel(i, "alpha", "one")
		c.channel(i, "beta", "two")
		c.publish(i, "beta", 7)
	}
	c.poller.Refresh(t.Context())
	tab := b.Tab(t, c.origin())
	tab.DisableScripts()
	tab.Open("/topics")
	if tab.Text("[data-live]") == "Live" {
		t.Error("scripts run")
	}

	tab.Click("thead a", "Topic")
	tab.Until("the table is sorted by name", `document.querySelector("th[aria-sort=ascending], th[aria-sort=descending]")?.innerText === "Topic" && location.search.includes("sort=")`)
	tab.Click("main input[type=search]", "")
	tab.Type("bet\r")
	tab.Until("the table is filtered", `location.search.includes("q=bet") && location.search.includes("sort=") && document.querySelectorAll("main tbody tr").length === 1`)

	tab.Click("main tbody a", "beta")
	tab.UntilText("Channels")
	tab.Click("main tbody a", "two")
	tab.Until("the channel's page comes", `document.querySelector("h1")?.innerText === "two"`)
	tab.Click("main a.button", "Pause")
	tab.UntilText("Cancel")
	tab.Click("main button", "Pause channel")
	heading(tab, "done")
	for i := range c.nsqds {
		if !c.has(i, `"paused":true`) {
			t.Errorf("nsqd %d has no paused channel", i)
		}
	}
	tab.Click("main a.button", "Back to Channel beta/two")
	tab.UntilText("paused")
	tab.Click("main a.button", "Empty")
	tab.UntilText("to confirm")
	tab.Click("main input[name=confirm]", "")
	tab.Type("two\r")
	heading(tab, "done")
	for i := range c.nsqds {
		if c.has(i, `"depth":7`) {
			t.Errorf("nsqd %d has its messages still", i)
		}
	}
}
