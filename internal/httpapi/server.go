package httpapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/sockets"
)

// No peer holds a connection for nothing.
const (
	headerTimeout    = 10 * time.Second
	handshakeTimeout = 5 * time.Second // of TLS, and again for the header: net/http has one limit for both
	idleTimeout      = 60 * time.Second
	bodyTimeout      = 30 * time.Second // without a byte of the body
	maxBodyTime      = 10 * time.Minute // for all of it
	writeTimeout     = 60 * time.Second // for one write
	maxHeader        = 24 << 10
	maxPageBody      = 1 << 20

	stopTimeout   = time.Second            // for requests that run when the server closes, by default
	answerTimeout = 100 * time.Millisecond // for their answers to get out
)

// Config is what a Server needs of its daemon.
type Config struct {
	Log      *slog.Logger
	Quiet    func(*http.Request) bool // requests that are not in the access log; nil for none
	OnPanic  func()                   // told of each panic in a handler; may be nil
	NeedsTLS string                   // where not empty, the JSON that answers every request without TLS, with status 403

	StopTimeout time.Duration // for requests that run when the server closes; 0 for one second

	BasePath string                    // what all paths begin with, as "/nsq"; "" for nothing
	Header   http.Header               // of every answer; a handler may change what its own has
	Compress bool                      // answers, for clients that accept it
	Check    func(*http.Request) error // an error refuses the request before anything is done; nil for none

	// Refuse may answer in another form what the server refuses by itself: what no
	// route is for, what Check refuses, and after a panic. It reports whether it
	// did. nil for never.
	Refuse func(w http.ResponseWriter, r *http.Request, refused Error) bool
}

// A Server routes requests to handlers. It redirects to the right spelling of
// a path, answers OPTIONS, logs every request and survives panics. All routes
// are added before the first Serve.
type Server struct {
	config Config
	routes *httprouter.Router
	direct map[string]bool // paths of V1Direct
	health map[string]bool // paths of Health
	plain  *http.Server
	secure *http.Server // with TLS

	failures failures
	requests requests

	stopping context.Context // done when Close begins
	stop     context.CancelFunc

	mu        sync.Mutex // closing, listeners; accepting and running grow only while it is held and closing is false
	closing   bool
	listeners []*listener
	accepting sync.WaitGroup // a goroutine for each listener
	running   sync.WaitGroup // requests
	fronts    []*front
}

// NewServer returns a server without routes.
func NewServer(c Config) *Server {
	s := &Server{config: c, routes: httprouter.New(), direct: make(map[string]bool)}
	s.routes.NotFound = s.refuse(http.StatusNotFound, "NOT_FOUND")
	s.routes.MethodNotAllowed = s.refuse(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED")
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.plain, s.secure = s.newHTTP(headerTimeout), s.newHTTP(handshakeTimeout)
	return s
}

func (s *Server) newHTTP(headerTimeout time.Duration) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:                      http.HandlerFunc(s.serve),
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		ConnState:                    tellIdle,
		ErrorLog:                     slog.NewLogLogger(s.config.Log.Handler(), slog.LevelWarn),
		Protocols:                    protocols,
		DisableGeneralOptionsHandler: true, // it would answer before us
	}
}

func (s *Server) refuse(status int, code string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refused(w, r, Error{Status: status, Code: code})
	})
}

// refused answers what the server refuses by itself.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, err error) {
	if s.config.Refuse != nil && s.config.Refuse(w, r, asError(err)) {
		s.explain(r, err) // for the log
		return
	}
	s.respondV1(w, r, nil, err)
}

// wholePath returns a path below the base path, which is itself the path "/".
func (s *Server) wholePath(path string) string {
	if path == "/" && s.config.BasePath != "" {
		return s.config.BasePath
	}
	return s.config.BasePath + path
}

func (s *Server) handle(method, path string, h http.HandlerFunc) {
	s.routes.HandlerFunc(method, s.wholePath(path), func(w http.ResponseWriter, r *http.Request) {
		noteRoute(w, path)
		h(w, r)
	})
}

// V1 adds a route that answers in the form of "nsq; version=1.0": every answer
// says so in a header, and errors are JSON.
func (s *Server) V1(method, path string, h Handler) {
	s.handle(method, path, func(w http.ResponseWriter, r *http.Request) {
		value, err := h(r)
		s.respondV1(w, r, value, err)
	})
}

// V1Direct is V1 for POST requests of which there may be very many, each of them
// answered shortly and at once. Without TLS they cost less than others. h is done
// with r and its body when it returns, and r's context ends only then.
func (s *Server) V1Direct(path string, h Handler) {
	s.V1(http.MethodPost, path, h)
	s.direct[s.wholePath(path)] = true
}

// V1Waiting is V1 for a handler that may wait as long as it likes: the request's
// context ends when the peer goes away, and when the server begins to close. The
// handler then answers within the time that Close leaves to requests.
func (s *Server) V1Waiting(method, path string, h Handler) {
	s.V1(method, path, func(r *http.Request) (any, error) {
		r, cancel := s.untilClose(r)
		defer cancel()
		return h(r)
	})
}

// Plain adds a route that answers with plain text, also for errors.
func (s *Server) Plain(method, path string, h Handler) {
	s.handle(method, path, func(w http.ResponseWriter, r *http.Request) {
		value, err := h(r)
		s.respondPlain(w, r, value, err)
	})
}

// Page adds a route whose handler writes the answer itself, of any length and
// for as long as it takes: the request's context ends when the server closes.
func (s *Server) Page(method, path string, page http.HandlerFunc) {
	s.handle(method, path, func(w http.ResponseWriter, r *http.Request) {
		r, cancel := s.untilClose(r)
		defer cancel()
		r.Body = http.MaxBytesReader(w, r.Body, maxPageBody)
		page(w, r)
	})
}

// untilClose returns r with a context that ends when Close begins, too. cancel
// is called in the end.
func (s *Server) untilClose(r *http.Request) (_ *http.Request, cancel func()) {
	ctx, end := context.WithCancel(r.Context())
	forget := context.AfterFunc(s.stopping, end)
	return r.WithContext(ctx), func() {
		forget()
		end()
	}
}

// Serve logs where l listens and answers the requests that come through it until
// Close, and then returns nil. Several listeners may be served at once; it closes
// its own at the end.
func (s *Server) Serve(l net.Listener) error { return s.Begin(l)() }

// Begin is the first half of Serve: requests are answered from now on. What it
// returns is the other half, for when the daemon is up. Close waits for both.
func (s *Server) Begin(l net.Listener) (serve func() error) {
	return s.begin("HTTP: listening on ", l, func(known *listener) error {
		if len(s.direct) == 0 {
			return s.plain.Serve(known)
		}
		return s.serveBehindFront(known)
	})
}

func (s *Server) begin(text string, l net.Listener, serve func(*listener) error) func() error {
	known := newListener(l)
	ended := make(chan error, 1)
	if !s.accept(known, func() { ended <- unlessClosed(serve(known)) }) {
		return func() error { return sockets.CloseListener(l) }
	}
	return func() error {
		s.config.Log.Info(text + l.Addr().String())
		return <-ended
	}
}

// accept has serve run in a goroutine that Close waits for, unless Close has begun.
func (s *Server) accept(l *listener, serve func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners = append(s.listeners, l)
	s.accepting.Go(serve)
	return true
}

// unlessClosed returns err unless Close is the reason for it.
func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serveBehindFront has a front accept the connections.
func (s *Server) serveBehindFront(l *listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	f := newFront(l, s)
	s.fronts = append(s.fronts, f)
	s.mu.Unlock()
	return s.plain.Serve(f)
}

// ServeTLS is Serve for requests over TLS, with HTTP/1.1 only.
func (s *Server) ServeTLS(l net.Listener, config *tls.Config) error { return s.BeginTLS(l, config)() }

// BeginTLS is to ServeTLS what Begin is to Serve.
func (s *Server) BeginTLS(l net.Listener, config *tls.Config) (serve func() error) {
	return s.begin("HTTPS: listening on ", l, func(known *listener) error {
		return s.secure.Serve(tls.NewListener(known, config))
	})
}

// Close stops listening and returns when no handler runs any more. Requests
// that run are given a moment to end, then their connections are cut; new ones
// are refused. A silent connection does not delay it, nor does one in a
// handshake.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	fronts := s.fronts // there will be no more
	s.mu.Unlock()
	s.stop()

	ctx, stop := context.WithTimeout(context.Background(), cmp.Or(s.config.StopTimeout, stopTimeout))
	defer stop()
	defer s.accepting.Wait()
	defer waitFor(fronts)
	defer s.abort() // what came in at the last moment, too
	defer context.AfterFunc(ctx, s.abort)()
	var errs [2]error
	var ending sync.WaitGroup
	ending.Go(func() { errs[0] = closeHTTP(ctx, s.plain) })
	ending.Go(func() { errs[1] = closeHTTP(ctx, s.secure) })
	ending.Go(func() { waitFor(fronts) })
	s.running.Wait()
	answered := time.AfterFunc(answerTimeout, stop)
	defer answered.Stop()
	ending.Wait()
	return errors.Join(errs[:]...)
}

// waitFor returns when the fronts, which are closed, serve no connection any more.
func waitFor(fronts []*front) {
	for _, f := range fronts {
		f.running.Wait()
	}
}

// closeHTTP gives requests time until ctx ends.
func closeHTTP(ctx context.Context, server *http.Server) error {
	err := server.Shutdown(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	return err
}

// abort closes every connection.
func (s *Server) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		l.abort()
	}
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

// serve answers one request that net/http has read.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.answer(guard(w, r))
}

// answer answers one request, whose body's reads have deadlines.
func (s *Server) answer(resp *response, r *http.Request) {
	start := time.Now()
	maps.Copy(resp.Header(), s.config.Header)
	defer s.logAccess(resp, r, start)
	defer s.requests.count(resp)
	defer s.recoverPanic(resp, r)
	if !s.enter() {
		s.respondV1(resp, r, nil, Exiting)
		return
	}
	defer s.running.Done()
	if r.TLS == nil && s.config.NeedsTLS != "" && !s.IsHealth(r) {
		setVersion(resp.Header())
		respond(resp, http.StatusForbidden, typeJSON, []byte(s.config.NeedsTLS))
		return
	}
	if !s.config.Compress {
		s.handleChecked(resp, r)
		return
	}
	c := newCompressor(resp, r)
	s.handleChecked(c, r)
	c.close() // not after a panic: what there is of the body must not look whole
}

// handleChecked has a handler answer, unless Check refuses.
func (s *Server) handleChecked(w http.ResponseWriter, r *http.Request) {
	if s.config.Check != nil {
		if err := s.config.Check(r); err != nil {
			s.refused(w, r, err)
			return
		}
	}
	s.routes.ServeHTTP(w, r)
}

func (s *Server) logAccess(w *response, r *http.Request, start time.Time) {
	if s.IsHealth(r) || s.config.Quiet != nil && s.config.Quiet(r) || !s.config.Log.Enabled(r.Context(), slog.LevelInfo) {
		return
	}
	status := cmp.Or(w.status, http.StatusOK)
	method, uri, took := cut(r.Method), cut(r.RequestURI), time.Since(start)
	s.config.Log.Info(fmt.Sprintf("%d %s %s (%s) %s", status, method, uri, r.RemoteAddr, took), "status", logging.Said(status),
		"method", logging.Said(method), "uri", logging.Said(uri), "client", logging.Said(r.RemoteAddr), "took", logging.Said(took))
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
	s.refused(w, r, Error{Status: http.StatusInternalServerError, Code: "INTERNAL_ERROR"})
}

// cut shortens what a peer sent, for the log.
func cut(text string) string {
	const limit = 500
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "..."
}
