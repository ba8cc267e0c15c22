package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/certs"
	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// files are a server's certificate and key and an authority, on disk.
type files struct {
	dir              string
	ca               certstest.CA
	cert, key, roots string
}

func newFiles(tb testing.TB) *files {
	f := &files{dir: tb.TempDir(), ca: certstest.NewCA(tb)}
	f.cert, f.key = f.ca.Issue(tb, certstest.Named("first")).Write(tb, f.dir, "server")
	f.roots, _ = f.ca.Write(tb, f.dir, "ca")
	return f
}

func (f *files) config() certs.Config {
	return certs.Config{CertFile: f.cert, KeyFile: f.key, MinVersion: tls.VersionTLS12, Log: slog.New(slog.DiscardHandler)}
}

func load(tb testing.TB, c certs.Config) *certs.Store {
	tb.Helper()
	s, err := certs.Load(c)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// handshake connects a client to a server and returns what the client saw, or
// the error of the side that has one.
func handshake(tb testing.TB, server, client *tls.Config) (tls.ConnectionState, error) {
	tb.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_, err = conn.Write([]byte("x"))
		}
		served <- err
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, client)
	n, err := conn.Read(make([]byte, 1)) // a refusal of the client's certificate comes no sooner
	if n == 1 {
		err = nil // with the byte may come the end
	} else {
		raw.Close()
	}
	return conn.ConnectionState(), errors.Join(err, <-served)
}

// servedName is the common name of the certificate that clients see.
func servedName(tb testing.TB, s *tls.Config) string {
	tb.Helper()
	state, err := handshake(tb, s, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		tb.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func TestLoadErrors(t *testing.T) {
	f := newFiles(t)
	_, otherKey := certstest.SelfSigned(t).Write(t, f.dir, "other")
	write := func(name string, data []byte) string {
		path := filepath.Join(f.dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := write("empty", nil)
	cut := write("cut", append(bytes.Clone(f.ca.CertPEM), f.ca.CertPEM[:100]...))
	missing := filepath.Join(f.dir, "missing")
	for name, tc := range map[string]struct {
		change func(*certs.Config)
		want   []string
	}{
		"no certificate file":            {func(c *certs.Config) { c.CertFile = missing }, []string{"failed to build TLS config - ", missing}},
		"no key file":                    {func(c *certs.Config) { c.KeyFile = missing }, []string{"failed to build TLS config - ", missing}},
		"empty certificate file":         {func(c *certs.Config) { c.CertFile = empty }, []string{"failed to build TLS config - ", empty}},
		"another certificate's key":      {func(c *certs.Config) { c.KeyFile = otherKey }, []string{"failed to build TLS config - ", otherKey}},
		"a certificate cut in its chain": {func(c *certs.Config) { c.CertFile = cut }, []string{"failed to build TLS config - ", cut}},
		"no file of authorities":         {func(c *certs.Config) { c.RootCAFile = missing }, []string{"failed to build client TLS config - ", missing}},
		"no authority in the file":       {func(c *certs.Config) { c.RootCAFile = empty }, []string{"failed to build client TLS config - failed to append certificate to pool", empty}},
		"a cut list of authorities":      {func(c *certs.Config) { c.RootCAFile = cut }, []string{"failed to build client TLS config - ", cut}},
	} {
		c := f.config()
		tc.change(&c)
		_, err := certs.Load(c)
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %v, want it to contain %q", name, err, want)
			}
		}
	}
}

func TestWithoutCertificate(t *testing.T) {
	s := load(t, certs.Config{Log: slog.New(slog.DiscardHandler)})
	if s.Server() != nil {
		t.Error("there is a configuration to serve with")
	}
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	s.Watch(t.Context()) // returns: there is nothing to watch
}

func TestSelfSignedCertificatesLoadWhateverTheirDates(t *testing.T) {
	for want, change := range map[string]certstest.Change{
		`level=INFO msg="TLS: certificate loaded" `:                                                    func(*x509.Certificate) {},
		`level=WARN msg="TLS: certificate loaded that has expired, most clients will refuse it" `:      certstest.Expired,
		`level=WARN msg="TLS: certificate loaded that is not valid yet, most clients will refuse it" `: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
	} {
		var log bytes.Buffer
		c := certs.Config{MinVersion: tls.VersionTLS12, Log: slog.New(slog.NewTextHandler(&log, nil))}
		c.CertFile, c.KeyFile = certstest.SelfSigned(t, change, certstest.Named("own")).Write(t, t.TempDir(), "own")
		if got := servedName(t, load(t, c).Server()); got != "own" {
			t.Errorf("clients see %q", got)
		}
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log is %q, want %q in it", log.String(), want)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	f := newFiles(t)
	self, right := certstest.SelfSigned(t), f.ca.Issue(t)
	expired := f.ca.Issue(t, certstest.Expired)
	large := f.ca.Issue(t, certstest.Named(strings.Repeat("x", 32<<10)))
	for _, policy := range []struct {
		auth                              tls.ClientAuthType
		none, self, right, expired, large bool
	}{
		{tls.NoClientCert, true, true, true, true, true},
		{tls.RequireAnyClientCert, false, true, true, true, false},
		{tls.RequireAndVerifyClientCert, false, false, true, false, false},
	} {
		c := f.config()
		c.RootCAFile, c.ClientAuth = f.roots, policy.auth
		server := load(t, c).Server()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for name, client := range map[string]struct {
				certificate *tls.Certificate
				accepted    bool
			}{
				"none":        {nil, policy.none},
				"self-signed": {&self.Certificate, policy.self},
				"right":       {&right.Certificate, policy.right},
				"expired":     {&expired.Certificate, policy.expired},
				"large":       {&large.Certificate, policy.large},
			} {
				config := &tls.Config{RootCAs: f.ca.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version}
				if client.certificate != nil { // is sent whatever the server would like
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client.certificate, nil }
				}
				_, err := handshake(t, server, config)
				if (err == nil) != client.accepted {
					t.Errorf("%v, %s, client certificate %s: %v", policy.auth, tls.VersionName(version), name, err)
				}
			}
		}
	}
}

func TestMinVersion(t *testing.T) {
	f := newFiles(t)
	versions := []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
	for _, least := range versions {
		c := f.config()
		c.MinVersion = least
		server := load(t, c).Server()
		for _, version := range versions {
			state, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if (err == nil) != (version >= least) || err == nil && state.Version != version {
				t.Errorf("a client with %s at a server from %s on: %s, %v",
					tls.VersionName(version), tls.VersionName(least), tls.VersionName(state.Version), err)
			}
		}
	}
}

func TestReload(t *testing.T) {
	f := newFiles(t)
	c := f.config()
	c.RootCAFile, c.ClientAuth = f.roots, tls.RequireAndVerifyClientCert
	s := load(t, c)
	server := s.Server()
	accepts := func(client certstest.Pair) bool {
		state, err := handshake(t, server, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{client.Certificate}})
		return err == nil && len(state.PeerCertificates) == 1
	}
	newCA := certstest.NewCA(t)
	before, after := f.ca.Issue(t), newCA.Issue(t)
	if !accepts(before) || accepts(after) {
		t.Fatal("the authority at the start is not in force")
	}

	newCA.Write(t, f.dir, "ca")
	if !accepts(before) || accepts(after) {
		t.Error("a written file is in force without a reload")
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if accepts(before) || !accepts(after) {
		t.Error("the new authority is not in force")
	}

	if err := os.WriteFile(f.key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.ca.Write(t, f.dir, "ca")
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), f.key) {
		t.Errorf("the error of a broken key is %v, want it to name %s", err, f.key)
	}
	if accepts(before) || !accepts(after) {
		t.Error("a reload that failed has changed something")
	}
}

// A client that is told which authorities count may keep a certificate of
// another back, so that where any will do, none are named.
func TestRequireNamesNoAuthorities(t *testing.T) {
	f := newFiles(t)
	c := f.config()
	c.RootCAFile, c.ClientAuth = f.roots, tls.RequireAnyClientCert
	_, err := handshake(t, load(t, c).Server(), &tls.Config{
		InsecureSkipVerify: true, Certificates: []tls.Certificate{certstest.SelfSigned(t).Certificate},
	})
	if err != nil {
		t.Error(err)
	}
}

// A client whose authority went away must not come in by an old session.
func TestResumedSessionsAreNoWayAroundAReload(t *testing.T) {
	f := newFiles(t)
	c := f.config()
	c.RootCAFile, c.ClientAuth = f.roots, tls.RequireAndVerifyClientCert
	s := load(t, c)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f.ca.Write(t, f.dir, "ca")
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		client := &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{f.ca.Issue(t).Certificate}, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
		if _, err := handshake(t, s.Server(), client); err != nil {
			t.Fatal(err)
		}
		certstest.NewCA(t).Write(t, f.dir, "ca")
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if state, err := handshake(t, s.Server(), client); err == nil {
			t.Errorf("%s: accepted, resumed: %v", tls.VersionName(version), state.DidResume)
		}
	}
}

func TestDialTLSFollowsReloads(t *testing.T) {
	f := newFiles(t)
	c := f.config()
	c.RootCAFile = f.roots
	s := load(t, c)
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.Server())
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer l.Close()
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	})
	dial := s.DialTLS(&net.Dialer{Timeout: 10 * time.Second})
	try := func() error {
		conn, err := dial(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := try(); err != nil {
		t.Fatal(err)
	}
	certstest.NewCA(t).Write(t, f.dir, "ca")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := try(); err == nil || !strings.Contains(err.Error(), x509.UnknownAuthorityError{}.Error()) {
		t.Errorf("after its authority has gone the server is reached with %v", err)
	}
}

// TestWatch has files change in all the ways in which they do.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t)
		var log loggingtest.Buffer
		c := f.config()
		c.Log = log.Logger(slog.LevelInfo)
		s := load(t, c)
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		defer watching.Wait()
		defer stop()
		watching.Go(func() { s.Watch(ctx) })
		wait := func() {
			<-time.After(5 * time.Second) // on the fake clock
			synctest.Wait()
		}
		want := func(name, what string) {
			t.Helper()
			wait()
			if got := servedName(t, s.Server()); got != name {
				t.Errorf("%s: clients see %q, want %q", what, got, name)
			}
		}
		errorsLogged := func() int { return strings.Count(log.String(), "level=ERROR") }

		f.ca.Issue(t, certstest.Named("second")).Write(t, f.dir, "server")
		want("second", "both files written in place")

		third := f.ca.Issue(t, certstest.Named("third"))
		if err := os.WriteFile(f.cert, third.CertPEM, 0o600); err != nil {
			t.Fatal(err)
		}
		want("second", "a certificate whose key is not there yet")
		wait()
		if errorsLogged() != 1 || !strings.Contains(log.String(), f.cert) {
			t.Errorf("the log does not say once which file is broken:\n%s", log.String())
		}
		if err := os.WriteFile(f.key, third.KeyPEM, 0o600); err != nil {
			t.Fatal(err)
		}
		want("third", "its key")

		if err := os.WriteFile(f.cert, third.CertPEM[:100], 0o600); err != nil {
			t.Fatal(err)
		}
		want("third", "half a file")
		if err := os.Remove(f.cert); err != nil {
			t.Fatal(err)
		}
		want("third", "a file that is gone")
		if errorsLogged() != 3 {
			t.Errorf("%d errors are logged, want 3:\n%s", errorsLogged(), log.String())
		}
		f.ca.Issue(t, certstest.Named("fourth")).Write(t, f.dir, "server")
		want("fourth", "the file is back")
		wait()
		if got := strings.Count(log.String(), "are in force"); got != 3 {
			t.Errorf("%d reloads are logged, want 3:\n%s", got, log.String())
		}
	})
}

// Kubernetes swaps a symbolic link on the way to the files.
func TestWatchSeesASwappedDirectory(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		version := filepath.Join(dir, fmt.Sprint("v", i))
		if err := os.Mkdir(version, 0o700); err != nil {
			t.Fatal(err)
		}
		certstest.SelfSigned(t, certstest.Named(fmt.Sprint("v", i))).Write(t, version, "server")
	}
	link := filepath.Join(dir, "data")
	if err := os.Symlink("v0", link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := load(t, certs.Config{
			CertFile: filepath.Join(link, "server.crt"), KeyFile: filepath.Join(link, "server.key"),
			MinVersion: tls.VersionTLS12, Log: slog.New(slog.DiscardHandler),
		})
		ctx, stop := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		defer watching.Wait()
		defer stop()
		watching.Go(func() { s.Watch(ctx) })
		if err := os.Symlink("v1", link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Second) // on the fake clock
		synctest.Wait()
		if got := servedName(t, s.Server()); got != "v1" {
			t.Errorf("clients see %q", got)
		}
	})
}
