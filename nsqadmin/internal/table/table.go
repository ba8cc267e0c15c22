// Package table has the tables of the console: lists that the query of a URL has
// sorted, filtered and cut into pages, so that they need no script and their state
// is in the address bar.
package table

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rowsPerPage is how many rows of a table are on one page.
const rowsPerPage = 100

// A Column is one of a table of T.
type Column[T any] struct {
	Key     string           // in the URL: ?sort=key
	Name    string           // its head
	Title   string           // what it means, in a sentence
	Numeric bool             // right aligned, and first sorted with the largest on top
	Compare func(a, b T) int // nil if nobody sorts by it
}

// A Table is the part of a list that the query of a URL asks for: the rows with
// a text, in an order, one page of them. Templates show it with "heads",
// "filter" and "pager".
type Table[T any] struct {
	Rows   []T // of this page
	Search string
	All    int // rows without a filter
	Found  int // rows with it, on all pages
	Page   int // from 1
	Pages  int

	columns []Column[T]
	prefix  string // of its parameters, as a page may have several tables
	query   url.Values
	sort    string
	desc    bool
}

// New sorts, filters and cuts rows, which it takes over. Rows that compare
// as equal stay in the order they came in. A sort key that no column has and a
// page behind the last are no error: links grow old.
func New[T any](query url.Values, prefix string, columns []Column[T], rows []T, matches func(row T, text string) bool) *Table[T] {
	t := &Table[T]{
		All:     len(rows),
		Search:  strings.TrimSpace(query.Get(prefix + "q")),
		columns: columns,
		prefix:  prefix,
		query:   query,
	}
	if t.Search != "" {
		text := strings.ToLower(t.Search)
		rows = slices.DeleteFunc(rows, func(row T) bool { return !matches(row, text) })
	}
	t.order(rows)
	t.Found = len(rows)
	t.Pages = max(1, (t.Found+rowsPerPage-1)/rowsPerPage)
	page, _ := strconv.Atoi(query.Get(prefix + "page"))
	t.Page = min(max(1, page), t.Pages)
	t.Rows = rows[(t.Page-1)*rowsPerPage : min(t.Page*rowsPerPage, t.Found)]
	return t
}

func (t *Table[T]) order(rows []T) {
	key := t.query.Get(t.prefix + "sort")
	i := slices.IndexFunc(t.columns, func(c Column[T]) bool { return c.Key == key && c.Compare != nil })
	if i < 0 {
		return
	}
	c := t.columns[i]
	t.sort = key
	switch t.query.Get(t.prefix + "order") {
	case "asc":
	case "desc":
		t.desc = true
	default:
		t.desc = c.Numeric
	}
	slices.SortStableFunc(rows, func(a, b T) int {
		if t.desc {
			a, b = b, a
		}
		return c.Compare(a, b)
	})
}

// First returns the number of the first row on this page, from 1.
func (t *Table[T]) First() int { return min((t.Page-1)*rowsPerPage+1, t.Found) }

// Last returns the number of the last row on this page.
func (t *Table[T]) Last() int { return t.First() + max(0, len(t.Rows)-1) }

// A head is the head of a column.
type head struct {
	Name, Title string
	Numeric     bool
	Href        string // sorts by it; "" if it cannot
	Sorted      string // for aria-sort: ascending, descending or none
}

// Heads returns the heads of the columns. The one that the table is sorted by
// turns the order round.
func (t *Table[T]) Heads() []head {
	heads := make([]head, len(t.columns))
	for i, c := range t.columns {
		heads[i] = head{Name: c.Name, Title: c.Title, Numeric: c.Numeric, Sorted: "none"}
		if c.Compare == nil {
			continue
		}
		desc := c.Numeric
		if c.Key == t.sort {
			desc = !t.desc
			heads[i].Sorted = orderNames[t.desc].aria
		}
		heads[i].Href = t.href(map[string]string{"sort": c.Key, "order": orderNames[desc].param, "page": ""})
	}
	return heads
}

var orderNames = map[bool]struct{ param, aria string }{
	false: {"asc", "ascending"},
	true:  {"desc", "descending"},
}

// Columns returns how many columns there are behind the first few.
func (t *Table[T]) Columns(behind int) int { return len(t.columns) - behind }

// Has reports whether the table has a column, by its key.
func (t *Table[T]) Has(key string) bool {
	return slices.ContainsFunc(t.columns, func(c Column[T]) bool { return c.Key == key })
}

// Previous links to the page before this, "" for none.
func (t *Table[T]) Previous() string { return t.pageHref(t.Page - 1) }

// Next links to the page after this, "" for none.
func (t *Table[T]) Next() string { return t.pageHref(t.Page + 1) }

func (t *Table[T]) pageHref(page int) string {
	if page < 1 || page > t.Pages {
		return ""
	}
	return t.href(map[string]string{"page": strconv.Itoa(page)})
}

// Unfiltered links to the table without its filter.
func (t *Table[T]) Unfiltered() string { return t.href(map[string]string{"q": "", "page": ""}) }

// href returns a link to the same page with other parameters of this table; an
// empty one is left out.
func (t *Table[T]) href(changes map[string]string) string {
	query := url.Values{}
	for name, values := range t.query {
		query[name] = values
	}
	for name, value := range changes {
		query.Del(t.prefix + name)
		if value != "" {
			query.Set(t.prefix+name, value)
		}
	}
	return "?" + query.Encode()
}

// SearchName is the name of the parameter that filters.
func (t *Table[T]) SearchName() string { return t.prefix + "q" }

// A parameter is one of a URL.
type parameter struct{ Name, Value string }

// Kept returns the parameters that a form that filters this table leaves as
// they are.
func (t *Table[T]) Kept() []parameter {
	var kept []parameter
	for name, values := range t.query {
		if name == t.prefix+"q" || name == t.prefix+"page" {
			continue
		}
		for _, v := range values {
			kept = append(kept, parameter{name, v})
		}
	}
	slices.SortStableFunc(kept, func(a, b parameter) int { return strings.Compare(a.Name, b.Name) })
	return kept
}

// By returns a Compare for what a row has.
func By[T any, V cmp.Ordered](value func(T) V) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(value(a), value(b)) }
}

// Contains reports whether one of the fields contains text, which is in lower
// case.
func Contains(text string, fields ...string) bool {
	return slices.ContainsFunc(fields, func(f string) bool { return strings.Contains(strings.ToLower(f), text) })
}
