package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"
)

// No peer holds a connection for nothing.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 60 * time.Second
	bodyTimeout   = 30 * time.Second // without a byte of the body
	writeTimeout  = 60 * time.Second // for one write
	maxHeader     = 24 << 10

	stopTimeout   = 2 * time.Second        // for requests that run when the server closes
	answerTimeout = 100 * time.Millisecond // for their answers to get out
)

// Config is what a Server needs of its daemon.
type Config struct {
	Log     *slog.Logger
	Quiet   func(*http.Request) bool // requests that are not in the access log; nil for none
	OnPanic func()                   // told of each panic in a handler; may be nil
}

// A Server routes requests to handlers. It redirects to the right spelling of
// a path, answers OPTIONS, logs every request and survives panics. All routes
// are added before the first Serve.
type Server struct {
	config Config
	routes *httprouter.Router
	http   http.Server

	mu      sync.Mutex // closing; running grows only while it is held and closing is false
	closing bool
	running sync.WaitGroup
}

// NewServer returns a server without routes.
func NewServer(c Config) *Server {
	s := &Server{config: c, routes: httprouter.New()}
	s.routes.NotFound = s.refuse(http.StatusNotFound, "NOT_FOUND")
	s.routes.MethodNotAllowed = s.refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	return s
}

func (s *Server) refuse(status int, code string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.respondV1(w, r, nil, Error{Status: status, Code: code})
	})
}

// V1 adds a route that answers in the form of "nsq; version=1.0": every answer
// says so in a header, and errors are JSON.
func (s *Server) V1(method, path string, h Handler) {
	s.routes.HandlerFunc(method, path, func(w http.ResponseWriter, r *http.Request) {
		value, err := h(r)
		s.respondV1(w, r, value, err)
	})
}

// Plain adds a route that answers with plain text, also for errors.
func (s *Server) Plain(method, path string, h Handler) {
	s.routes.HandlerFunc(method, path, func(w http.ResponseWriter, r *http.Request) {
		value, err := h(r)
		s.respondPlain(w, r, value, err)
	})
}

// Serve answers the requests that come through l until Close, and then returns
// nil. Several listeners may be served at once; it closes its own at the end.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Close stops listening and returns when no handler runs any more. Requests
// that run are given a moment to end, then their connections are cut; new ones
// are refused. A silent connection does not delay it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()

	ctx, stop := context.WithTimeout(context.Background(), stopTimeout)
	defer stop()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		time.AfterFunc(answerTimeout, stop)
		close(ended)
	}()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-ended
	return err
}

// enter reports whether a request may run. If so it must call running.Done.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.running.Add(1)
	return true
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	resp, r := guard(w, r)
	defer resp.done()
	defer s.logAccess(resp, r, start)
	defer s.recoverPanic(resp, r)
	if !s.enter() {
		s.respondV1(resp, r, nil, Exiting)
		return
	}
	defer s.running.Done()
	s.routes.ServeHTTP(resp, r)
}

func (s *Server) logAccess(w *response, r *http.Request, start time.Time) {
	if s.config.Quiet != nil && s.config.Quiet(r) || !s.config.Log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	status := cmp.Or(w.status, http.StatusOK)
	s.config.Log.Info(fmt.Sprintf("%d %s %s (%s) %s", status, cut(r.Method), cut(r.RequestURI), r.RemoteAddr, time.Since(start)))
}

// recoverPanic is deferred: a panic in a handler ends its request only.
func (s *Server) recoverPanic(w *response, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { // not a fault, but a way to end a connection
		panic(v)
	}
	if s.config.OnPanic != nil {
		s.config.OnPanic()
	}
	s.config.Log.Error("HTTP: panic in a handler", "method", r.Method, "path", cut(r.URL.Path), "panic", v, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // the peer must not take half an answer for a whole one
	}
	s.respondV1(w, r, nil, Error{Status: http.StatusInternalServerError, Code: "INTERNAL_ERROR"})
}

// cut shortens what a peer sent, for the log.
func cut(text string) string {
	const limit = 500
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "..."
}
