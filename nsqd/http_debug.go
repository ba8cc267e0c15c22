package nsqd

import (
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
)

func (s *httpServer) debugRoutes() {
	s.server.Profiles("allocs", "block", "goroutine", "heap", "mutex", "threadcreate", "trace")
	s.server.Plain("PUT", "/debug/setblockrate", s.setBlockRate)
	s.server.Plain("POST", "/debug/freememory", s.freeMemory)
}

// setBlockRate sets the nanoseconds of blocking of which one event is sampled
// for the block profile. The parameter may be in a form, too.
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
