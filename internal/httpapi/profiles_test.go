package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// A daemon has the profiles that it names, and no others.
func TestProfiles(t *testing.T) {
	type answer struct {
		status int
		start  string
	}
	named := map[string]answer{
		"heap?debug=1":       {http.StatusOK, "heap profile: "},
		"goroutine?debug=1":  {http.StatusOK, "goroutine profile: total "},
		"trace?seconds=0.01": {http.StatusOK, "go 1."},
	}
	always := map[string]answer{
		"":        {http.StatusOK, "<html>"},
		"cmdline": {http.StatusOK, ""},
		"symbol":  {http.StatusOK, "num_symbols: 1\n"},
		"mutex":   {http.StatusNotFound, `{"message":"NOT_FOUND"}`},
	}
	check := func(r *running, pages map[string]answer) {
		for page, want := range pages {
			resp, body := r.do(t, "GET", ProfilesPath+page)
			if resp.StatusCode != want.status || !strings.HasPrefix(body, want.start) {
				t.Errorf("%q: %d %.30q, want %d %q", page, resp.StatusCode, body, want.status, want.start)
			}
		}
	}
	r := start(t, nil, func(s *Server) { s.Profiles("heap", "goroutine", "trace") })
	check(r, always)
	check(r, named)

	for page := range named {
		named[page] = always["mutex"]
	}
	r = start(t, nil, func(s *Server) { s.Profiles() })
	check(r, always)
	check(r, named)
}

func TestWithoutPasswords(t *testing.T) {
	for text, want := range map[string]string{
		"nsqd\x00--auth-http-address=http://u:p@h/p?x=a:b@c": "nsqd\x00--auth-http-address=http://u:xxxxx@h/p?x=a:b@c",
		"http://a@b:c@d": "http://a@b:xxxxx@d",
		"u:p@h:1":        "u:p@h:1",
	} {
		if got := WithoutPasswords(text); got != want {
			t.Errorf("WithoutPasswords(%q) = %q, want %q", text, got, want)
		}
	}
}
