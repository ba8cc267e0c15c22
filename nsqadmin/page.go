package nsqadmin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"strings"
	"time"
)

// A page of the console is a template and a handler:
//
//  1. templates/NAME.html defines "main", what is between the header and the
//     footer. Its dot is a frame: .Data is what the handler gave, .Admin tells
//     whether to show buttons. parts.html has the parts of tables, page_funcs.go
//     the functions, and the head of static/nsqadmin.css the classes to use.
//  2. The handler takes one view, computes what the template shows, and ends with
//     s.page(w, r, http.StatusOK, "NAME", page{Title: "Topics", Nav: "topics", Data: data}),
//     or with s.errorPage for what is not there. It asks no daemon for what the
//     view has.
//  3. pageRoutes has its route.

//go:embed templates/*.html
var templateFiles embed.FS

// A page is what a handler has to say; see frame for the rest.
type page struct {
	Title  string  // in the window's title; the page itself has a heading of its own
	Nav    string  // the entry of the navigation that it belongs to, "" for none
	Crumbs []crumb // the pages above it, from the top
	Search string  // in the search field
	Data   any
}

// A crumb links to a page above this one.
type crumb struct{ Text, URL string }

// A frame is a page with what is around it: the dot of every template.
type frame struct {
	page
	Status  int
	Pages   []navEntry
	Admin   bool   // who asks may act
	User    string // who asks, if that is known
	Locked  bool   // not everybody may act
	Version string
	Updated time.Time
	Daemons int
	Silent  []silentDaemon
}

// A navEntry is one of the navigation.
type navEntry struct{ Nav, Text, URL string }

// A silentDaemon is one that did not answer when it was asked last.
type silentDaemon struct {
	Kind string // nsqd or nsqlookupd
	Name string
	URL  string // of its page, "" for none
	Text string // since when, and why
}

// pages are the templates of all pages by name.
type pages map[string]*template.Template

// parsePages reads the templates. A mistake in one is a mistake of the program.
func parsePages(files fs.FS, funcs template.FuncMap) (pages, error) {
	shared, err := template.New("").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := make(pages, len(names))
	for _, name := range names {
		own, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if own, err = own.ParseFS(files, name); err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ".html")] = own
	}
	return all, nil
}

// render returns a page as HTML, whole or not at all.
func (p pages) render(name string, f frame) ([]byte, error) {
	t := p[name]
	if t == nil {
		return nil, fmt.Errorf("there is no template %q", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
