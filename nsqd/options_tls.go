package nsqd

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"

	"github.com/seed893f581e/nsq/internal/certs"
)

// TLSRequired says who must use TLS. It is a flag.Value whose flag may stand
// alone, for true.
type TLSRequired int

// The values of TLSRequired, with the numbers that /config shows.
const (
	TLSNotRequired        TLSRequired = iota
	TLSRequiredExceptHTTP             // TCP clients must; plain HTTP is served, too
	TLSRequiredAlways
)

// String is the word that Set takes.
func (r TLSRequired) String() string {
	switch r {
	case TLSRequiredExceptHTTP:
		return "tcp-https"
	case TLSRequiredAlways:
		return "true"
	default:
		return "false"
	}
}

// Set reads tcp-https or a boolean, in any case.
func (r *TLSRequired) Set(word string) error {
	word = strings.ToLower(word)
	if word == "tcp-https" {
		*r = TLSRequiredExceptHTTP
		return nil
	}
	required, err := strconv.ParseBool(word)
	switch {
	case err != nil:
		return fmt.Errorf("%q is neither a boolean nor tcp-https", word)
	case required:
		*r = TLSRequiredAlways
	default:
		*r = TLSNotRequired
	}
	return nil
}

// IsBoolFlag makes the bare flag mean true.
func (r *TLSRequired) IsBoolFlag() bool { return true }

// TLSVersion is a version with the number of crypto/tls. It is a flag.Value.
type TLSVersion uint16

var tlsVersions = []struct {
	word    string
	version TLSVersion
}{
	{"tls1.0", tls.VersionTLS10},
	{"tls1.1", tls.VersionTLS11},
	{"tls1.2", tls.VersionTLS12},
	{"tls1.3", tls.VersionTLS13},
}

// String is the word that Set takes.
func (v TLSVersion) String() string {
	for _, known := range tlsVersions {
		if v == known.version {
			return known.word
		}
	}
	return fmt.Sprintf("0x%04x", uint16(v))
}

// Set reads tls1.0 to tls1.3, in any case. The empty word means the default.
func (v *TLSVersion) Set(word string) error {
	if word == "" {
		*v = tls.VersionTLS12
		return nil
	}
	for _, known := range tlsVersions {
		if strings.EqualFold(word, known.word) {
			*v = known.version
			return nil
		}
	}
	return fmt.Errorf("unknown tlsVersionOption %q (tls1.0, tls1.1, tls1.2, tls1.3)", word)
}

// tlsVersionName returns the name of a version for statistics.
func tlsVersionName(version uint16) string {
	return strings.ToUpper(TLSVersion(version).String())
}

// certsConfig returns what package certs needs to know.
func (o *Options) certsConfig() certs.Config {
	auth := tls.NoClientCert
	switch o.TLSClientAuthPolicy {
	case "require":
		auth = tls.RequireAnyClientCert
	case "require-verify":
		auth = tls.RequireAndVerifyClientCert
	}
	return certs.Config{
		CertFile:   o.TLSCert,
		KeyFile:    o.TLSKey,
		RootCAFile: o.TLSRootCAFile,
		ClientAuth: auth,
		MinVersion: uint16(o.TLSMinVersion),
		Log:        o.Logger,
	}
}
