package nsqd_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/httpapi/httpapitest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// startWithTLS runs a broker with a certificate of its own and HTTPS.
func startWithTLS(t *testing.T, opts *nsqd.Options) *nsqtest.NSQD {
	opts.TLSCert, opts.TLSKey = certstest.SelfSigned(t).Write(t, t.TempDir(), "server")
	opts.HTTPSAddress = "127.0.0.1:0"
	return nsqtest.Start(t, opts)
}

func TestHTTPSNeedsACertificate(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.HTTPSAddress = "127.0.0.1:0"
	if addr := nsqtest.Start(t, opts).RealHTTPSAddr(); addr != nil {
		t.Errorf("HTTPS on %v without a certificate", addr)
	}
	opts.HTTPSAddress = ""
	if addr := nsqtest.Start(t, nsqtest.Options(t)).RealHTTPSAddr(); addr != nil {
		t.Errorf("HTTPS on %v though it is off", addr)
	}
}

// Who offers HTTP/2 gets HTTP/1.1.
func TestHTTPSIsHTTP1(t *testing.T) {
	n := startWithTLS(t, nsqtest.Options(t))
	conn, err := tls.Dial("tcp", n.RealHTTPSAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "GET /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK\r\n") || err != nil {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestTLSRequired(t *testing.T) {
	for required, refused := range map[nsqd.TLSRequired]bool{
		nsqd.TLSRequiredAlways:     true,
		nsqd.TLSRequiredExceptHTTP: false,
		nsqd.TLSNotRequired:        false,
	} {
		opts := nsqtest.Options(t)
		opts.TLSRequired = required
		n := startWithTLS(t, opts)
		port := n.RealHTTPSAddr().(*net.TCPAddr).Port
		plain, secure := newAPI(t, n), newSecureAPI(t, n, nil)
		secure.client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
		secure.want(200, "OK", "GET", "/ping", "")
		secure.want(200, "OK", "POST", "/pub?topic=t", "x")
		if !refused {
			plain.want(200, "OK", "GET", "/ping", "")
			continue
		}
		for _, request := range []string{"GET /ping", "GET /info", "POST /pub?topic=t", "GET /nothing", "PUT /PING/", "OPTIONS /ping", "GET /debug/pprof/"} {
			method, path, _ := strings.Cut(request, " ")
			resp, body, err := plain.try(method, path, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			got := httpapitest.Transcript(resp.StatusCode, resp.Header, body)
			want := fmt.Sprintf("403\nContent-Length: %d\nContent-Type: %s\nX-Nsq-Content-Type: nsq; version=1.0\n\n"+
				`{"message": "TLS_REQUIRED", "https_port": %d}`, len(body), httpapitest.JSON, port)
			if got != want {
				t.Errorf("%s:\ngot  %s\nwant %s", request, got, want)
			}
		}
	}
}

func TestTLSRequiredWithoutHTTPS(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.TLSCert, opts.TLSKey = certstest.SelfSigned(t).Write(t, t.TempDir(), "server")
	opts.TLSRequired = nsqd.TLSRequiredAlways
	newAPI(t, nsqtest.Start(t, opts)).want(403, `{"message": "TLS_REQUIRED", "https_port": 0}`, "GET", "/ping", "")
}

// The certificates of clients are asked for as on the TCP port.
func TestHTTPSClientCertificates(t *testing.T) {
	ca := certstest.NewCA(t)
	good, unknown := ca.Issue(t), certstest.SelfSigned(t)
	roots := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(roots, ca.CertPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	for policy, want := range map[string]string{ // for no certificate, one of an unknown authority, a good one
		"":               "OK OK OK",
		"require":        "refused OK OK",
		"require-verify": "refused refused OK",
	} {
		opts := nsqtest.Options(t)
		opts.TLSClientAuthPolicy, opts.TLSRootCAFile = policy, roots
		n := startWithTLS(t, opts)
		var got []string
		for _, client := range [][]tls.Certificate{nil, {unknown.Certificate}, {good.Certificate}} {
			a := newSecureAPI(t, n, nil, client...)
			a.client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
			_, body, err := a.try("GET", "/ping", nil)
			if _, ok := errors.AsType[*net.OpError](err); ok {
				body = "refused"
			} else if err != nil {
				t.Errorf("%q: %v", policy, err)
			}
			got = append(got, body)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %s", policy, got, want)
		}
	}
}

// Whatever peers do or leave, a stop goes on: those that are in a handshake, and
// those that keep a connection open after an answer and never close it.
func TestStalledHTTPSDoesNotDelayStop(t *testing.T) {
	n := startWithTLS(t, nsqtest.Options(t))
	address := n.RealHTTPSAddr().String()
	for range 20 {
		for _, sent := range []string{"", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\n"} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, sent)
		}
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		io.WriteString(conn, "GET /ping HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	n.Stop()
	if took := time.Since(began); took > time.Second {
		t.Errorf("the stop took %v", took)
	}
}

func TestListenErrorNamesTheAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for _, change := range []func(*nsqd.Options){
		func(o *nsqd.Options) { o.TCPAddress = address },
		func(o *nsqd.Options) { o.HTTPAddress = address },
		func(o *nsqd.Options) { o.HTTPSAddress = address },
	} {
		opts := nsqtest.Options(t)
		opts.TLSCert, opts.TLSKey = certstest.SelfSigned(t).Write(t, t.TempDir(), "server")
		change(opts)
		n, err := nsqd.New(opts)
		if err == nil {
			n.Exit()
		}
		if want := "listen (" + address + ") failed - listen tcp " + address + ": bind: "; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
}

// A broker whose predecessor was killed starts on the same sockets, but not on
// those of one that runs.
func TestStartOnSocketsOfAKilledBroker(t *testing.T) {
	dir, err := os.MkdirTemp("", "nsqd") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opts := nsqtest.Options(t)
	opts.TCPAddress, opts.HTTPAddress = filepath.Join(dir, "tcp"), filepath.Join(dir, "http")
	for _, path := range []string{opts.TCPAddress, opts.HTTPAddress} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
	n := nsqtest.Start(t, opts)
	newAPI(t, n).want(200, "OK", "GET", "/ping", "")

	second := nsqtest.Options(t)
	second.TCPAddress = opts.TCPAddress
	if other, err := nsqd.New(second); err == nil {
		other.Exit()
		t.Error("a second broker listens on the socket of the first")
	}
	newAPI(t, n).want(200, "OK", "GET", "/ping", "")
	n.Stop()
	if files, err := os.ReadDir(dir); len(files) != 0 || err != nil {
		t.Errorf("after a clean stop there are %v, %v", files, err)
	}
}
