package nsqlookupd

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/metrics"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/version"
)

// httpServer serves the HTTP API.
type httpServer struct {
	db       *database
	log      *slog.Logger
	listener net.Listener
	server   *httpapi.Server
	metrics  *metricsPage
}

// stopTimeout is for requests that run at a stop. None takes long by itself, but
// a peer may be slow to take its answer.
const stopTimeout = 500 * time.Millisecond

func (s *httpServer) init(l *NSQLookupd, listener net.Listener) {
	s.db, s.log, s.listener = l.db, l.log, listener
	s.server = httpapi.NewServer(httpapi.Config{
		Log: l.log,
		Quiet: func(r *http.Request) bool {
			return r.URL.Path == metrics.Path || strings.HasPrefix(r.URL.Path, httpapi.ProfilesPath)
		},
		OnPanic:     func() { l.panics.Add(1) },
		StopTimeout: stopTimeout,
	})
	s.metrics = newMetricsPage(l, s.server)
	s.routes(l)
	s.server.Profiles("heap", "goroutine", "block", "threadcreate")
	s.server.Page("GET", strings.TrimSuffix(httpapi.ProfilesPath, "/"), pprof.Index) // where it has always been
}

func (s *httpServer) routes(l *NSQLookupd) {
	s.server.Plain("GET", "/ping", func(*http.Request) (any, error) { return "OK", nil })
	s.server.Health(l.Live, l.Ready)
	s.server.V1("GET", "/info", s.info)
	s.server.V1("GET", metrics.Path, s.metrics.metrics)

	s.server.V1("GET", "/topics", s.topics)
	s.server.V1("GET", "/channels", s.channels)
	s.server.V1("GET", "/lookup", s.lookup)
	s.server.V1Waiting("GET", "/watch", s.watch)
	s.server.V1("GET", "/nodes", s.nodes)
	s.server.V1("GET", "/debug", s.debug)

	s.server.V1("POST", "/topic/create", s.createTopic)
	s.server.V1("POST", "/topic/delete", s.deleteTopic)
	s.server.V1("POST", "/topic/tombstone", s.tombstone)
	s.server.V1("POST", "/channel/create", s.createChannel)
	s.server.V1("POST", "/channel/delete", s.deleteChannel)
}

// serve answers requests until close.
func (s *httpServer) serve() error { return s.server.Serve(s.listener) }

// close stops listening, answers who waits for a change, and returns when no
// request runs any more.
func (s *httpServer) close() error {
	err := s.server.Close()
	return errors.Join(err, sockets.CloseListener(s.listener)) // one that was never served is still open
}

func badRequest(code string) error { return httpapi.Error{Status: http.StatusBadRequest, Code: code} }

func (s *httpServer) info(*http.Request) (any, error) {
	return struct {
		Version string `json:"version"`
	}{version.Binary}, nil
}
