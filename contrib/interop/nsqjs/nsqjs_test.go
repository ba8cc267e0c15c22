// Package nsqjs_test has nsqjs, the Node.js client, publish to our nsqd and
// consume from it, over every kind of connection that they can negotiate.
package nsqjs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestNSQJS(t *testing.T) {
	if _, err := os.Stat("node_modules"); err != nil {
		if os.Getenv("NSQ_INTEROP") != "" {
			t.Fatalf("nsqjs is not installed: %v", err)
		}
		t.Skip("nsqjs is not installed here: make interop installs it and runs this test")
	}
	for _, c := range []struct{ name, options string }{
		{"plain", `{}`},
		{"TLS", `{"tls":true,"tlsVerification":false}`},
		{"snappy", `{"snappy":true}`},
		{"deflate", `{"deflate":true,"deflateLevel":6}`},
		{"TLS and snappy", `{"tls":true,"tlsVerification":false,"snappy":true}`},
		{"TLS and deflate", `{"tls":true,"tlsVerification":false,"deflate":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.TLSCert, opts.TLSKey = certificate(t)
			n := nsqtest.Start(t, opts)
			tcp, http := n.RealTCPAddr().(*net.TCPAddr), n.RealHTTPAddr().(*net.TCPAddr)
			out, err := exec.CommandContext(t.Context(), "node", "client.js",
				tcp.IP.String(), strconv.Itoa(tcp.Port), strconv.Itoa(http.Port), c.options).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Log(strings.TrimSpace(string(out)))
		})
	}
}

// certificate makes a self-signed one and returns the files of it and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "nsqd"},
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", cert), writePEM(t, "PRIVATE KEY", keyDER)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
