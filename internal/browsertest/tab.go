package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// patience is how long a tab waits for what must happen.
const patience = nsqtest.Patience

// A Tab is a window of its own, with storage of its own. At its end it fails the
// test for everything that was said on its console, every request that failed,
// and every request to another server than its own, unless that was allowed.
type Tab struct {
	t      *testing.T
	ctx    context.Context
	origin string

	mu         sync.Mutex // complaints, allowed
	complaints []string
	allowed    []string
}

// Tab opens a tab for pages of a server, whose URL has no slash at its end.
func (b *Browser) Tab(t *testing.T, origin string) *Tab {
	t.Helper()
	tab := &Tab{t: t, origin: origin}
	ctx, end := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(tab.listen))
	tab.ctx = ctx
	t.Cleanup(end)
	t.Cleanup(tab.complain)
	tab.do(call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}))
	tab.Resize(1280, 800)
	return tab
}

// listen notes what no page may cause.
func (tab *Tab) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		text := "console." + string(e.Type)
		for _, a := range e.Args {
			text += " " + string(a.Value) + a.Description
		}
		tab.note(text)
	case *runtime.EventExceptionThrown:
		tab.note("exception: " + (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *log.EventEntryAdded:
		if strings.HasPrefix(e.Entry.Text, "Autofocus processing was blocked") {
			return // the user was faster, as a test is
		}
		tab.note(fmt.Sprintf("console: %s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		if own(e.Request.URL, tab.origin) {
			return
		}
		tab.note("request to another server: " + e.Request.URL)
	case *network.EventLoadingFailed:
		if !e.Canceled {
			tab.note("failed request: " + e.ErrorText)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			tab.note(fmt.Sprintf("status %d: %s", e.Response.Status, e.Response.URL))
		}
	}
}

// own reports whether a URL leads to the server of a tab.
func own(address, origin string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	o, err := url.Parse(origin)
	return err == nil && u.Scheme == o.Scheme && u.Host == o.Host
}

func (tab *Tab) note(complaint string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if !slices.Contains(tab.complaints, complaint) {
		tab.complaints = append(tab.complaints, complaint)
	}
}

// Allow lets complaints with a text pass: those that the test is about.
func (tab *Tab) Allow(texts ...string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.allowed = append(tab.allowed, texts...)
}

// Complaints returns what was complained about so far and is not allowed.
func (tab *Tab) Complaints() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(tab.complaints), func(c string) bool {
		return slices.ContainsFunc(tab.allowed, func(a string) bool { return strings.Contains(c, a) })
	})
}

func (tab *Tab) complain() {
	for _, c := range tab.Complaints() {
		tab.t.Errorf("%s: %s", tab.origin, c)
	}
}

// call makes an action of a command of the browser.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func (tab *Tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, steps...); err != nil {
		tab.t.Fatalf("%s: %v", tab.origin, err)
	}
}

func try[T any](tab *Tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// run returns what an action returns, which must not fail.
func run[T any](tab *Tab, action chromedp.Action[T]) T {
	tab.t.Helper()
	v, err := try(tab, action)
	if err != nil {
		tab.t.Fatalf("%s: %v", tab.origin, err)
	}
	return v
}

// Open goes to a page of the server and waits until it is loaded, with its
// script.
func (tab *Tab) Open(path string) {
	tab.t.Helper()
	run(tab, chromedp.Navigate(tab.origin+path))
}

// Reload loads the page again.
func (tab *Tab) Reload() {
	tab.t.Helper()
	run(tab, chromedp.Reload())
}

// Back goes back in the history, and returns at once: a page that the browser
// kept is not loaded.
func (tab *Tab) Back() {
	tab.t.Helper()
	Eval[bool](tab, "history.back(), true")
}

// Forward goes forward in the history, like Back.
func (tab *Tab) Forward() {
	tab.t.Helper()
	Eval[bool](tab, "history.forward(), true")
}

// Path returns where the tab is, without its server.
func (tab *Tab) Path() string {
	tab.t.Helper()
	return Eval[string](tab, `location.pathname + location.search`)
}

// Eval returns the value of a JavaScript expression, or of what it promises. A
// %s in it stands for an argument, as a literal.
func Eval[T any](tab *Tab, expression string, args ...any) T {
	tab.t.Helper()
	return run(tab, chromedp.Evaluate[T](literals(expression, args), chromedp.EvalAwaitPromise))
}

func literals(expression string, args []any) string {
	if len(args) == 0 {
		return expression // a % in it is itself
	}
	list := make([]any, len(args))
	for i, a := range args {
		data, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		list[i] = string(data)
	}
	return fmt.Sprintf(expression, list...)
}

// Until waits until a JavaScript expression is true. On the way there it may
// fail, as pages come and go.
func (tab *Tab) Until(what, expression string, args ...any) {
	tab.t.Helper()
	expression = "Boolean(" + literals(expression, args) + ")"
	last := ""
	defer func() {
		if tab.t.Failed() && last != "" {
			tab.t.Logf("at %s; %s", Eval[string](tab, "location.href"), last)
		}
	}()
	nsqtest.EventuallyWithin(tab.t, patience, what, func() bool {
		ok, err := try(tab, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
		last = fmt.Sprintf("%s: %v, %v", expression, ok, err)
		return err == nil && ok
	})
	last = ""
}

// Text returns the text of the first element of a selector, as it is shown.
func (tab *Tab) Text(selector string) string {
	tab.t.Helper()
	return Eval[string](tab, `document.querySelector(%s)?.innerText ?? ""`, selector)
}

// UntilText waits until the page shows a text.
func (tab *Tab) UntilText(text string) {
	tab.t.Helper()
	shown := false
	defer func() {
		if !shown {
			tab.t.Logf("%s shows:\n%s", tab.Path(), tab.Text("main"))
		}
	}()
	tab.Until("the page shows "+text, `document.body.innerText.includes(%s)`, text)
	shown = true
}

// place returns the middle of an element that has a text, "" for any, if the
// user can hit it there.
const place = `((selector, text) => {
	const shown = (e) => (e.innerText || e.value || e.ariaLabel || "").trim();
	const e = [...document.querySelectorAll(selector)].find((e) => !text || shown(e) === text);
	if (!e) return null;
	e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
	const box = [...e.getClientRects()].find((r) => r.width && r.height);
	if (!box) return null;
	const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
	const hit = document.elementFromPoint(x, y);
	return hit && (e.contains(hit) || hit.contains(e)) ? [x, y] : null;
})`

// Click clicks on the first element of a selector that has a text, "" for any.
func (tab *Tab) Click(selector, text string) {
	tab.t.Helper()
	var at []float64
	nsqtest.EventuallyWithin(tab.t, patience, fmt.Sprintf("%s %q can be clicked", selector, text), func() bool {
		at, _ = try(tab, chromedp.Evaluate[[]float64](literals(place+"(%s, %s)", []any{selector, text})))
		return len(at) == 2
	})
	run(tab, chromedp.MouseClickXY(at[0], at[1]))
}

// Type types into what has the focus; kb has the keys that are no letters.
func (tab *Tab) Type(keys string, modifiers ...chromedp.Modifier) {
	tab.t.Helper()
	run(tab, chromedp.KeyEvent(keys, chromedp.KeyModifiers(modifiers...)))
}

// Resize gives the tab another size, at which 1 CSS pixel is 1 pixel.
func (tab *Tab) Resize(width, height int64) {
	tab.t.Helper()
	tab.do(call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	}))
}

// Theme makes the tab one of a user who prefers light or dark.
func (tab *Tab) Theme(name string) {
	tab.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}
	tab.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}))
}

// DisableScripts makes the tab one of a user without JavaScript. Eval and what is
// made of it work still.
func (tab *Tab) DisableScripts() {
	tab.t.Helper()
	tab.do(call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
}

// Header sends a header with every request.
func (tab *Tab) Header(name, value string) {
	tab.t.Helper()
	tab.do(call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{name: value}}))
}

// GrantClipboard lets pages read the clipboard.
func (tab *Tab) GrantClipboard() {
	tab.t.Helper()
	tab.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		c := chromedp.FromContext(ctx)
		_, err := cdp.Call(ctx, c.Browser, browser.SetPermission, browser.SetPermissionParams{
			Permission:       &browser.PermissionDescriptor{Name: "clipboard-read"},
			Setting:          browser.PermissionSettingGranted,
			Origin:           tab.origin,
			BrowserContextID: c.BrowserContextID,
		})
		return err
	}))
}

// Await waits until a condition holds.
func (tab *Tab) Await(what string, condition func() bool) {
	tab.t.Helper()
	nsqtest.EventuallyWithin(tab.t, patience, what, condition)
}
