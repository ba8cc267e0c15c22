package nsqadmin

import (
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/metrics"
	"github.com/seed893f581e/nsq/internal/netlimit"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/nsqadmin/internal/settings"
)

// httpServer serves pages, the JSON API, and the files of the pages. The base
// path is httpapi's matter: routes are given without it.
type httpServer struct {
	n        *NSQAdmin
	log      *slog.Logger
	listener net.Listener
	server   *httpapi.Server

	access   access
	settings settings.Cache // of nsqds whose pages were looked at
	pages    pages
	assets   *assets
	metrics  *metricsPage
}

// safeHeader is that of every answer: nothing on a page comes from elsewhere,
// runs that is not a file of ours, or shows inside another site.
var safeHeader = http.Header{
	"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
	"X-Content-Type-Options":     {"nosniff"},
	"X-Frame-Options":            {"DENY"},
	"Referrer-Policy":            {"same-origin"},
	"Cross-Origin-Opener-Policy": {"same-origin"},
	"Cache-Control":              {"no-cache"}, // but for what says otherwise
}

// listen opens a listener for host:port, with a bound of connections.
func listen(address string, log *slog.Logger) (net.Listener, error) {
	size, by, err := netlimit.Bound(0)
	if err != nil {
		return nil, err
	}
	l, err := sockets.ListenTCP(address)
	if err != nil {
		return nil, err
	}
	return netlimit.NewPool(size, by, log).Group("HTTP", size).Listener(l), nil
}

func (s *httpServer) init(n *NSQAdmin, listener net.Listener) {
	s.n, s.log, s.listener = n, n.log, listener
	s.access = newAccess(n.opts)
	s.initPages(n.opts)
	s.server = httpapi.NewServer(httpapi.Config{
		Log:      n.log,
		Quiet:    func(r *http.Request) bool { return isLive(r) || r.URL.Path == n.opts.basePath()+metrics.Path },
		OnPanic:  func() { n.panics.Add(1) },
		BasePath: n.opts.basePath(),
		Header:   safeHeader,
		Compress: true,
		Check:    s.access.checkOrigin,
		Refuse:   s.refuse,
	})
	s.metrics = newMetricsPage(n, s.server)
	s.routes()
}

// isLive picks requests that are not logged, as scrapes are not: those by which the script keeps a
// page live, one every two seconds for each that is open.
func isLive(r *http.Request) bool { return r.Method == http.MethodGet && r.Header.Get("X-Live") != "" }

func (s *httpServer) routes() {
	s.server.Plain("GET", "/ping", func(*http.Request) (any, error) { return "OK", nil })
	s.server.Health(s.n.Live, s.n.Ready)
	s.server.V1("GET", metrics.Path, s.metrics.metrics)
	s.server.V1("GET", "/config/:opt", s.fromCIDR(s.getConfig))
	s.server.V1("PUT", "/config/:opt", s.fromCIDR(s.adminOnly(s.putConfig)))
	s.apiRoutes()
	s.pageRoutes()
	s.staticRoutes()
	s.server.Plain("GET", "/fonts/:asset", func(*http.Request) (any, error) { // there are none: pages use those of the system
		return nil, httpapi.Error{Status: http.StatusNotFound, Code: "NOT_FOUND"}
	})
}

// serve answers requests until close.
func (s *httpServer) serve() error { return s.server.Serve(s.listener) }

// close stops listening and returns when no request runs any more.
func (s *httpServer) close() error {
	err := s.server.Close()
	return errors.Join(err, sockets.CloseListener(s.listener)) // one that was never served is still open
}

func badRequest(code string) error { return httpapi.Error{Status: http.StatusBadRequest, Code: code} }
