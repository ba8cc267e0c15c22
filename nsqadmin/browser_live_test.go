package nsqadmin

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/browsertest"
)

// Numbers and pictures move by themselves; what the user chose stays, also over a
// reload.
func testLive(t *testing.T, b *browsertest.Browser) {
	c := openScene(t, 2, nil)
	for i := range c.nsqds {
		c.channel(i, "alpha", "one")
		c.channel(i, "beta", "two")
		c.channel(i, "gamma", "three")
	}
	c.publish(0, "beta", 5)
	c.poller.Refresh(t.Context())
	tab := b.Tab(t, c.origin())

	tab.Open("/topics")
	browsertest.Eval[bool](tab, `(window.same = true, window.rows = new Map([...document.querySelectorAll("main tbody tr")].map((tr) => [tr.dataset.key, tr])), true)`)
	tab.Click("thead a", "In channels") // the largest first
	const order = `[...document.querySelectorAll("main tbody tr")].map((tr) => tr.dataset.key).join()`
	tab.Until("the table is sorted", order+` === "beta,alpha,gamma"`)
	c.publish(1, "gamma", 17)
	tab.Until("the numbers move, and the row with them", order+` === "gamma,beta,alpha" && document.querySelector("main tbody tr").innerText.includes("17")`)
	if !browsertest.Eval[bool](tab, `same && [...rows].every(([key, tr]) => tr.isConnected && tr.dataset.key === key)`) {
		t.Error("the page was loaded, or rows were made anew")
	}
	tab.Click("main input[type=search]", "")
	tab.Type("ma")
	tab.Until("the table is filtered", order+` === "gamma"`)
	path := tab.Path()
	tab.Reload()
	tab.Until("a reload changes nothing", order+` === "gamma" && document.querySelector("main input[type=search]").value === "ma"
		&& document.querySelector("th[aria-sort=descending]").innerText === "In channels"`)
	if tab.Path() != path {
		t.Errorf("a reload led from %s to %s", path, tab.Path())
	}

	tab.Open("/topics/gamma/three")
	tab.Until("the channel is shown", `document.querySelector("svg[role=img]") !== null`)
	const lines = `[...document.querySelectorAll("svg[role=img] :is(path, polyline)")].map((e) => (e.getAttribute("d") ?? e.getAttribute("points")) + e.getAttribute("class")).join()`
	browsertest.Eval[bool](tab, `(window.same = true, window.lines = `+lines+`, true)`)
	c.publish(0, "gamma", 4000)
	tab.UntilText("4,017")
	tab.Until("the picture moves", `lines !== `+lines)
	if !browsertest.Eval[bool](tab, `same`) {
		t.Error("the page was loaded")
	}

	tab.Open("/counter")
	browsertest.Eval[bool](tab, `(window.seen = [], new MutationObserver(() => seen.push(document.querySelector("[data-counter]").innerText)).observe(document.querySelector("[data-counter]"), { childList: true, characterData: true, subtree: true }), true)`)
	c.consume("gamma", "three", consumerAs("reader", "test", 500), finishIt)
	tab.Until("the counter runs", `seen.length > 10 && seen.at(-1) === "4,017"`)
}
