package table

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
)

type fruit struct {
	name   string
	weight int
}

var fruitColumns = []Column[fruit]{
	{Key: "name", Name: "Fruit", Compare: By(func(f fruit) string { return f.name })},
	{Key: "weight", Name: "Weight", Numeric: true, Compare: By(func(f fruit) int { return f.weight })},
	{Key: "picture", Name: "Picture"},
}

func fruitTable(t *testing.T, query string, rows ...fruit) *Table[fruit] {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return New(values, "f-", fruitColumns, rows, func(f fruit, text string) bool { return Contains(text, f.name) })
}

func TestTableSortsAndFilters(t *testing.T) {
	fruits := []fruit{{"Pear", 3}, {"apple", 1}, {"plum", 2}, {"grape", 1}}
	for query, want := range map[string]string{
		"":                            "[Pear apple plum grape]",
		"f-sort=name":                 "[Pear apple grape plum]",
		"f-sort=name&f-order=desc":    "[plum grape apple Pear]",
		"f-sort=weight":               "[Pear plum apple grape]", // numbers begin with the largest
		"f-sort=weight&f-order=asc":   "[apple grape plum Pear]",
		"f-sort=weight&f-order=no":    "[Pear plum apple grape]",
		"f-sort=picture":              "[Pear apple plum grape]",
		"f-sort=nothing":              "[Pear apple plum grape]",
		"sort=weight&q=plum":          "[Pear apple plum grape]", // of another table
		"f-q=P":                       "[Pear apple plum grape]",
		"f-q=+pLU":                    "[plum]",
		"f-q=ap&f-sort=name":          "[apple grape]",
		"f-q=nothing":                 "[]",
		"f-page=2":                    "[Pear apple plum grape]",
		"f-page=-1":                   "[Pear apple plum grape]",
		"f-page=99999999999999999999": "[Pear apple plum grape]",
	} {
		names := []string{}
		for _, f := range fruitTable(t, query, slices.Clone(fruits)...).Rows {
			names = append(names, f.name)
		}
		if got := fmt.Sprint(names); got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
	}
}

func TestTablePages(t *testing.T) {
	rows := make([]fruit, 250)
	for i := range rows {
		rows[i] = fruit{fmt.Sprint("n", i), i}
	}
	for _, c := range []struct {
		query, summary, previous, next string
	}{
		{"x=1", "n0: 1-100 of 250 on 3", "", "?f-page=2&x=1"},
		{"f-page=2", "n100: 101-200 of 250 on 3", "?f-page=1", "?f-page=3"},
		{"f-page=3&f-sort=weight", "n49: 201-250 of 250 on 3", "?f-page=2&f-sort=weight", ""},
		{"f-page=4", "n200: 201-250 of 250 on 3", "?f-page=2", ""},
		{"f-q=n24&f-page=3", "n24: 1-11 of 11 on 1", "", ""},
	} {
		p := fruitTable(t, c.query, slices.Clone(rows)...)
		got := fmt.Sprintf("%s: %d-%d of %d on %d", p.Rows[0].name, p.First(), p.Last(), p.Found, p.Pages)
		if got != c.summary || p.Previous() != c.previous || p.Next() != c.next || p.All != 250 {
			t.Errorf("%q: %s of %d, %q, %q, want %+v", c.query, got, p.All, p.Previous(), p.Next(), c)
		}
	}
	empty := fruitTable(t, "")
	if empty.First() != 0 || empty.Last() != 0 || empty.Pages != 1 || empty.Next() != "" {
		t.Errorf("an empty table: %d-%d on %d pages, next %q", empty.First(), empty.Last(), empty.Pages, empty.Next())
	}
}

func TestTableHeads(t *testing.T) {
	p := fruitTable(t, "f-sort=weight&f-page=2&f-q=a%26b&t=5")
	want := []head{
		{Name: "Fruit", Href: "?f-order=asc&f-q=a%26b&f-sort=name&t=5", Sorted: "none"},
		{Name: "Weight", Numeric: true, Href: "?f-order=asc&f-q=a%26b&f-sort=weight&t=5", Sorted: "descending"},
		{Name: "Picture", Sorted: "none"},
	}
	if got := p.Heads(); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got, want := p.Kept(), []parameter{{"f-sort", "weight"}, {"t", "5"}}; !slices.Equal(got, want) {
		t.Errorf("a form keeps %v, want %v", got, want)
	}
	if got := p.Unfiltered(); got != "?f-sort=weight&t=5" {
		t.Errorf("without its filter: %q", got)
	}
}
