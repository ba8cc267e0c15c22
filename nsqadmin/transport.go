package nsqadmin

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// transport returns what requests to others than the daemons go by. What it dials
// ends with life, too: a transport goes on dialing for a request that has ended.
func (o *Options) transport(life context.Context, tls *tls.Config) *http.Transport {
	dialer := net.Dialer{Timeout: o.HTTPClientConnectTimeout}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(life, cancel)()
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig:        tls.Clone(),
		TLSHandshakeTimeout:    o.HTTPClientConnectTimeout,
		ResponseHeaderTimeout:  o.HTTPClientRequestTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        time.Minute,
	}
}
