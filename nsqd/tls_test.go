package nsqd_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestStartWithBadCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := certstest.SelfSigned(t).Write(t, dir, "server")
	missing := filepath.Join(dir, "missing")
	for _, tc := range []struct {
		cert, key, roots string
		want             string
	}{
		{missing, key, "", "failed to build TLS config - "},
		{cert, cert, "", "failed to build TLS config - "},
		{cert, key, missing, "failed to build client TLS config - "},
		{cert, key, key, "failed to build client TLS config - failed to append certificate to pool"},
		{"", "", missing, "failed to build client TLS config - "},
	} {
		opts := nsqtest.Options(t)
		opts.TLSCert, opts.TLSKey, opts.TLSRootCAFile = tc.cert, tc.key, tc.roots
		n, err := nsqd.New(opts)
		if err == nil {
			n.Exit()
		}
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("the start with %s, %s, %s ends with %v, want %s", tc.cert, tc.key, tc.roots, err, tc.want)
		}
	}
}
