package nsqadmin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// An nsqd that answers over TLS only, and wants to see a certificate, is asked as
// the flags say, and can be told to do something.
func TestDaemonsWithTLS(t *testing.T) {
	dir, ca := t.TempDir(), certstest.NewCA(t)
	caFile, _ := ca.Write(t, dir, "ca")
	otherCA, _ := certstest.NewCA(t).Write(t, dir, "other")
	cert, key := ca.Issue(t).Write(t, dir, "client")

	broker := nsqtest.Options(t)
	broker.TLSCert, broker.TLSKey = ca.Issue(t).Write(t, dir, "server")
	broker.TLSRootCAFile, broker.TLSClientAuthPolicy = caFile, "require-verify"
	broker.TLSRequired = nsqd.TLSRequiredAlways
	broker.HTTPSAddress = "127.0.0.1:0"
	d := nsqtest.Start(t, broker)

	for name, c := range map[string]struct {
		set func(*Options)
		err string // part of the answer, "" for none
	}{
		"as it should be": {func(o *Options) {
			o.HTTPClientTLSRootCAFile, o.HTTPClientTLSCert, o.HTTPClientTLSKey = caFile, cert, key
		}, ""},
		"without a look at its certificate": {func(o *Options) {
			o.HTTPClientTLSInsecureSkipVerify, o.HTTPClientTLSCert, o.HTTPClientTLSKey = true, cert, key
		}, ""},
		"of another authority": {func(o *Options) {
			o.HTTPClientTLSRootCAFile, o.HTTPClientTLSCert, o.HTTPClientTLSKey = otherCA, cert, key
		}, "certificate signed by unknown authority"},
		"without a certificate of ours": {func(o *Options) { o.HTTPClientTLSRootCAFile = caFile }, "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			opts.NSQDHTTPAddresses = []string{d.RealHTTPAddr().String()}
			c.set(opts)
			a := start(t, opts)
			for _, request := range []string{"GET /api/nodes", "POST /api/topics"} {
				method, path, _ := strings.Cut(request, " ")
				resp, body := a.do(method, path, `{"topic":"t"}`)
				if c.err == "" && resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %d %s", request, resp.StatusCode, body)
				}
				if c.err != "" && (resp.StatusCode != http.StatusBadGateway || !strings.Contains(body, c.err)) {
					t.Errorf("%s: %d %s, want %s", request, resp.StatusCode, body, c.err)
				}
			}
		})
	}
}

func TestLiveRequestsAreNotLogged(t *testing.T) {
	log := new(loggingtest.Buffer)
	opts := testOptions(t, nsqtest.StartLookupd(t, nil))
	opts.Logger = log.Logger(opts.LogLevel.Level())
	a := start(t, opts)
	a.get("/topics?q=live", "X-Live: 1")
	a.do("POST", "/action?q=live", "", "X-Live: 1")
	a.get("/topics?q=person")
	for line, want := range map[string]bool{"200 GET /topics?q=person": true, "200 GET /topics?q=live": false, " POST /action?q=live": true} {
		nsqtest.Eventually(t, "the last request is logged", func() bool { return strings.Contains(log.String(), "q=person") })
		if got := strings.Contains(log.String(), line); got != want {
			t.Errorf("%q in the log: %v", line, got)
		}
	}
}
