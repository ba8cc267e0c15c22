// Package certstest makes certificates for tests.
package certstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A Pair is a certificate and its key.
type Pair struct {
	tls.Certificate
	CertPEM, KeyPEM []byte
}

// A Change alters a certificate before it is signed.
type Change func(*x509.Certificate)

// Expired is a Change: the certificate is no longer valid.
func Expired(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(time.Hour) }

// Named sets the common name.
func Named(name string) Change {
	return func(c *x509.Certificate) { c.Subject.CommonName = name }
}

// SelfSigned makes a certificate that no authority vouches for. It is good for
// clients and for servers on this machine, also on the fake clock of a bubble.
func SelfSigned(tb testing.TB, changes ...Change) Pair {
	tb.Helper()
	return issue(tb, nil, changes)
}

// A CA is an authority.
type CA struct{ Pair }

// NewCA makes an authority.
func NewCA(tb testing.TB) CA {
	tb.Helper()
	return CA{issue(tb, nil, []Change{Named("authority"), func(c *x509.Certificate) {
		c.IsCA = true
		c.KeyUsage |= x509.KeyUsageCertSign
	}})}
}

// Issue makes a certificate that the authority vouches for.
func (ca CA) Issue(tb testing.TB, changes ...Change) Pair {
	tb.Helper()
	return issue(tb, &ca.Pair, changes)
}

// Pool returns a pool of this authority alone.
func (p Pair) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Leaf)
	return pool
}

// Write writes the files name.crt and name.key in dir and returns their paths.
func (p Pair) Write(tb testing.TB, dir, name string) (cert, key string) {
	tb.Helper()
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(cert, p.CertPEM, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(key, p.KeyPEM, 0o600); err != nil {
		tb.Fatal(err)
	}
	return cert, key
}

func issue(tb testing.TB, by *Pair, changes []Change) Pair {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2195, 1, 1, 0, 0, 0, 0, time.UTC),
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, change := range changes {
		change(c)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	p := Pair{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	if p.Certificate, err = tls.X509KeyPair(p.CertPEM, p.KeyPEM); err != nil {
		tb.Fatal(err)
	}
	return p
}
