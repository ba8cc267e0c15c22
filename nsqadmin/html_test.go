package nsqadmin

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
)

// A document is a page as a browser understands it.
type document struct {
	*goquery.Document
	t    testing.TB
	path string
}

// open returns a page that must be there, and checks what holds for every page.
func (a *testAdmin) open(path string, headers ...string) *document {
	a.t.Helper()
	return a.openStatus(http.StatusOK, path, headers...)
}

// openStatus is open for an answer with another status.
func (a *testAdmin) openStatus(status int, path string, headers ...string) *document {
	a.t.Helper()
	resp, body := a.do("GET", path, "", headers...)
	return a.read(resp, body, status, path)
}

// read reads an answer that must have a status.
func (a *testAdmin) read(resp *http.Response, body string, status int, path string) *document {
	a.t.Helper()
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		a.t.Fatalf("GET %s: %d %s %s", path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	parsed, err := goquery.NewDocumentFromReader(strings.NewReader(body))
	if err != nil {
		a.t.Fatalf("GET %s: %v", path, err)
	}
	d := &document{parsed, a.t, path}
	d.check()
	return d
}

// check finds what no page may have: what a strict Content-Security-Policy
// forbids, tables with cells that have no head, and references to what is not
// there.
func (d *document) check() {
	d.t.Helper()
	path := d.path
	for _, forbidden := range []string{"[style]", "style", "script:not([src])", "[onclick]", "[onload]", `[href^="javascript:"]`, `[href*="ZgotmplZ"]`} {
		if d.Find(forbidden).Length() > 0 {
			d.t.Errorf("%s has %s", path, forbidden)
		}
	}
	ids := map[string]bool{}
	d.Find("[id]").Each(func(_ int, s *goquery.Selection) {
		id := s.AttrOr("id", "")
		if ids[id] {
			d.t.Errorf("%s has two of id %q", path, id)
		}
		ids[id] = true
	})
	d.Find("[aria-labelledby]").Each(func(_ int, s *goquery.Selection) {
		if id := s.AttrOr("aria-labelledby", ""); !ids[id] {
			d.t.Errorf("%s is labelled by %q, which is not there", path, id)
		}
	})
	d.Find("table").Each(func(_ int, table *goquery.Selection) {
		heads := table.Find("thead th").Length()
		table.Find("tbody tr, tfoot tr").Each(func(_ int, row *goquery.Selection) {
			width := 0
			row.Find("th, td").Each(func(_ int, cell *goquery.Selection) {
				span, err := strconv.Atoi(cell.AttrOr("colspan", "1"))
				if err != nil {
					d.t.Errorf("%s: %v", path, err)
				}
				width += span
			})
			if width != heads {
				d.t.Errorf("%s: a row of %q has %d cells for %d heads", path, text(table.Find("caption")), width, heads)
			}
		})
	})
	if d.Find("h1").Length() != 1 {
		d.t.Errorf("%s has %d h1", path, d.Find("h1").Length())
	}
}

// text is what one reads, with single spaces. What is there for screen readers
// alone is part of it.
func text(s *goquery.Selection) string { return strings.Join(strings.Fields(s.Text()), " ") }

// has expects elements with a selector whose text contains this.
func (d *document) has(selector, want string) {
	d.t.Helper()
	found := d.Find(selector)
	if found.FilterFunction(func(_ int, s *goquery.Selection) bool { return strings.Contains(text(s), want) }).Length() == 0 {
		d.t.Errorf("no %s says %q, but %q", selector, want, found.Map(func(_ int, s *goquery.Selection) string { return text(s) }))
	}
}

// hasNot expects that there is no element with a selector.
func (d *document) hasNot(selector string) {
	d.t.Helper()
	if found := d.Find(selector); found.Length() > 0 {
		d.t.Errorf("there is %s: %q", selector, text(found))
	}
}

// table returns the table with that caption.
func (d *document) table(caption string) *goquery.Selection {
	d.t.Helper()
	found := d.Find("table").FilterFunction(func(_ int, s *goquery.Selection) bool { return text(s.Find("caption")) == caption })
	if found.Length() != 1 {
		d.t.Fatalf("%d tables %q", found.Length(), caption)
	}
	return found
}

// column returns the texts of the cells of a column, without a total.
func (d *document) column(caption, head string) []string {
	d.t.Helper()
	table := d.table(caption)
	at := -1
	table.Find("thead th").Each(func(i int, s *goquery.Selection) {
		if text(s) == head && at < 0 {
			at = i
		}
	})
	if at < 0 {
		d.t.Fatalf("table %q has no column %q", caption, head)
	}
	return table.Find("tbody tr").Map(func(_ int, row *goquery.Selection) string { return text(row.Find("th, td").Eq(at)) })
}

// row returns the cells of the row that begins with name, by their heads.
func (d *document) row(caption, name string) map[string]string {
	d.t.Helper()
	table := d.table(caption)
	heads := table.Find("thead th").Map(func(_ int, s *goquery.Selection) string { return text(s) })
	var cells map[string]string
	table.Find("tbody tr, tfoot tr").Each(func(_ int, row *goquery.Selection) {
		if first := text(row.Find("th").First()); first != name && !strings.HasPrefix(first, name+" ") {
			return
		}
		cells = map[string]string{}
		at := 0
		row.Find("th, td").Each(func(_ int, cell *goquery.Selection) {
			if _, again := cells[heads[at]]; !again {
				cells[heads[at]] = text(cell)
			}
			span, _ := strconv.Atoi(cell.AttrOr("colspan", "1"))
			at += span
		})
	})
	if cells == nil {
		d.t.Fatalf("table %q has no row %q: %s", caption, name, text(table))
	}
	return cells
}

// wantRow expects cells of a row, given as head and text in turn.
func (d *document) wantRow(caption, name string, want ...string) {
	d.t.Helper()
	got := d.row(caption, name)
	for i := 0; i < len(want); i += 2 {
		if cell, ok := got[want[i]]; !ok || cell != want[i+1] {
			d.t.Errorf("%s, %s: %s is %q, want %q", caption, name, want[i], cell, want[i+1])
		}
	}
}

// tile returns what stands under a heading at the top of a page.
func (d *document) tile(name string) string {
	d.t.Helper()
	found := d.Find(".tiles dt").FilterFunction(func(_ int, s *goquery.Selection) bool { return text(s) == name })
	if found.Length() != 1 {
		d.t.Fatalf("%d tiles %q", found.Length(), name)
	}
	return text(found.Next())
}

// link returns the path that a link with that text leads to.
func (d *document) link(selector, name string) string {
	d.t.Helper()
	found := d.Find(selector).FilterFunction(func(_ int, s *goquery.Selection) bool { return strings.HasPrefix(text(s), name) })
	if found.Length() == 0 {
		d.t.Fatalf("no %s says %q", selector, name)
	}
	base, err := url.Parse(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	to, err := base.Parse(found.First().AttrOr("href", ""))
	if err != nil {
		d.t.Fatal(err)
	}
	return to.String()
}
