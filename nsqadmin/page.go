package nsqadmin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/seed893f581e/nsq/internal/version"
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
	Names  bool    // it names the daemons that do not answer by itself
	Node   string  // the address of an nsqd of which it says by itself if it does not answer
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
	Live    bool   // asked for again it is the same page, so that the script may refresh it
	Version string
	Updated time.Time
	Daemons int // nsqds and nsqlookupds
	Silent  []silentDaemon
}

// A navEntry is one of the navigation.
type navEntry struct{ Nav, Text, URL string }

// pages are the templates of all pages by name.
type pages map[string]*template.Template

// parsePages reads the templates.
func parsePages(files fs.FS, funcs template.FuncMap) (pages, error) {
	shared, err := template.New("").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/parts*.html")
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

// pageRoutes adds the pages.
func (s *httpServer) pageRoutes() {
	s.server.Page("GET", "/", s.overview)
	s.clusterRoutes()
	s.topicRoutes()
}

// staticRoutes adds the files of the pages.
func (s *httpServer) staticRoutes() {
	s.server.Page("GET", "/static/:asset", func(w http.ResponseWriter, r *http.Request) {
		s.assets.serve(w, r, pathVariable(r, "asset"))
	})
}

// pathVariable returns what a request has in place of :name in the path of its
// route.
func pathVariable(r *http.Request, name string) string {
	return httprouter.ParamsFromContext(r.Context()).ByName(name)
}

// initPages makes what pages need. A mistake in a template is a mistake of the
// program.
func (s *httpServer) initPages(o *Options) {
	s.assets = newAssets(o.DevStaticDir)
	static := func(name string) string { return o.basePath() + s.assets.path(name) }
	all, err := parsePages(templateFiles, pageFuncs(o.basePath(), static))
	if err != nil {
		panic(err)
	}
	s.pages = all
}

// navigation is what the header of every page links to.
var navigation = []struct{ nav, text, path string }{
	{"overview", "Overview", ""},
	{"topics", "Topics", "topics"},
	{"nodes", "Nodes", "nodes"},
	{"lookup", "Lookup", "lookup"},
	{"counter", "Counter", "counter"},
}

// url returns the URL of a page: its segments are escaped here.
func (s *httpServer) url(segments ...string) string {
	u, _ := link(s.n.opts.basePath(), []any{segments}) // fails for other types alone
	return u
}

// page answers with a page. What fails in its template is a fault of ours: it is
// logged, and nobody gets half a page.
func (s *httpServer) page(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	html, err := s.pages.render(name, s.frame(r, status, p))
	if err != nil {
		s.log.Error("HTTP: a page cannot be shown", "page", name, "path", r.URL.Path, "error", err)
		status, html = http.StatusInternalServerError, []byte("This page cannot be shown: the log of nsqadmin says why.\n")
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(html)))
	w.WriteHeader(status)
	w.Write(html) // a peer that went away is no matter of ours
}

// frame returns a page with what is around it.
func (s *httpServer) frame(r *http.Request, status int, p page) frame {
	user, admin := s.admin(r)
	v := s.n.poller.View()
	f := frame{
		page:    p,
		Status:  status,
		Admin:   admin,
		User:    user,
		Locked:  len(s.access.admins) > 0,
		Live:    r.Method == http.MethodGet,
		Version: version.Binary,
		Updated: v.At,
		Daemons: len(v.Nodes) + len(v.Lookupds),
	}
	if !p.Names {
		own := []string{"nodes", p.Node}
		f.Silent = slices.DeleteFunc(silentDaemons(v), func(d silentDaemon) bool { return slices.Equal(d.Path, own) })
	}
	for _, n := range navigation {
		u := s.url()
		if n.path != "" {
			u = s.url(n.path)
		}
		f.Pages = append(f.Pages, navEntry{n.nav, n.text, u})
	}
	return f
}
