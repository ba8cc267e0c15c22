package nsqd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/metrics"
	"github.com/seed893f581e/nsq/internal/netlimit"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/version"
)

// httpServer serves the HTTP API on its listeners; one that is nil is off.
type httpServer struct {
	n         *NSQD
	listener  net.Listener
	secure    net.Listener // HTTPS
	tlsConfig *tls.Config  // of secure
	server    *httpapi.Server
	serve     func() error // answers requests until close, as has been done since begin; nil where HTTP is off
	serveTLS  func() error // over TLS
	auth      *httpAuth    // nil where publishing needs no secret
	metrics   *metricsPage
}

// listen opens the listeners that the options ask for; connections count in g.
// There is HTTPS only with a certificate: tlsConfig is nil otherwise.
func (s *httpServer) listen(opts *Options, tlsConfig *tls.Config, g *netlimit.Group) (err error) {
	if opts.HTTPAddress != "" {
		if s.listener, err = listen(opts.HTTPAddress, g); err != nil {
			return err
		}
	}
	if opts.HTTPSAddress != "" && tlsConfig != nil {
		l, err := sockets.ListenTCP(opts.HTTPSAddress)
		if err != nil {
			return err
		}
		s.secure, s.tlsConfig = g.Listener(l), tlsConfig
	}
	return nil
}

// isOn reports whether requests are served at all.
func (s *httpServer) isOn() bool { return s.listener != nil || s.secure != nil }

func (s *httpServer) init(n *NSQD) {
	s.n = n
	s.auth = newHTTPAuth(n.env)
	c := httpapi.Config{
		Log:     n.log,
		Quiet:   isQuiet,
		OnPanic: func() { n.env.panics.Add(1) },
		Check:   s.checkPhase,
	}
	if n.opts.TLSRequired == TLSRequiredAlways {
		c.NeedsTLS = fmt.Sprintf(`{"message": "TLS_REQUIRED", "https_port": %d}`, max(0, port(n.RealHTTPSAddr())))
	}
	s.server = httpapi.NewServer(c)
	s.metrics = newMetricsPage(n, s.server)
	s.routes()
	s.debugRoutes()
}

// isQuiet picks the requests that are not logged: publishing and scraping, of which
// there are too many, and profiles.
func isQuiet(r *http.Request) bool {
	return isPublish(r) || r.URL.Path == metrics.Path || strings.HasPrefix(r.URL.Path, httpapi.ProfilesPath)
}

func isPublish(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == "/pub" || r.URL.Path == "/mpub")
}

func (s *httpServer) routes() {
	s.server.Plain("GET", "/ping", s.ping)
	s.server.Health(s.n.Live, s.n.Ready)
	s.server.V1("GET", "/info", s.info)
	s.server.V1("GET", "/stats", s.stats)
	s.server.V1("GET", metrics.Path, s.metrics.metrics)

	s.server.V1Direct("/pub", s.pub)
	s.server.V1Direct("/mpub", s.mpub)

	s.server.V1("POST", "/topic/create", s.createTopic)
	s.server.V1("POST", "/topic/delete", s.onTopic(topicParam, s.deleteTopic))
	s.server.V1("POST", "/topic/empty", s.onTopic(newTopicParam, s.emptyTopic))
	s.server.V1("POST", "/topic/pause", s.onTopic(topicParam, s.pauseTopic))
	s.server.V1("POST", "/topic/unpause", s.onTopic(topicParam, s.unpauseTopic))

	s.server.V1("POST", "/channel/create", s.createChannel)
	s.server.V1("POST", "/channel/delete", s.onChannel(s.deleteChannel))
	s.server.V1("POST", "/channel/empty", s.onChannel(s.emptyChannel))
	s.server.V1("POST", "/channel/pause", s.onChannel(s.pauseChannel))
	s.server.V1("POST", "/channel/unpause", s.onChannel(s.unpauseChannel))

	s.server.V1("GET", "/drain", s.drainState)
	s.server.V1("POST", "/drain", s.beginDrain)
	s.server.V1("DELETE", "/drain", s.cancelDrain)

	s.server.V1("GET", "/config/:opt", s.getConfig)
	s.server.V1("PUT", "/config/:opt", s.putConfig)
}

// begin answers requests from now on, though none but those for the health before
// the data path is loaded.
func (s *httpServer) begin() {
	if s.listener != nil {
		s.serve = s.server.Begin(s.listener)
	}
	if s.secure != nil {
		s.serveTLS = s.server.BeginTLS(s.secure, s.tlsConfig)
	}
}

// checkPhase refuses requests while the data path is loaded. Those that publish
// find out for themselves.
func (s *httpServer) checkPhase(r *http.Request) error {
	if isPublish(r) || s.n.env.phaseNow() != phaseLoading || s.server.IsHealth(r) {
		return nil
	}
	return errLoadingHTTP
}

// close stops listening and returns when no request runs any more.
func (s *httpServer) close() error {
	var errs []error
	if s.server != nil { // else New failed before there was one
		errs = append(errs, s.server.Close())
	}
	for _, l := range []net.Listener{s.listener, s.secure} {
		if l != nil {
			errs = append(errs, sockets.CloseListener(l)) // one that was never served is still open
		}
	}
	return errors.Join(errs...)
}

// ping tells whether messages can be kept on disk, and if not, why.
func (s *httpServer) ping(*http.Request) (any, error) {
	if err := s.n.env.health.Err(); err != nil {
		return nil, httpapi.Error{Status: http.StatusInternalServerError, Code: healthText(err)}
	}
	return healthText(nil), nil
}

func (s *httpServer) info(*http.Request) (any, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	opts := s.n.opts
	return stats.Info{
		Version:                version.Binary,
		BroadcastAddress:       s.n.broadcastAddress(),
		Hostname:               hostname,
		HTTPPort:               port(s.n.RealHTTPAddr()),
		TCPPort:                port(s.n.RealTCPAddr()),
		StartTime:              s.n.started.Unix(),
		Durability:             opts.Durability.String(),
		MaxDeferTimeout:        int64(opts.MaxDeferTimeout),
		MaxHeartbeatInterval:   int64(opts.MaxHeartbeatInterval),
		MaxOutputBufferSize:    opts.MaxOutputBufferSize,
		MaxOutputBufferTimeout: int64(opts.MaxOutputBufferTimeout),
		MaxDeflateLevel:        opts.MaxDeflateLevel,
		TopologyZone:           opts.TopologyZone,
		TopologyRegion:         opts.TopologyRegion,
	}, nil
}

// port returns the port of a TCP address, -1 for any other.
func port(addr net.Addr) int {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return -1
}
