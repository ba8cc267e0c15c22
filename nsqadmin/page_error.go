package nsqadmin

import (
	"net/http"
	"strings"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// errorTexts are what pages say of what the server refuses by itself.
var errorTexts = map[int]string{
	http.StatusForbidden:        "This was asked for by a page of another site, and is not done. If nsqadmin is behind a proxy that changes the Host header, start it with --trusted-origin and the address in your browser's address bar.",
	http.StatusNotFound:         "There is no such page. It may have moved: the search finds topics, channels and nodes by a part of their name.",
	http.StatusMethodNotAllowed: "This page cannot be asked for in this way.",
}

// errorPage answers with what went wrong, in a sentence.
func (s *httpServer) errorPage(w http.ResponseWriter, r *http.Request, status int, text string) {
	s.page(w, r, status, "error", page{Title: http.StatusText(status), Data: text})
}

// refuse shows a page of what the server refuses to somebody with a browser. What
// programs ask for is refused as JSON.
func (s *httpServer) refuse(w http.ResponseWriter, r *http.Request, refused httpapi.Error) bool {
	if !s.wantsPage(r) {
		return false
	}
	text, ok := errorTexts[refused.Status]
	if !ok {
		text = "This page cannot be shown: the log of nsqadmin says why."
	}
	s.errorPage(w, r, refused.Status, text)
	return true
}

// wantsPage reports whether a request is one of a browser for a page.
func (s *httpServer) wantsPage(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.Path, s.n.opts.basePath())
	if !ok || path != "" && path[0] != '/' {
		return false
	}
	for _, other := range []string{"/api", "/config", "/static", "/render", "/ping"} {
		if path == other || strings.HasPrefix(path, other+"/") {
			return false
		}
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}
