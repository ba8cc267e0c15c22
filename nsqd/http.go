package nsqd

import (
	"errors"
	"net"
	"net/http"
	"os"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/version"
)

// httpServer serves the HTTP API on its listener; without one it is off.
type httpServer struct {
	n        *NSQD
	listener net.Listener
	server   *httpapi.Server
}

func (s *httpServer) init(n *NSQD) {
	s.n = n
	s.server = httpapi.NewServer(httpapi.Config{
		Log:     n.log,
		Quiet:   isPublish,
		OnPanic: func() { n.env.panics.Add(1) },
	})
	s.routes()
}

// isPublish picks the requests that are too many to log.
func isPublish(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == "/pub" || r.URL.Path == "/mpub")
}

func (s *httpServer) routes() {
	s.server.Plain("GET", "/ping", s.ping)
	s.server.V1("GET", "/info", s.info)
	s.server.V1("GET", "/stats", s.stats)

	s.server.V1("POST", "/pub", s.pub)
	s.server.V1("POST", "/mpub", s.mpub)

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
}

// serve answers requests until close.
func (s *httpServer) serve() error {
	s.n.log.Info("HTTP: listening on " + s.listener.Addr().String())
	return s.server.Serve(s.listener)
}

// close stops listening and returns when no request runs any more.
func (s *httpServer) close() error {
	if s.listener == nil {
		return nil
	}
	var err error
	if s.server != nil { // else New failed before there was one
		err = s.server.Close()
	}
	if e := s.listener.Close(); e != nil && !errors.Is(e, net.ErrClosed) { // Serve may never have had it
		err = errors.Join(err, e)
	}
	return err
}

// ping tells whether the last write to disk was fine.
func (s *httpServer) ping(*http.Request) (any, error) {
	if err := s.n.env.health.Err(); err != nil {
		return nil, httpapi.Error{Status: http.StatusInternalServerError, Code: healthText(err)}
	}
	return healthText(nil), nil
}

// nodeInfo is the answer to /info. Durations are in nanoseconds.
type nodeInfo struct {
	Version                string `json:"version"`
	BroadcastAddress       string `json:"broadcast_address"`
	Hostname               string `json:"hostname"`
	HTTPPort               int    `json:"http_port"`
	TCPPort                int    `json:"tcp_port"`
	StartTime              int64  `json:"start_time"` // seconds since the Unix epoch
	MaxHeartbeatInterval   int64  `json:"max_heartbeat_interval"`
	MaxOutputBufferSize    int64  `json:"max_output_buffer_size"`
	MaxOutputBufferTimeout int64  `json:"max_output_buffer_timeout"`
	MaxDeflateLevel        int    `json:"max_deflate_level"`
	TopologyZone           string `json:"topology_zone"`
	TopologyRegion         string `json:"topology_region"`
}

func (s *httpServer) info(*http.Request) (any, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	opts := s.n.opts
	return nodeInfo{
		Version:                version.Binary,
		BroadcastAddress:       opts.BroadcastAddress,
		Hostname:               hostname,
		HTTPPort:               port(s.n.RealHTTPAddr()),
		TCPPort:                port(s.n.RealTCPAddr()),
		StartTime:              s.n.started.Unix(),
		MaxHeartbeatInterval:   int64(opts.MaxHeartbeatInterval),
		MaxOutputBufferSize:    opts.MaxOutputBufferSize,
		MaxOutputBufferTimeout: int64(opts.MaxOutputBufferTimeout),
		MaxDeflateLevel:        maxDeflateLevel,
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
