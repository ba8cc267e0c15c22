// Package nsqjs_test has nsqjs, the Node.js client, publish to our nsqd and
// consume from it, over every kind of connection that they can negotiate.
package nsqjs_test

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
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
			opts.TLSCert, opts.TLSKey = certstest.SelfSigned(t).Write(t, t.TempDir(), "server")
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
