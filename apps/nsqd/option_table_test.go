package main

import (
	"crypto/tls"
	"strconv"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/nsqd"
)

// The kinds that nsqd alone has.
var (
	tlsRequired = &daemontest.Kind{
		Parse: func(s string) any {
			return map[string]nsqd.TLSRequired{"TCP-https": nsqd.TLSRequiredExceptHTTP, "T": nsqd.TLSRequiredAlways, "0": nsqd.TLSNotRequired}[s]
		},
		TOML:  strconv.Quote,
		Alone: true,
		FlagType: map[string]string{
			"": `"" is neither a boolean nor tcp-https`, "yes": `"yes" is neither a boolean nor tcp-https`,
		},
		FileType: map[string]string{
			`"x"`: `x: "x" is neither a boolean nor tcp-https`, `1`: "1: must be a string",
		},
		Also: map[string]any{`true`: nsqd.TLSRequiredAlways, `false`: nsqd.TLSNotRequired},
	}
	durabilities = &daemontest.Kind{
		Parse: func(s string) any {
			return map[string]nsqd.Durability{"Disk": nsqd.Disk, "fsync": nsqd.Fsync}[s]
		},
		TOML: strconv.Quote,
		FlagType: map[string]string{
			"safe": `unknown durability "safe" (memory, disk, fsync)`,
		},
		FileType: map[string]string{
			`"safe"`: `safe: unknown durability "safe" (memory, disk, fsync)`, `1`: "1: must be a string", `true`: "true: must be a string",
		},
	}
	tlsVersions = &daemontest.Kind{
		Parse: func(s string) any {
			return map[string]nsqd.TLSVersion{
				"": tls.VersionTLS12, "tls1.0": tls.VersionTLS10, "TLS1.1": tls.VersionTLS11, "tls1.2": tls.VersionTLS12, "tls1.3": tls.VersionTLS13,
			}[s]
		},
		TOML: strconv.Quote,
		FlagType: map[string]string{
			"ssl3.0": `unknown tlsVersionOption "ssl3.0" (tls1.0, tls1.1, tls1.2, tls1.3)`, "1.2": `unknown tlsVersionOption "1.2" (tls1.0, tls1.1, tls1.2, tls1.3)`,
		},
		FileType: map[string]string{
			`"tls1.9"`: `tls1.9: unknown tlsVersionOption "tls1.9" (tls1.0, tls1.1, tls1.2, tls1.3)`, `1.2`: "1.2: must be a string", `true`: "true: must be a string",
		},
	}
)

var certificate = []string{"--tls-cert=cert.pem", "--tls-key=key.pem"}

// optionTable has every option, in the order of the struct.
var optionTable = []daemontest.Option{
	{Flag: "node-id", Key: "id", Kind: daemontest.Ints, Good: []string{"0", "1023"}, Bad: daemontest.Mistakes{"-1": "must be [0,1024), is -1", "1024": "must be [0,1024), is 1024", "5150": "must be [0,1024), is 5150"}},
	{Flag: "log-level", Kind: daemontest.Levels, Good: []string{"debug", "INFO", "Warn", "error", "fatal", ""}},
	{Flag: "log-format", Kind: daemontest.LogFormats, Good: []string{"JSON", "text", ""}},
	{Flag: "log-prefix", Kind: daemontest.Texts, Good: []string{"", "broker 1: "}},

	{Flag: "tcp-address", Kind: daemontest.Texts, Good: []string{":0", "0.0.0.0:65535", "[::1]:4150", "host:4150", "/run/nsqd.sock", "/run/a:b.sock", "nsqd.sock", "@nsqd"}, Bad: daemontest.Mistakes{
		"":                "must not be empty",
		"4150":            `must be host:port or the path of a unix socket, is "4150"`,
		"127.0.0.1":       `must be host:port or the path of a unix socket, is "127.0.0.1"`,
		"::1":             `must be host:port or the path of a unix socket, is "::1"`,
		"[::1]":           `must be host:port or the path of a unix socket, is "[::1]"`,
		"localhost":       `must be host:port or the path of a unix socket, is "localhost"`,
		"tcp://host:4150": `must be host:port or the path of a unix socket, is "tcp://host:4150"`,
		"127.0.0.1:99999": `must have a port in [0,65535], is "127.0.0.1:99999"`,
		"127.0.0.1:-1":    `must have a port in [0,65535], is "127.0.0.1:-1"`,
		"127.0.0.1:word":  `must have a port in [0,65535], is "127.0.0.1:word"`,
	}},
	{Flag: "http-address", Kind: daemontest.Texts, Good: []string{"", "127.0.0.1:0", "/run/http.sock"}, Bad: daemontest.Mistakes{
		"4151":   `must be host:port or the path of a unix socket, is "4151"`,
		":99999": `must have a port in [0,65535], is ":99999"`,
	}},
	{Flag: "https-address", Kind: daemontest.Texts, Good: []string{"", "127.0.0.1:0"}, Bad: daemontest.Mistakes{
		"4152":            `must be host:port, is "4152"`,
		"/run/https.sock": `must be host:port, is "/run/https.sock"`,
		"127.0.0.1:70000": `must have a port in [0,65535], is "127.0.0.1:70000"`,
	}},
	{Flag: "broadcast-address", Kind: daemontest.Texts, Good: []string{"", "10.0.0.1"}},
	{Flag: "broadcast-tcp-port", Kind: daemontest.Ints, Good: []string{"0", "65535"}, Bad: daemontest.Mistakes{"-1": "must be [0,65535], is -1", "65536": "must be [0,65535], is 65536"}},
	{Flag: "broadcast-http-port", Kind: daemontest.Ints, Good: []string{"0", "65535"}, Bad: daemontest.Mistakes{"-1": "must be [0,65535], is -1", "65536": "must be [0,65535], is 65536"}},
	{Flag: "topology-region", Kind: daemontest.Texts, Good: []string{"", "eu west"}},
	{Flag: "topology-zone", Kind: daemontest.Texts, Good: []string{"", "a"}},
	{Flag: "max-connections", Kind: daemontest.Ints, Good: []string{"0", "1"}, Bad: daemontest.Mistakes{"-1": "must not be negative, is -1"}},

	{Flag: "lookupd-tcp-address", Key: "nsqlookupd_tcp_addresses", Kind: daemontest.Lists, Good: []string{"127.0.0.1:4160", "a:4160,b:4160,[::1]:4160"}, Bad: daemontest.Mistakes{
		"nsqlookupd":   `must be host:port, is "nsqlookupd"`,
		"a:0":          `must have a port in [1,65535], is "a:0"`,
		"a:4160,b:":    `must have a port in [1,65535], is "b:"`,
		"http://a:416": `must be host:port, is "http://a:416"`,
	}},

	{Flag: "auth-http-address", Key: "auth_http_addresses", Kind: daemontest.Lists, Good: []string{"127.0.0.1:4181", "a:4181,http://b/auth,https://c:443/auth?x=1"}, Bad: daemontest.Mistakes{
		"a":                   `must be host:port, is "a"`,
		"a:99999":             `must have a port in [1,65535], is "a:99999"`,
		"ftp://user:secret@a": `must be host:port or an http or https URL, is "ftp://user:xxxxx@a"`,
		"http:///auth":        `must be host:port or an http or https URL, is "http:///auth"`,
		"http://user:%x@a":    "must be host:port or a URL that can be parsed",
		"a b:1":               "must be host:port or a URL that can be parsed",
		"http://a:99999/auth": `must have a port in [1,65535], is "a:99999"`,
		"https://x:y@[::1]:0": `must have a port in [1,65535], is "[::1]:0"`,
	}},
	{Flag: "auth-http-request-method", Kind: daemontest.Texts, Good: []string{"get", "post"}, Bad: daemontest.Mistakes{
		"": `must be post or get, is ""`, "GET": `must be post or get, is "GET"`, "put": `must be post or get, is "put"`,
	}},
	{Flag: "auth-required", Kind: daemontest.Bools, Good: []string{"true", "F"}, With: []string{"--auth-http-address=127.0.0.1:1"}},
	{Flag: "http-client-connect-timeout", Kind: daemontest.Durations, Good: []string{"1ns", "1m"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s", "-2s": "must be positive, is -2s"}},
	{Flag: "http-client-request-timeout", Kind: daemontest.Durations, Good: []string{"1ns", "1m"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s", "-2s": "must be positive, is -2s"}},

	{Flag: "tls-cert", Kind: daemontest.Texts, Good: []string{"a.pem", "b c.pem"}, Bad: daemontest.Mistakes{"": "=--tls-cert and --tls-key must be given together"}, With: []string{"--tls-key=key.pem"}},
	{Flag: "tls-key", Kind: daemontest.Texts, Good: []string{"a.pem", "b c.pem"}, Bad: daemontest.Mistakes{"": "=--tls-cert and --tls-key must be given together"}, With: []string{"--tls-cert=cert.pem"}},
	{Flag: "tls-client-auth-policy", Kind: daemontest.Texts, Good: []string{"", "require", "require-verify"}, Bad: daemontest.Mistakes{
		"bogus": `must be require or require-verify, is "bogus"`, "Require": `must be require or require-verify, is "Require"`,
	}, With: certificate},
	{Flag: "tls-root-ca-file", Kind: daemontest.Texts, Good: []string{"", "ca.pem"}},
	{Flag: "tls-required", Kind: tlsRequired, Good: []string{"TCP-https", "T", "0"}, With: certificate},
	{Flag: "tls-min-version", Kind: tlsVersions, Good: []string{"tls1.0", "TLS1.1", "tls1.2", "tls1.3", ""}},
	{Flag: "deflate", Kind: daemontest.Bools, Good: []string{"false", "1"}},
	{Flag: "max-deflate-level", Kind: daemontest.Ints, Good: []string{"1", "9"}, Bad: daemontest.Mistakes{"0": "must be [1,9], is 0", "10": "must be [1,9], is 10"}, With: []string{"--deflate=false"}},
	{Flag: "snappy", Kind: daemontest.Bools, Good: []string{"false", "true"}},

	{Flag: "drain-on-term", Kind: daemontest.Durations, Good: []string{"0", "30s", "876000h"}, Bad: daemontest.Mistakes{"-1s": "must not be negative, is -1s", "876001h": "must not be more than 876000h0m0s, is 876001h0m0s"}},

	{Flag: "data-path", Kind: daemontest.Texts, Good: []string{"", "/var/lib/nsq"}},
	{Flag: "durability", Kind: durabilities, Good: []string{"memory", "Disk", "fsync", ""}},
	{Flag: "mem-queue-size", Kind: daemontest.Ints, Good: []string{"0", "1000000"}, Bad: daemontest.Mistakes{"-1": "must not be negative, is -1"}},
	{Flag: "max-bytes-per-file", Kind: daemontest.Ints, Good: []string{"1", "1099511627776"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0"}},
	{Flag: "sync-every", Kind: daemontest.Ints, Good: []string{"0", "1"}, Bad: daemontest.Mistakes{"-1": "must not be negative, is -1"}},
	{Flag: "min-free-disk", Kind: daemontest.Ints, Good: []string{"0", "1073741824"}, Bad: daemontest.Mistakes{"-1": "must not be negative, is -1"}},
	{Flag: "sync-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "1h"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s", "-1s": "must be positive, is -1s"}},

	{Flag: "queue-scan-worker-pool-max", Kind: daemontest.Ints, Good: []string{"1", "64"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0", "-1": "must be positive, is -1"}},
	{Flag: "queue-scan-selection-count", Kind: daemontest.Ints, Good: []string{"0", "20"}, Bad: daemontest.Mistakes{"-1": "must not be negative, is -1"}},

	{Flag: "msg-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "24h"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s", "-5s": "must be positive, is -5s", "1000000h": "must not be more than 876000h0m0s, is 1000000h0m0s"}},
	{Flag: "max-msg-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "24h"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s"}},
	{Flag: "max-msg-size", Kind: daemontest.Ints, Good: []string{"1", "1073741824"}, Bad: daemontest.Mistakes{"0": "must be [1,1073741824], is 0", "1073741825": "must be [1,1073741824], is 1073741825"}},
	{Flag: "max-body-size", Kind: daemontest.Ints, Good: []string{"5", "1073741824"}, Bad: daemontest.Mistakes{"4": "must be [5,1073741824], is 4", "1073741825": "must be [5,1073741824], is 1073741825"}},
	{Flag: "max-req-timeout", Kind: daemontest.Durations, Good: []string{"0", "876000h"}, Bad: daemontest.Mistakes{"-1ns": "must not be negative, is -1ns", "876001h": "must not be more than 876000h0m0s, is 876001h0m0s"}},

	{Flag: "max-defer-timeout", Kind: daemontest.Durations, Good: []string{"0", "8760h"}, Bad: daemontest.Mistakes{"-1ns": "must not be negative, is -1ns", "876001h": "must not be more than 876000h0m0s, is 876001h0m0s"}},

	{Flag: "max-heartbeat-interval", Kind: daemontest.Durations, Good: []string{"1s", "5m"}, Bad: daemontest.Mistakes{"999ms": "must not be less than 1s, is 999ms"}},
	{Flag: "max-rdy-count", Kind: daemontest.Ints, Good: []string{"1", "100000"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0"}},
	{Flag: "max-output-buffer-size", Kind: daemontest.Ints, Good: []string{"64", "1048576"}, Bad: daemontest.Mistakes{"63": "must not be less than 64, is 63"}},
	{Flag: "max-output-buffer-timeout", Kind: daemontest.Durations, Good: []string{"0", "1s"}, Bad: daemontest.Mistakes{"-1s": "must not be negative, is -1s"}},
	{Flag: "min-output-buffer-timeout", Kind: daemontest.Durations, Good: []string{"0", "1s"}, Bad: daemontest.Mistakes{"-1s": "must not be negative, is -1s"}},
	{Flag: "output-buffer-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "1s"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s", "-1s": "must be positive, is -1s"}},
	{Flag: "max-channel-consumers", Kind: daemontest.Ints, Good: []string{"0", "1"}, Bad: daemontest.Mistakes{"-1": "must not be negative, is -1"}},

	{Flag: "statsd-address", Kind: daemontest.Texts, Good: []string{"", "graphite:8125"}, Bad: daemontest.Mistakes{
		"graphite": `must be host:port, is "graphite"`, "graphite:0": `must have a port in [1,65535], is "graphite:0"`,
	}},
	{Flag: "statsd-prefix", Kind: daemontest.Texts, Good: []string{"", "nsq.%s"}},
	{Flag: "statsd-interval", Kind: daemontest.Durations, Good: []string{"1s", "1h"}, Bad: daemontest.Mistakes{"999ms": "must not be less than 1s, is 999ms", "-1m": "must not be less than 1s, is -1m0s"}},
	{Flag: "statsd-mem-stats", Kind: daemontest.Bools, Good: []string{"false", "t"}},
	{Flag: "statsd-udp-packet-size", Kind: daemontest.Ints, Good: []string{"1", "65507"}, Bad: daemontest.Mistakes{"0": "must be [1,65507], is 0", "65508": "must be [1,65507], is 65508"}},
	{Flag: "statsd-exclude-ephemeral", Kind: daemontest.Bools, Good: []string{"true", "false"}},

	{Flag: "e2e-processing-latency-percentile", Key: "e2e_processing_latency_percentiles", Kind: daemontest.Floats, Good: []string{"1,0.99,0.5", "0.001"}, Bad: daemontest.Mistakes{
		"0":       "=invalid E2E processing latency percentile: 0",
		"1.5":     "=invalid E2E processing latency percentile: 1.5",
		"99,0.5":  "=invalid E2E processing latency percentile: 99",
		"1,-0.25": "=invalid E2E processing latency percentile: -0.25",
		"nan":     "=invalid E2E processing latency percentile: NaN",
	}},
	{Flag: "e2e-processing-latency-window-time", Kind: daemontest.Durations, Good: []string{"1ms", "1h"}, Bad: daemontest.Mistakes{"0": "must be positive, is 0s"}},

	{Flag: "enable-experiment", Kind: daemontest.Lists, Good: []string{"topology-aware-consumption", "a,b"}},
}
