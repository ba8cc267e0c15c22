package nsq

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
)

func TestConfigSetTLS(t *testing.T) {
	dir := t.TempDir()
	ca := certstest.NewCA(t)
	caFile, _ := ca.Write(t, dir, "ca")
	pair, another := ca.Issue(t), ca.Issue(t)
	cert, key := pair.Write(t, dir, "client")
	anotherCert, anotherKey := another.Write(t, dir, "another")
	empty, missing := filepath.Join(dir, "empty"), filepath.Join(dir, "missing")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, noFile := os.ReadFile(missing) // "open ...: no such file or directory", where it is called so
	own := &tls.Config{ServerName: "mine"}

	fresh := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		change(c)
		return c
	}
	type set struct {
		option string
		value  any
	}
	for _, tt := range []struct {
		name string
		sets []set
		want *tls.Config // with what the options before the last gave, if that fails
		err  string      // of the last; "" for none
	}{
		{"a config", []set{{"tls_config", own}}, own, ""},
		{"no config", []set{{"tls_config", own}, {"tls_config", nil}}, nil, ""},
		{"a nil config", []set{{"tls_config", own}, {"tls_config", (*tls.Config)(nil)}}, nil, ""},
		{"a config by value", []set{{"tls_config", 7}}, nil, "failed to coerce option tls_config (7) - invalid value type int"},
		{"an authority", []set{{"tls-root-ca-file", caFile}}, fresh(func(c *tls.Config) { c.RootCAs = ca.Pool() }), ""},
		{"a missing authority", []set{{"tls_root_ca_file", missing}}, nil, noFile.Error()},
		{"an empty authority", []set{{"tls_root_ca_file", empty}}, nil, "failed to append certificate to pool (" + empty + ")"},
		{"an authority that is no path", []set{{"tls_root_ca_file", 7}}, nil, "failed to coerce option tls_root_ca_file (7) - invalid value type int"},
		{"no check", []set{{"tls_insecure_skip_verify", "true"}}, fresh(func(c *tls.Config) { c.InsecureSkipVerify = true }), ""},
		{"a check", []set{{"tls_insecure_skip_verify", 1}, {"tls_insecure_skip_verify", false}}, fresh(func(*tls.Config) {}), ""},
		{"perhaps a check", []set{{"tls_insecure_skip_verify", "maybe"}}, nil, `failed to coerce option tls_insecure_skip_verify (maybe) - strconv.ParseBool: parsing "maybe": invalid syntax`},
		{"a pair", []set{{"tls_cert", cert}, {"tls_key", key}}, fresh(func(c *tls.Config) { c.Certificates = []tls.Certificate{pair.Certificate} }), ""},
		{"a pair, key first", []set{{"tls_key", key}, {"tls_cert", cert}}, fresh(func(c *tls.Config) { c.Certificates = []tls.Certificate{pair.Certificate} }), ""},
		{"another pair", []set{{"tls_cert", cert}, {"tls_key", key}, {"tls_cert", anotherCert}, {"tls_key", anotherKey}}, fresh(func(c *tls.Config) { c.Certificates = []tls.Certificate{another.Certificate} }), ""},
		{"a key of another", []set{{"tls_cert", cert}, {"tls_key", anotherKey}}, fresh(func(*tls.Config) {}), "tls: private key does not match public key (" + cert + " with key " + anotherKey + ")"},
		{"a missing certificate, not read yet", []set{{"tls_cert", missing}}, fresh(func(*tls.Config) {}), ""},
		{"a missing certificate", []set{{"tls_cert", missing}, {"tls_key", key}}, fresh(func(*tls.Config) {}), noFile.Error()},
		{"a certificate that is no path", []set{{"tls_cert", true}}, nil, "failed to coerce option tls_cert (true) - invalid value type bool"},
		{"a key that is no path", []set{{"tls_key", nil}}, nil, "failed to coerce option tls_key (<nil>) - invalid value type <nil>"},
		{"TLS 1.0", []set{{"tls_min_version", "tls1.0"}}, fresh(func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }), ""},
		{"TLS 1.1", []set{{"tls_min_version", "tls1.1"}}, fresh(func(c *tls.Config) { c.MinVersion = tls.VersionTLS11 }), ""},
		{"TLS 1.2", []set{{"tls_min_version", "tls1.2"}}, fresh(func(*tls.Config) {}), ""},
		{"TLS 1.3", []set{{"tls_min_version", "TLS1.3"}}, fresh(func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), ""},
		{"SSL", []set{{"tls_min_version", "ssl3.0"}}, nil, "ERROR: ssl3.0 is not secure and not supported; use tls1.0, tls1.1, tls1.2 or tls1.3"},
		{"an unknown version", []set{{"tls_min_version", "tls1.4"}}, nil, "ERROR: tls1.4 is not a tls version"},
		{"a version that is no word", []set{{"tls_min_version", 1.2}}, nil, "failed to coerce option tls_min_version (1.2) - invalid value type float64"},
		{"a change of a config", []set{{"tls_config", own}, {"tls_min_version", "tls1.3"}}, &tls.Config{ServerName: "mine", MinVersion: tls.VersionTLS13}, ""},
		{"capitals", []set{{"TLS_CERT", cert}}, nil, "invalid option TLS_CERT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := NewConfig()
			var err error
			for i, s := range tt.sets {
				before := *c
				if err = c.Set(s.option, s.value); err == nil {
					continue
				}
				if i < len(tt.sets)-1 {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(*c, before) {
					t.Errorf("Set(%q, %v) failed and changed the config", s.option, s.value)
				}
			}
			if err == nil && tt.err != "" || err != nil && err.Error() != tt.err {
				t.Errorf("got error %v, want %s", err, tt.err)
			}
			checkTLS(t, c.TlsConfig, tt.want)
			if own.MinVersion != 0 {
				t.Error("the program's own config was changed")
			}
		})
	}
}

// checkTLS compares what options can set.
func checkTLS(t *testing.T, got, want *tls.Config) {
	t.Helper()
	if got == nil || want == nil {
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		return
	}
	if !got.RootCAs.Equal(want.RootCAs) {
		t.Error("other authorities than wanted")
	}
	if got.MinVersion != want.MinVersion || got.MaxVersion != 0 || got.InsecureSkipVerify != want.InsecureSkipVerify || got.ServerName != want.ServerName {
		t.Errorf("versions %x to %x, no check %v, name %q", got.MinVersion, got.MaxVersion, got.InsecureSkipVerify, got.ServerName)
	}
	if len(got.Certificates) != len(want.Certificates) {
		t.Fatalf("%d certificates, want %d", len(got.Certificates), len(want.Certificates))
	}
	for i := range got.Certificates {
		if !reflect.DeepEqual(got.Certificates[i].Certificate, want.Certificates[i].Certificate) {
			t.Error("another certificate than wanted")
		}
	}
}

func TestHalfAClientCertificate(t *testing.T) {
	for option, want := range map[string]string{
		"tls_cert": "tls_cert a.pem is set without tls_key",
		"tls_key":  "tls_key a.pem is set without tls_cert",
	} {
		c := NewConfig()
		if err := c.Set(option, "a.pem"); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("without TLS: %v", err)
		}
		c.TlsV1 = true
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("Validate: %v, want %s", err, want)
		}
	}
}

func TestServerName(t *testing.T) {
	for _, tt := range []struct {
		addr   string
		config *tls.Config
		want   string
	}{
		{"nsqd.example.com:4150", nil, "nsqd.example.com"},
		{"127.0.0.1:4150", &tls.Config{}, "127.0.0.1"},
		{"[::1]:4150", nil, "::1"},
		{"127.0.0.1:4150", &tls.Config{ServerName: "nsqd"}, "nsqd"},
	} {
		c := NewConfig()
		c.TlsConfig = tt.config
		if got := c.tlsFor(tt.addr); got.ServerName != tt.want {
			t.Errorf("%s: %q, want %q", tt.addr, got.ServerName, tt.want)
		}
	}
}
