package nsqd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// httpServer serves the HTTP API on its listener; without one it is off.
type httpServer struct {
	n        *NSQD
	listener net.Listener
	server   *http.Server
}

// HTTP time-outs: no peer holds a connection for nothing.
const (
	httpHeaderTimeout = 10 * time.Second
	httpIdleTimeout   = 60 * time.Second
	httpStopTimeout   = 2 * time.Second // for requests that run when the daemon stops
)

func (s *httpServer) init(n *NSQD) {
	s.n = n
	s.server = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: httpHeaderTimeout,
		IdleTimeout:       httpIdleTimeout,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelWarn),
	}
}

// serve answers requests until close.
func (s *httpServer) serve() error {
	s.n.log.Info("HTTP: listening on " + s.listener.Addr().String())
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// close stops listening and waits for the requests that run; those that take
// too long are cut.
func (s *httpServer) close() error {
	if s.listener == nil {
		return nil
	}
	if s.server == nil { // New failed before there was one
		return s.listener.Close()
	}
	ctx, stop := context.WithTimeout(context.Background(), httpStopTimeout)
	defer stop()
	if s.server.Shutdown(ctx) != nil {
		s.server.Close()
	}
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
