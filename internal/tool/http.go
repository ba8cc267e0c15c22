package tool

import (
	"errors"
	"flag"
	"net"
	"net/http"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
)

// maxAnswer is how much a tool reads of what a daemon says: more than the
// statistics of ten thousand topics.
const maxAnswer = 64 << 20

// HTTPTimeouts are the flags that say how long an HTTP server may take.
type HTTPTimeouts struct {
	Connect time.Duration // until it accepts a connection
	Request time.Duration // for all of a request
}

// HTTPTimeoutFlags adds the flags of HTTPTimeouts, with their defaults.
func HTTPTimeoutFlags(fs *flag.FlagSet, connect, request time.Duration) *HTTPTimeouts {
	t := &HTTPTimeouts{}
	fs.DurationVar(&t.Connect, "http-client-connect-timeout", connect, "how long connecting over HTTP may take")
	fs.DurationVar(&t.Request, "http-client-request-timeout", request, "how long an HTTP request may take")
	return t
}

// Check returns an error for time-outs that leave no time.
func (t *HTTPTimeouts) Check() error {
	switch {
	case t.Connect <= 0:
		return errors.New("--http-client-connect-timeout should be positive")
	case t.Request <= 0:
		return errors.New("--http-client-request-timeout should be positive")
	}
	return nil
}

// Client returns a client that keeps up to conns connections to a server for
// its next requests.
func (t *HTTPTimeouts) Client(conns int) *http.Client {
	return &http.Client{
		Timeout: t.Request,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: t.Connect}).DialContext,
			TLSHandshakeTimeout: t.Connect,
			MaxIdleConnsPerHost: conns,
			IdleConnTimeout:     90 * time.Second,
		},
	}
}

// Cluster returns a client for the HTTP APIs of daemons. Whoever calls it closes
// it in the end.
func (t *HTTPTimeouts) Cluster() *cluster.Client {
	return cluster.NewClient(cluster.Config{
		Dial:           (&net.Dialer{Timeout: t.Connect}).DialContext,
		RequestTimeout: t.Request,
		MaxAnswer:      maxAnswer,
		ConnsPerDaemon: 1,
	})
}
