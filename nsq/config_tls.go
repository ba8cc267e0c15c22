package nsq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/seed893f581e/nsq/internal/certs"
)

// certFiles names the files of a client certificate.
type certFiles struct{ cert, key string }

// A tlsOption applies a value to copies of what Config has, which the caller
// throws away if that fails.
type tlsOption func(t *tls.Config, files *certFiles, value any) error

// tlsOptions are the options that have no field of their own.
var tlsOptions = map[string]tlsOption{
	"tls_root_ca_file": func(t *tls.Config, _ *certFiles, value any) error {
		file, err := coerceWord(value)
		if err == nil {
			t.RootCAs, err = certs.LoadRoots(file)
		}
		return err
	},
	"tls_insecure_skip_verify": func(t *tls.Config, _ *certFiles, value any) (err error) {
		if t.InsecureSkipVerify, err = coerceBool(value); err != nil {
			return coercionError{err}
		}
		return nil
	},
	"tls_cert": func(t *tls.Config, files *certFiles, value any) (err error) {
		if files.cert, err = coerceWord(value); err != nil {
			return err
		}
		return files.load(t)
	},
	"tls_key": func(t *tls.Config, files *certFiles, value any) (err error) {
		if files.key, err = coerceWord(value); err != nil {
			return err
		}
		return files.load(t)
	},
	"tls_min_version": func(t *tls.Config, _ *certFiles, value any) error {
		word, err := coerceWord(value)
		if err == nil {
			t.MinVersion, err = tlsVersion(word)
		}
		return err
	},
}

// load reads the files when both are known. To replace a certificate, both have
// to be set again.
func (f *certFiles) load(t *tls.Config) error {
	if f.cert == "" || f.key == "" {
		return nil
	}
	pair, err := certs.LoadPair(f.cert, f.key)
	if err != nil {
		return err
	}
	t.Certificates = []tls.Certificate{*pair}
	*f = certFiles{}
	return nil
}

// setTLS sets one of tlsOptions. It leaves the TlsConfig that others may use as
// it is and puts a changed one in its place.
func (c *Config) setTLS(option string, value any, set tlsOption) error {
	t, files := c.cloneTLS(), c.certFiles
	if err := set(t, &files, value); err != nil {
		if _, ok := errors.AsType[coercionError](err); ok {
			return fmt.Errorf("failed to coerce option %s (%v) - %w", option, value, err)
		}
		return err // names the file, or the word
	}
	c.TlsConfig, c.certFiles = t, files
	return nil
}

// cloneTLS returns a copy of TlsConfig, or what stands for none.
func (c *Config) cloneTLS() *tls.Config {
	if c.TlsConfig == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c.TlsConfig.Clone()
}

// validateTLS reports half a client certificate.
func (c *Config) validateTLS() error {
	switch {
	case !c.TlsV1:
		return nil
	case c.certFiles.cert != "":
		return halfPair("tls_cert", c.certFiles.cert, "tls_key")
	case c.certFiles.key != "":
		return halfPair("tls_key", c.certFiles.key, "tls_cert")
	}
	return nil
}

func halfPair(option, file, other string) error {
	return &OptionError{Option: option, Value: file, Err: fmt.Errorf("%s %s is set without %s", option, file, other)}
}

// tlsVersion returns the version that a word means, in any case.
func tlsVersion(word string) (uint16, error) {
	switch strings.ToLower(word) {
	case "ssl3.0":
		return 0, fmt.Errorf("ERROR: %s is not secure and not supported; use tls1.0, tls1.1, tls1.2 or tls1.3", word)
	case "tls1.0":
		return tls.VersionTLS10, nil
	case "tls1.1":
		return tls.VersionTLS11, nil
	case "tls1.2":
		return tls.VersionTLS12, nil
	case "tls1.3":
		return tls.VersionTLS13, nil
	}
	return 0, fmt.Errorf("ERROR: %s is not a tls version", word)
}

// coercionError is a value that is of no use for its option.
type coercionError struct{ error }

func (e coercionError) Unwrap() error { return e.error }

// coerceWord returns a value that must be a string.
func coerceWord(v any) (string, error) {
	if word, ok := v.(string); ok {
		return word, nil
	}
	return "", coercionError{fmt.Errorf("invalid value type %T", v)}
}

func coerceTLSConfig(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case *tls.Config:
		return v, nil
	}
	return nil, fmt.Errorf("invalid value type %T", v)
}
