// Package nsqjs_test has nsqjs, the Node.js client, publish to our nsqd and
// consume from it, over every kind of connection that they can negotiate, and
// find it through our nsqlookupd.
package nsqjs_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestNSQJS(t *testing.T) {
	needNSQJS(t)
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
			runClient(t, nsqtest.Start(t, opts), c.options)
		})
	}
}

// A reader that is given only an nsqlookupd.
func TestNSQJSFindsNSQD(t *testing.T) {
	needNSQJS(t)
	lookupd := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	n := nsqtest.Start(t, opts)
	resp, err := http.Post(n.HTTPURL()+"/topic/create?topic=interop", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	runClient(t, n, fmt.Sprintf(`{"lookupdHTTPAddresses":[%q],"lookupdPollInterval":1}`, lookupd.HTTPAddr()))
}

func needNSQJS(t *testing.T) {
	if _, err := os.Stat("node_modules"); err != nil {
		if os.Getenv("NSQ_INTEROP") != "" {
			t.Fatalf("nsqjs is not installed: %v", err)
		}
		t.Skip("nsqjs is not installed here: make interop installs it and runs this test")
	}
}

// runClient has nsqjs work with a broker.
func runClient(t *testing.T, n *nsqtest.NSQD, options string) {
	t.Helper()
	tcpAddr, httpAddr := n.RealTCPAddr().(*net.TCPAddr), n.RealHTTPAddr().(*net.TCPAddr)
	out, err := exec.CommandContext(t.Context(), "node", "client.js",
		tcpAddr.IP.String(), strconv.Itoa(tcpAddr.Port), strconv.Itoa(httpAddr.Port), options).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}
