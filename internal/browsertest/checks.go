package browsertest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

//go:embed checks.js
var checks string

// Faults returns what a user would notice about the page that is open: what Looks
// returns, and controls and pictures that a screen reader has no name for.
func (tab *Tab) Faults() []string {
	tab.t.Helper()
	return append(tab.Looks(), tab.nameless()...)
}

// Looks returns what is wrong with the page to the eye, in the theme and size of
// the tab: text that is hard to read, tables and headings without structure, a
// page wider than the window.
func (tab *Tab) Looks() []string {
	tab.t.Helper()
	return Eval[[]string](tab, checks)
}

// named are the roles that say nothing without a name.
var named = map[string]bool{
	"link": true, "button": true, "textbox": true, "searchbox": true, "combobox": true, "checkbox": true, "radio": true,
	"spinbutton": true, "listbox": true, "option": true, "slider": true, "switch": true, "tab": true, "menuitem": true,
	"image": true, "img": true, "meter": true, "progressbar": true, "table": true, "columnheader": true, "rowheader": true,
	"heading": true, "DisclosureTriangle": true, "region": true, "navigation": true,
}

// nameless returns what the accessibility tree has without a name.
func (tab *Tab) nameless() (faults []string) {
	tab.t.Helper()
	tree := run(tab, func(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		if role := text(n.Role); named[role] && text(n.Name) == "" {
			faults = append(faults, fmt.Sprintf("a %s without a name", role))
		}
	}
	return faults
}

// text returns a value that is a string, else "".
func text(v *accessibility.Value) (s string) {
	if v != nil && json.Unmarshal(v.Value, &s) != nil {
		return ""
	}
	return s
}

// Screenshot writes a picture of the whole page to build/screenshots.
func (tab *Tab) Screenshot(name string) {
	tab.t.Helper()
	const highest = 4000 // pixels; what is below is more of the same
	size := Eval[[2]float64](tab, "[document.documentElement.clientWidth, Math.max(document.documentElement.clientHeight, document.documentElement.scrollHeight)]")
	beyond, fast := true, true
	picture := run(tab, func(ctx context.Context, t *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Clip:                  &page.Viewport{Width: size[0], Height: min(size[1], highest), Scale: 1},
			CaptureBeyondViewport: &beyond,
			OptimizeForSpeed:      &fast,
		})
	})
	dir := filepath.Join(nsqtest.Root(), "build", "screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tab.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture.Data, 0o644); err != nil {
		tab.t.Fatal(err)
	}
}
