package httpapi

import (
	"cmp"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
)

// A Request is a kind of request: where it went, and what came of it.
type Request struct {
	Path   string // of the route, with the names of its variables; "other" for none
	Status int
}

// requests counts them by kind, of which there are few. The zero value is ready.
type requests struct{ byKind sync.Map } // Request to *atomic.Uint64

// count counts a request that was answered.
func (rs *requests) count(w *response) {
	kind := Request{cmp.Or(w.route, "other"), cmp.Or(w.status, http.StatusOK)}
	n, ok := rs.byKind.Load(kind)
	if !ok {
		n, _ = rs.byKind.LoadOrStore(kind, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// Requests iterates over the kinds of requests that were answered, each with their
// number.
func (s *Server) Requests() iter.Seq2[Request, uint64] {
	return func(yield func(Request, uint64) bool) {
		s.requests.byKind.Range(func(kind, n any) bool { return yield(kind.(Request), n.(*atomic.Uint64).Load()) })
	}
}
