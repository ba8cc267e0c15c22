package nsqd

import (
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// debugPath is where Go's profiles are.
const debugPath = "/debug/pprof/"

func (s *httpServer) debugRoutes() {
	s.server.Page("GET", debugPath, pprof.Index)
	s.server.Page("GET", debugPath+"cmdline", s.commandLine)
	s.server.Page("GET", debugPath+"profile", pprof.Profile)
	s.server.Page("GET", debugPath+"trace", pprof.Trace)
	s.server.Page("GET", debugPath+"symbol", pprof.Symbol)
	s.server.Page("POST", debugPath+"symbol", pprof.Symbol)
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		s.server.Page("GET", debugPath+name, pprof.Handler(name).ServeHTTP)
	}
	s.server.Plain("PUT", "/debug/setblockrate", s.setBlockRate)
	s.server.Plain("POST", "/debug/freememory", s.freeMemory)
}

// commandLine is the page of pprof, without passwords in URLs.
func (s *httpServer) commandLine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, withoutPasswords(strings.Join(os.Args, "\x00")))
}

// setBlockRate sets the nanoseconds of blocking of which one event is sampled
// for the block profile. Here alone the parameter may be in a form, too.
func (s *httpServer) setBlockRate(r *http.Request) (any, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, s.n.opts.MaxBodySize) // 10 MB otherwise
	r.ParseForm()                                                   // what it cannot read is missing below
	rate, err := strconv.Atoi(r.Form.Get("rate"))
	if err != nil {
		return nil, badRequest(fmt.Sprintf("invalid block rate : %s", err))
	}
	runtime.SetBlockProfileRate(rate)
	return nil, nil
}

// freeMemory returns as much memory to the operating system as possible.
func (s *httpServer) freeMemory(*http.Request) (any, error) {
	debug.FreeOSMemory()
	return nil, nil
}
