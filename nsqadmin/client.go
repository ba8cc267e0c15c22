package nsqadmin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/seed893f581e/nsq/internal/cluster"
)

const (
	// maxAnswer is how much is read of what a daemon says: more than the statistics
	// of ten thousand topics.
	maxAnswer = 64 << 20

	// connsPerDaemon are enough for what is asked at a time: by the poller, by pages
	// of several people and by scripts.
	connsPerDaemon = 8
)

// clientConfig says how daemons are asked.
func (o *Options) clientConfig(tls *tls.Config) cluster.Config {
	return cluster.Config{
		Dial:           (&net.Dialer{Timeout: o.HTTPClientConnectTimeout}).DialContext,
		TLS:            tls,
		RequestTimeout: o.HTTPClientRequestTimeout,
		MaxAnswer:      maxAnswer,
		ConnsPerDaemon: connsPerDaemon,
	}
}

// clientTLS reads the files of certificates.
func (o *Options) clientTLS() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: o.HTTPClientTLSInsecureSkipVerify}
	if o.HTTPClientTLSCert != "" {
		pair, err := tls.LoadX509KeyPair(o.HTTPClientTLSCert, o.HTTPClientTLSKey)
		if err != nil {
			return nil, fmt.Errorf("failed to LoadX509KeyPair %s, %s - %w", o.HTTPClientTLSCert, o.HTTPClientTLSKey, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if file := o.HTTPClientTLSRootCAFile; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("failed to read TLS root CA file %s - %w", file, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("failed to AppendCertsFromPEM %s", file)
		}
	}
	return c, nil
}
