package httpapi

import (
	"io"
	"net/http"
	"net/http/pprof"
	"os"
	"regexp"
	"strings"
)

// ProfilesPath is where Profiles are.
const ProfilesPath = "/debug/pprof/"

// Profiles adds the pages of Go's profiler: the index, cmdline, profile, symbol
// and the named ones, of those that runtime/pprof has, and "trace".
func (s *Server) Profiles(names ...string) {
	s.Page("GET", ProfilesPath, pprof.Index)
	s.Page("GET", ProfilesPath+"cmdline", commandLine)
	s.Page("GET", ProfilesPath+"profile", pprof.Profile)
	s.Page("GET", ProfilesPath+"symbol", pprof.Symbol)
	s.Page("POST", ProfilesPath+"symbol", pprof.Symbol)
	for _, name := range names {
		s.Page("GET", ProfilesPath+name, profile(name))
	}
}

func profile(name string) http.HandlerFunc {
	if name == "trace" {
		return pprof.Trace
	}
	return pprof.Handler(name).ServeHTTP
}

// commandLine is the page of pprof, without passwords in URLs.
func commandLine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", typeText)
	io.WriteString(w, WithoutPasswords(strings.Join(os.Args, "\x00")))
}

// password finds that of a URL, which ends at the last "@" before the path.
var password = regexp.MustCompile(`(://[^/?#:\s\x00]*:)[^/?#\s\x00]*@`)

// WithoutPasswords hides the passwords of URLs in a text.
func WithoutPasswords(text string) string { return password.ReplaceAllString(text, "${1}xxxxx@") }
