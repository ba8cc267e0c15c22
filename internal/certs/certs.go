// Package certs reads files of certificates. It keeps the one that a daemon
// serves with and the authorities it trusts, and puts new files in force while
// the daemon runs.
package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Config names the files, all of them PEM, and says what is done with them.
type Config struct {
	CertFile, KeyFile string             // of the server; both empty for a daemon that serves without TLS
	RootCAFile        string             // authorities for certificates of clients and of https servers; empty for the system's
	ClientAuth        tls.ClientAuthType // what is asked of clients
	MinVersion        uint16             // as server and as client
	Log               *slog.Logger
}

// Errors of Load, as operators know them from the log.
var (
	errServer = errors.New("failed to build TLS config")
	errClient = errors.New("failed to build client TLS config")
	errNoCA   = errors.New("failed to append certificate to pool")
)

// A Store holds what the files say. What is asked of it after a reload follows
// the new files; connections that exist are not touched. It is safe for
// concurrent use.
type Store struct {
	config  Config
	current atomic.Pointer[loaded]

	mu     sync.Mutex // one reload at a time; seen, failed
	seen   fileStates // before the last reading
	failed error      // of the last reading
}

// loaded is what the files said at one time. It never changes.
type loaded struct {
	server *tls.Config // nil without a certificate
	client *tls.Config
}

// Load reads the files. Dates refuse nothing: an operator who serves an expired
// certificate may mean to, and is told of it in the log.
func Load(c Config) (*Store, error) {
	s := &Store{config: c}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads the files again and puts them in force for new connections.
// If any of them is missing or broken all stays as it was; the error, which
// names the file, is the caller's to log.
func (s *Store) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load()
}

// load reads the files, with mu held.
func (s *Store) load() error {
	s.seen = s.config.stat() // what is written while we read counts as a change again
	s.failed = s.replace()
	return s.failed
}

func (s *Store) replace() error {
	var server *tls.Certificate // nil for none
	var roots *x509.CertPool    // nil for those of the system
	var err error
	if s.config.CertFile != "" {
		if server, err = LoadPair(s.config.CertFile, s.config.KeyFile); err != nil {
			return fmt.Errorf("%w - %w", errServer, err)
		}
	}
	if s.config.RootCAFile != "" {
		if roots, err = LoadRoots(s.config.RootCAFile); err != nil {
			return fmt.Errorf("%w - %w", errClient, err)
		}
	}
	l := &loaded{client: &tls.Config{RootCAs: roots, MinVersion: s.config.MinVersion}}
	if server != nil {
		l.server = &tls.Config{
			Certificates: []tls.Certificate{*server},
			ClientAuth:   s.config.ClientAuth,
			MinVersion:   s.config.MinVersion,
			// A resumed session would bring in a client whose certificate the
			// authorities of today do not accept.
			SessionTicketsDisabled: s.config.ClientAuth != tls.NoClientCert,
			VerifyPeerCertificate:  checkSize,
		}
		if s.config.ClientAuth == tls.RequireAndVerifyClientCert { // else naming them would only make clients keep others back
			l.server.ClientCAs = roots
		}
		s.config.logServer(server.Leaf, time.Now())
	}
	s.current.Store(l)
	return nil
}

func (c *Config) logServer(cert *x509.Certificate, now time.Time) {
	file, subject := slog.String("file", c.CertFile), slog.Any("subject", cert.Subject)
	starts, expires := slog.Time("starts", cert.NotBefore), slog.Time("expires", cert.NotAfter)
	switch {
	case now.After(cert.NotAfter):
		c.Log.Warn("TLS: certificate loaded that has expired, most clients will refuse it", file, subject, expires)
	case now.Before(cert.NotBefore):
		c.Log.Warn("TLS: certificate loaded that is not valid yet, most clients will refuse it", file, subject, starts)
	default:
		c.Log.Info("TLS: certificate loaded", file, subject, expires)
	}
}

// maxClientChain bounds the certificates of a client, which its connection keeps
// in several forms. Where any are accepted, anybody could send 256 KiB of them.
const maxClientChain = 32 << 10

func checkSize(chain [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, certificate := range chain {
		size += len(certificate)
	}
	if size > maxClientChain {
		return fmt.Errorf("certificates of %d bytes, more than %d", size, maxClientChain)
	}
	return nil
}

// LoadPair reads a certificate and its key.
func LoadPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := readPEM(certFile)
	if err != nil {
		return nil, err
	}
	key, err := readPEM(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w (%s with key %s)", err, certFile, keyFile)
	}
	return &pair, nil
}

// LoadRoots reads the certificates of authorities.
func LoadRoots(file string) (*x509.CertPool, error) {
	data, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%w (%s)", errNoCA, file)
	}
	return pool, nil
}

// readPEM reads a file that must not end in the middle of a block: parsers take
// what comes before for the whole, and half a list of authorities is none.
func readPEM(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	rest := data
	for block := new(pem.Block); block != nil; {
		block, rest = pem.Decode(rest)
	}
	if bytes.Contains(rest, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("%s ends in the middle of a PEM block", name)
	}
	return data, nil
}

// Server returns the configuration to serve with, nil without a certificate.
// It follows reloads and may be kept. The caller must not change it.
func (s *Store) Server() *tls.Config {
	if s.config.CertFile == "" {
		return nil
	}
	return &tls.Config{
		MinVersion:         s.config.MinVersion,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().server, nil },
	}
}

// DialTLS returns what connects to https servers, for the DialTLSContext of an
// http.Transport: every new connection is checked against the authorities of
// its time. The dialer's time-out covers the handshake as well.
func (s *Store) DialTLS(dialer *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := tls.Dialer{NetDialer: dialer, Config: s.current.Load().client}
		return d.DialContext(ctx, network, addr)
	}
}
