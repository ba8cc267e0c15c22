package nsqadmin

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/seed893f581e/nsq/internal/browsertest"
)

// A scriptServer serves pages that are what a test says, with the script of
// nsqadmin: what that does with a page, of which nsqadmin has none to try it on.
type scriptServer struct {
	*httptest.Server

	mu    sync.Mutex
	main  func(r *http.Request) string
	broke bool // a proxy says that nsqadmin is away
	asked int  // for pages
}

func serveScript(t *testing.T, main string) *scriptServer {
	s := &scriptServer{main: func(*http.Request) string { return main }}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *scriptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/nsqadmin.js":
		http.ServeFile(w, r, "static/nsqadmin.js")
		return
	case "/favicon.ico":
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'self'")
	if s.broke {
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<h1>Bad Gateway</h1>")
		return
	}
	fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>%s</title><script type="module" src="/nsqadmin.js"></script></head>
<body><p data-live>then</p><main id="main" tabindex="-1"><h1>Page</h1>%s</main></body></html>`, html.EscapeString(r.URL.Path), s.main(r))
}

func (s *scriptServer) becomes(main string) { s.set(func(*http.Request) string { return main }) }

func (s *scriptServer) set(main func(r *http.Request) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.main = main
}

func (s *scriptServer) breaks(broke bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broke = broke
}

func (s *scriptServer) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// refresh has the page ask at once, as it does when its tab comes to the front.
const refresh = `document.dispatchEvent(new Event("visibilitychange"))`

// Changing a page in place makes it what the server said, and keeps every element
// that has a name.
func testScriptMorph(t *testing.T, b *browsertest.Browser) {
	tab := b.Tab(t, serveScript(t, "").URL)
	tab.Open("/")
	for _, c := range [][2]string{
		{"<p>a</p>", "<p>b</p>"},
		{"<p>a</p>", ""},
		{"", "<p>a</p>text<!-- c -->"},
		{`<p class="a" title="b">a</p>`, `<p title="c" lang="de">a</p>`},
		{"<ul>\n<li data-key=1>1</li>\n<li data-key=2>2</li>\n</ul>", "<ul>\n<li data-key=2>2</li>\n<li data-key=3>3</li>\n<li data-key=1>1</li>\n</ul>"},
		{"<p>a</p><table><tbody><tr id=a><td>1</td></tr></tbody></table>", "<div>!</div><p>a</p><table><tbody><tr id=b><td>1</td></tr></tbody></table>"},
		{`<svg viewBox="0 0 1 1"><path d="M0 0"/></svg>`, `<svg viewBox="0 0 2 2"><title>t</title><path d="M1 1" class="x"/></svg>`},
	} {
		got := browsertest.Eval[string](tab, `import("/nsqadmin.js").then(({ morph }) => {
			const [from, to] = [%s, %s].map((h) => Object.assign(document.createElement("div"), { innerHTML: h }));
			morph(from, to);
			return from.isEqualNode(to) ? "" : from.innerHTML;
		})`, c[0], c[1])
		if got != "" {
			t.Errorf("%s became %s, want %s", c[0], got, c[1])
		}
	}
	// And at random: lists of elements with keys and without, and of text.
	got := browsertest.Eval[string](tab, `import("/nsqadmin.js").then(({ morph }) => {
		let seed = 1;
		const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
		const list = (depth) => {
			const keys = [..."abcdefgh"].sort(() => random(3) - 1).slice(random(8));
			const e = document.createElement("div");
			for (let i = random(9); i > 0; i--) {
				if (random(3) && keys.length) e.append(Object.assign(document.createElement(random(9) ? "tr" : "p"), { id: keys.pop() }));
				else if (random(2)) e.append(random(2) ? "\n" : "word");
				else e.append(depth ? list(depth - 1) : document.createElement("hr"));
			}
			return e;
		};
		for (let i = 0; i < 2000; i++) {
			const [from, to] = [list(2), list(2)];
			const before = from.outerHTML;
			const named = new Map([...from.children].filter((c) => c.id).map((c) => [c.id + c.tagName, c]));
			morph(from, to);
			if (!from.isEqualNode(to)) return before + " became " + from.outerHTML + ", want " + to.outerHTML;
			for (const c of from.children) {
				const old = c.id && named.get(c.id + c.tagName);
				if (old && old !== c) return before + " to " + to.outerHTML + " made a new " + c.id;
			}
		}
		return "";
	})`)
	if got != "" {
		t.Error(got)
	}
}

// What the user did to a page stays when it changes.
func testScriptKeeps(t *testing.T, b *browsertest.Browser) {
	row := func(name string, n int) string {
		return fmt.Sprintf(`<tr data-key="%s"><th scope="row"><a href="/%[1]s">%[1]s</a></th><td>%d</td></tr>`, name, n)
	}
	page := func(n int, rows ...string) string {
		return fmt.Sprintf(`<form><input name="typed" value="%d"></form><details><summary>More</summary>%[1]d</details>
<p data-keep id="kept">kept %[1]d</p><table><caption>T</caption><tbody>%s</tbody></table>`, n, strings.Join(rows, "\n"))
	}
	s := serveScript(t, page(1, row("a", 1), row("b", 2), row("c", 3)))
	tab := b.Tab(t, s.URL)
	tab.Open("/")
	tab.Click("summary", "More")
	tab.Click("input", "")
	tab.Type("x")
	browsertest.Eval[bool](tab, `document.querySelector("a[href='/c']").focus(), window.same = true,
		document.querySelectorAll("tr").forEach((tr) => tr.old = true), true`)
	s.becomes(page(2, row("c", 30), row("new", 4), row("a", 1)))
	browsertest.Eval[bool](tab, refresh)
	tab.Until("the page changes", `document.querySelector("details").innerText.includes("2")`)
	for expression, want := range map[string]string{
		`document.activeElement.getAttribute("href")`:            "/c",
		`document.querySelector("details").open`:                 "true",
		`document.querySelector("input").value.replace("1", "")`: "x",
		`document.querySelector("#kept").textContent`:            "kept 1",
		`Array.from(document.querySelectorAll("tr"), (tr) => [tr.dataset.key, !!tr.old, tr.cells[1].textContent]).join(";")`: "c,true,30;new,false,4;a,true,1",
		`window.same`: "true",
	} {
		if got := browsertest.Eval[string](tab, "String("+expression+")"); got != want {
			t.Errorf("%s is %s, want %s", expression, got, want)
		}
	}
	// When what has the focus goes away, the keyboard goes on from here, not from the top.
	s.becomes(page(3, row("a", 1)))
	browsertest.Eval[bool](tab, refresh)
	tab.Until("the page changes", `document.querySelector("details").innerText.includes("3")`)
	if got := browsertest.Eval[string](tab, `document.activeElement.id`); got != "main" {
		t.Errorf("the focus is on %q, want main", got)
	}
}

// echo is a page with a table that can be sorted and filtered by its query.
func echo(r *http.Request) string {
	q := r.URL.Query()
	return fmt.Sprintf(`<form data-soft method="get"><input type="hidden" name="sort" value="%s"><input name="q" value="%s" aria-label="Filter"><button>Filter</button></form>
<p id="asked">sort=%[1]s q=%[2]s</p><a data-soft href="?sort=depth&amp;q=%[2]s">Depth</a> <a href="/other">Other</a>`,
		html.EscapeString(q.Get("sort")), html.EscapeString(q.Get("q")))
}

// Sorting and filtering change the page and its URL without loading it.
func testScriptQueries(t *testing.T, b *browsertest.Browser) {
	s := serveScript(t, "")
	s.set(echo)
	tab := b.Tab(t, s.URL)
	tab.Open("/start")
	tab.Open("/table?q=old")
	browsertest.Eval[bool](tab, `(window.same = true, window.entries = history.length, true)`)
	tab.Click("a", "Depth")
	tab.UntilText("sort=depth q=old")
	tab.Click("input[name=q]", "")
	tab.Type("a", chromedp.ModifierCtrl)
	tab.Type("wörd & 1")
	tab.UntilText("sort=depth q=wörd & 1")
	tab.Type("5" + kb.Enter)
	tab.UntilText("sort=depth q=wörd & 15")
	if got, want := tab.Path(), "/table?sort=depth&q=w%C3%B6rd+%26+15"; got != want {
		t.Errorf("the URL is %s, want %s", got, want)
	}
	if !browsertest.Eval[bool](tab, `window.same && history.length === window.entries && document.activeElement.value === "wörd & 15"`) {
		t.Error("the page was loaded, an entry of the history added, or the field lost what was typed")
	}
	tab.Reload()
	tab.UntilText("sort=depth q=wörd & 15")
	tab.Click("a", "Other")
	tab.Until("the other page comes", `location.pathname === "/other"`)
	tab.Back()
	tab.Until("the table comes back", `location.search.includes("sort=depth") && document.querySelector("#asked").innerText === "sort=depth q=wörd & 15"`)
	tab.Back()
	tab.Until("the page before comes back", `location.pathname === "/start"`)
	tab.Forward()
	tab.Until("the table comes again", `document.querySelector("#asked").innerText === "sort=depth q=wörd & 15"`)
}

// A page does not change under what the user selects, nor while nobody sees it.
func testScriptPauses(t *testing.T, b *browsertest.Browser) {
	s := serveScript(t, "<p>first</p>")
	tab := b.Tab(t, s.URL)
	tab.Open("/")
	tab.Until("the page is live", `document.querySelector("[data-live]").innerText === "Live"`)
	browsertest.Eval[bool](tab, `getSelection().selectAllChildren(document.querySelector("main p")), true`)
	s.becomes("<p>second</p>")
	browsertest.Eval[bool](tab, refresh)
	tab.Until("it says why it pauses", `document.querySelector("[data-live]").innerText.includes("selected")`)
	asked := s.requests()
	if got := tab.Text("main p"); got != "first" || browsertest.Eval[string](tab, `getSelection().toString()`) != "first" {
		t.Errorf("the selected text became %q", got)
	}
	browsertest.Eval[bool](tab, `getSelection().empty(), true`)
	tab.UntilText("second")
	if s.requests() == asked {
		t.Error("the page changed without a question")
	}

	browsertest.Eval[bool](tab, `Object.defineProperty(document, "hidden", { value: true, configurable: true }), `+refresh)
	s.becomes("<p>third</p>")
	tab.Until("time passes", `new Promise((done) => setTimeout(done, 2500, true))`) // more than the interval
	if got := tab.Text("main p"); got != "second" {
		t.Errorf("while nobody sees it the page became %q", got)
	}
	browsertest.Eval[bool](tab, `delete document.hidden, `+refresh)
	tab.UntilText("third")
}

// A page says that nsqadmin is away, keeps what it shows, and goes on by itself.
func testScriptAway(t *testing.T, b *browsertest.Browser) {
	s := serveScript(t, "<p>first</p>")
	tab := b.Tab(t, s.URL)
	tab.Allow("502")
	tab.Open("/")
	browsertest.Eval[bool](tab, `(window.said = [], new MutationObserver((list) => list.forEach((m) => m.type === "childList" && said.push(m.target.textContent)))
		.observe(document.querySelector("[data-live]"), { childList: true }), true)`)
	s.breaks(true)
	browsertest.Eval[bool](tab, refresh)
	tab.UntilText("nsqadmin answers with status 502; trying again")
	tab.UntilText("first")
	s.becomes("<p>second</p>")
	s.breaks(false)
	tab.UntilText("second")
	tab.Until("it says that it is live again", `document.querySelector("[data-live]").innerText === "Live"`)
	if said := browsertest.Eval[[]string](tab, `said`); len(said) != 2 {
		t.Errorf("a screen reader reads out %q, want two sentences", said)
	}
}

// Times are the reader's, commands can be copied, numbers run, and a page without
// data-live stays as it is.
func testScriptExtras(t *testing.T, b *browsertest.Browser) {
	s := serveScript(t, `<p><time id="at" datetime="2020-01-02T03:04:05Z">2020-01-02 03:04:05 UTC</time> <time id="ago" datetime="2020-01-02T03:04:05Z">2 h ago</time></p>
<pre data-copy="the command">curl -X POST 'http://x/?a=1&amp;b=2'</pre><p id="n" data-counter>1,000</p>`)
	tab := b.Tab(t, s.URL)
	tab.GrantClipboard()
	tab.Open("/")
	tab.Until("the times are of Tokyo", `document.querySelector("#at").innerText === "2020-01-02 12:04:05" && document.querySelector("#ago").innerText === "2 h ago"
		&& document.querySelector("#ago").title.includes("GMT+9")`)
	tab.Click("button[aria-label='Copy the command']", "")
	tab.Until("the command is in the clipboard", `navigator.clipboard.readText().then((text) => text === "curl -X POST 'http://x/?a=1&b=2'")`)
	tab.Until("the button says so", `document.querySelector("button").innerText === "Copied"`)

	s.becomes(`<p id="n" data-counter>3,000</p>`)
	browsertest.Eval[bool](tab, `window.seen = new Set(), new MutationObserver(() => seen.add(document.querySelector("#n").innerText)).observe(document.querySelector("#n"), { childList: true }), `+refresh)
	tab.Until("the number ends where it must", `document.querySelector("#n").innerText === "3,000"`)
	seen := browsertest.Eval[[]string](tab, `[...seen]`)
	if len(seen) < 5 || seen[0] < "1," || !slices.IsSorted(seen) {
		t.Errorf("the number ran over %q", seen)
	}
	if n := browsertest.Eval[int](tab, `document.querySelectorAll("time, pre, button").length`); n != 0 {
		t.Errorf("%d elements of the page before are left", n)
	}
}

// What the tests of pages rely on finds what is wrong, and nothing else.
func testChecks(t *testing.T, b *browsertest.Browser) {
	s := serveScript(t, `<table><caption>Good</caption><thead><tr><th scope="col" aria-sort="none"><a href="?s" data-soft>A</a></th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>`)
	tab := b.Tab(t, s.URL)
	tab.Open("/")
	if faults := tab.Faults(); len(faults) > 0 {
		t.Errorf("a good page has faults: %q", faults)
	}
	s.becomes(`<h3>Too deep</h3><a href="/x"></a><button></button><svg role="img" width="9" height="9"></svg><a href="http://198.51.100.1/">away</a>
<font color="#999">pale</font><table><tbody><tr><td>1</td></tr></tbody></table><p id="a">a</p><p id="a">b</p><hr width="5000">
<table><caption>T</caption><thead><tr><th><a href="?s" data-soft>A</a></th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table><input>`)
	tab.Reload()
	faults := strings.Join(tab.Faults(), "\n")
	for _, want := range []string{
		"skips a level", "a link without a name", "a button without a name", "image without a name", "another server", "contrast of text is 2.8",
		"no caption", "no heads", "the id a", "pixels wide", "no aria-sort", "does not say so", "a row has 2 cells", "a textbox without a name",
	} {
		if !strings.Contains(faults, want) {
			t.Errorf("nothing is said of %q:\n%s", want, faults)
		}
	}
	for _, expression := range []string{
		`console.log("a word")`,
		`setTimeout(() => { throw new Error("a mistake") })`,
		`fetch("/missing.css", {mode: "no-cors"})`,
		`fetch("http://198.51.100.1/font").catch(() => {})`,
		`document.body.append(Object.assign(document.createElement("img"), {src: "http://fonts.example/a.png"}))`,
	} {
		before := len(tab.Complaints())
		browsertest.Eval[bool](tab, `(`+expression+`, true)`)
		if strings.Contains(expression, "missing") {
			continue
		}
		tab.Await(fmt.Sprintf("a complaint about %s", expression), func() bool { return len(tab.Complaints()) > before })
	}
	browsertest.Eval[bool](tab, `(location.href = "http://elsewhere.example/font", true)`)
	tab.Await("the request to another machine is seen", func() bool { return slices.Contains(b.Outside(), "GET http://elsewhere.example/font") })
	tab.Allow("") // all of them were wanted
}
