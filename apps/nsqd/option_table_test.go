package main

import (
	"crypto/tls"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/nsqd"
)

// optionCase is one option with values that it takes and values that it does
// not, the same for the command line and for the config file.
type optionCase struct {
	flag string
	key  string // "" for the flag with "_" for "-"
	kind *kind
	good []string // at least two different ones, so that precedence can be told
	bad  mistakes // of a right type; none if any value will do
	with []string // other flags that these values need
}

// mistakes are the texts that follow "--flag " for wrong values; "=" stands for
// the whole text, without the flag.
type mistakes map[string]string

// kind is a type of options.
type kind struct {
	parse    func(string) any         // what a good value comes to
	toml     func(string) string      // a good or bad value in the file
	alone    bool                     // the flag needs "=" for its value
	flagType map[string]string        // values of a wrong type on the command line, and the error
	fileType map[string]string        // the same in the file, in TOML
	also     map[string]any           // other spellings, in TOML only
	split    func(value string) []any // a list's elements, each of which is given by a flag of its own
}

var (
	ints = &kind{
		parse: func(s string) any { return must(strconv.ParseInt(s, 10, 64)) },
		toml:  bare,
		flagType: map[string]string{
			"": "parse error", "5.5": "parse error", "5s": "parse error", "1e3": "parse error", "99999999999999999999": "value out of range",
		},
		fileType: map[string]string{
			`5.5`: "5.5: must be an integer or a string of digits", `"5.5"`: "5.5: must be an integer or a string of digits",
			`""`: `"": must be an integer or a string of digits`, `true`: "true: must be an integer or a string of digits",
			`[5]`: "[5]: must be an integer or a string of digits",
		},
	}
	durations = &kind{
		parse:    func(s string) any { return must(time.ParseDuration(s)) },
		toml:     strconv.Quote,
		flagType: map[string]string{"": "parse error", "60": "parse error", "5 s": "parse error", "1d": "parse error"},
		fileType: map[string]string{
			`"5000"`: `5000: must be a duration like "5s" or an integer of milliseconds`,
			`5.5`:    `5.5: must be a duration like "5s" or an integer of milliseconds`,
			`""`:     `"": must be a duration like "5s" or an integer of milliseconds`,
			`true`:   `true: must be a duration like "5s" or an integer of milliseconds`,
		},
		also: map[string]any{`5000`: 5 * time.Second},
	}
	bools = &kind{
		parse: func(s string) any { return must(strconv.ParseBool(s)) },
		toml:  strconv.Quote,
		alone: true,
		flagType: map[string]string{
			"": "parse error", "maybe": "parse error", "2": "parse error",
		},
		fileType: map[string]string{
			`0`: "0: must be true or false", `1`: "1: must be true or false", `"maybe"`: "maybe: must be true or false", `""`: `"": must be true or false`,
		},
		also: map[string]any{`true`: true, `false`: false},
	}
	texts = &kind{
		parse: func(s string) any { return s },
		toml:  strconv.Quote,
		fileType: map[string]string{
			`5`: "5: must be a string", `true`: "true: must be a string", `["a"]`: "[a]: must be a string",
		},
	}
	lists = &kind{
		parse: func(s string) any { return strings.Split(s, ",") },
		toml:  strconv.Quote,
		split: elements,
		fileType: map[string]string{
			`5`:        "5: must be an array of strings or one string with commas",
			`["a", 5]`: "[a 5]: must be an array of strings or one string with commas",
		},
		also: map[string]any{`[]`: []string(nil), `""`: []string(nil), `["1.2.3.4:5", "h:6"]`: []string{"1.2.3.4:5", "h:6"}},
	}
	floats = &kind{
		parse: func(s string) any {
			var list []float64
			for word := range strings.SplitSeq(s, ",") {
				list = append(list, must(strconv.ParseFloat(word, 64)))
			}
			return list
		},
		toml:     func(s string) string { return "[" + s + "]" },
		flagType: map[string]string{"": `"" is not a number`, "x": `"x" is not a number`, "0.5,": `"" is not a number`},
		fileType: map[string]string{
			`0.5`: "0.5: must be an array of numbers or one string with commas", `["x"]`: "[x]: must be an array of numbers or one string with commas",
			`"x"`: `x: "x" is not a number`,
		},
		also: map[string]any{
			`[]`: []float64(nil), `""`: []float64(nil), `"1, 0.5"`: []float64{1, 0.5},
			`[0.5, 1.0, 0.99]`: []float64{0.5, 1, 0.99}, // the order of a file is kept
		},
	}
	levels = &kind{
		parse: func(s string) any {
			return logging.Level(map[string]slog.Level{
				"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "": slog.LevelInfo, "Warn": slog.LevelWarn, "error": slog.LevelError, "fatal": logging.LevelFatal,
			}[s])
		},
		toml: strconv.Quote,
		flagType: map[string]string{
			"warning": "invalid log level 'warning' (debug, info, warn, error, fatal)", "4": "invalid log level '4' (debug, info, warn, error, fatal)",
		},
		fileType: map[string]string{
			`"x"`: "x: invalid log level 'x' (debug, info, warn, error, fatal)", `1`: "1: must be a string", `true`: "true: must be a string",
		},
	}
	tlsRequired = &kind{
		parse: func(s string) any {
			return map[string]nsqd.TLSRequired{"TCP-https": nsqd.TLSRequiredExceptHTTP, "T": nsqd.TLSRequiredAlways, "0": nsqd.TLSNotRequired}[s]
		},
		toml:  strconv.Quote,
		alone: true,
		flagType: map[string]string{
			"": `"" is neither a boolean nor tcp-https`, "yes": `"yes" is neither a boolean nor tcp-https`,
		},
		fileType: map[string]string{
			`"x"`: `x: "x" is neither a boolean nor tcp-https`, `1`: "1: must be a string",
		},
		also: map[string]any{`true`: nsqd.TLSRequiredAlways, `false`: nsqd.TLSNotRequired},
	}
	tlsVersions = &kind{
		parse: func(s string) any {
			return map[string]nsqd.TLSVersion{
				"": tls.VersionTLS12, "tls1.0": tls.VersionTLS10, "TLS1.1": tls.VersionTLS11, "tls1.2": tls.VersionTLS12, "tls1.3": tls.VersionTLS13,
			}[s]
		},
		toml: strconv.Quote,
		flagType: map[string]string{
			"ssl3.0": `unknown tlsVersionOption "ssl3.0" (tls1.0, tls1.1, tls1.2, tls1.3)`, "1.2": `unknown tlsVersionOption "1.2" (tls1.0, tls1.1, tls1.2, tls1.3)`,
		},
		fileType: map[string]string{
			`"tls1.9"`: `tls1.9: unknown tlsVersionOption "tls1.9" (tls1.0, tls1.1, tls1.2, tls1.3)`, `1.2`: "1.2: must be a string", `true`: "true: must be a string",
		},
	}
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func bare(s string) string { return s }

func elements(s string) []any {
	var list []any
	for word := range strings.SplitSeq(s, ",") {
		list = append(list, word)
	}
	return list
}

var certificate = []string{"--tls-cert=cert.pem", "--tls-key=key.pem"}

// optionTable has every option, in the order of the struct.
var optionTable = []optionCase{
	{flag: "node-id", key: "id", kind: ints, good: []string{"0", "1023"}, bad: mistakes{"-1": "must be [0,1024), is -1", "1024": "must be [0,1024), is 1024", "5150": "must be [0,1024), is 5150"}},
	{flag: "log-level", kind: levels, good: []string{"debug", "INFO", "Warn", "error", "fatal", ""}},
	{flag: "log-prefix", kind: texts, good: []string{"", "broker 1: "}},

	{flag: "tcp-address", kind: texts, good: []string{":0", "0.0.0.0:65535", "[::1]:4150", "host:4150", "/run/nsqd.sock", "/run/a:b.sock", "nsqd.sock", "@nsqd"}, bad: mistakes{
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
	{flag: "http-address", kind: texts, good: []string{"", "127.0.0.1:0", "/run/http.sock"}, bad: mistakes{
		"4151":   `must be host:port or the path of a unix socket, is "4151"`,
		":99999": `must have a port in [0,65535], is ":99999"`,
	}},
	{flag: "https-address", kind: texts, good: []string{"", "127.0.0.1:0"}, bad: mistakes{
		"4152":            `must be host:port, is "4152"`,
		"/run/https.sock": `must be host:port, is "/run/https.sock"`,
		"127.0.0.1:70000": `must have a port in [0,65535], is "127.0.0.1:70000"`,
	}},
	{flag: "broadcast-address", kind: texts, good: []string{"", "10.0.0.1"}},
	{flag: "broadcast-tcp-port", kind: ints, good: []string{"0", "65535"}, bad: mistakes{"-1": "must be [0,65535], is -1", "65536": "must be [0,65535], is 65536"}},
	{flag: "broadcast-http-port", kind: ints, good: []string{"0", "65535"}, bad: mistakes{"-1": "must be [0,65535], is -1", "65536": "must be [0,65535], is 65536"}},
	{flag: "topology-region", kind: texts, good: []string{"", "eu west"}},
	{flag: "topology-zone", kind: texts, good: []string{"", "a"}},
	{flag: "max-connections", kind: ints, good: []string{"0", "1"}, bad: mistakes{"-1": "must not be negative, is -1"}},

	{flag: "lookupd-tcp-address", key: "nsqlookupd_tcp_addresses", kind: lists, good: []string{"127.0.0.1:4160", "a:4160,b:4160,[::1]:4160"}, bad: mistakes{
		"nsqlookupd":   `must be host:port, is "nsqlookupd"`,
		"a:0":          `must have a port in [1,65535], is "a:0"`,
		"a:4160,b:":    `must have a port in [1,65535], is "b:"`,
		"http://a:416": `must be host:port, is "http://a:416"`,
	}},

	{flag: "auth-http-address", key: "auth_http_addresses", kind: lists, good: []string{"127.0.0.1:4181", "a:4181,http://b/auth,https://c:443/auth?x=1"}, bad: mistakes{
		"a":                   `must be host:port, is "a"`,
		"a:99999":             `must have a port in [1,65535], is "a:99999"`,
		"ftp://user:secret@a": `must be host:port or an http or https URL, is "ftp://user:xxxxx@a"`,
		"http:///auth":        `must be host:port or an http or https URL, is "http:///auth"`,
		"http://user:%x@a":    "must be host:port or a URL that can be parsed",
		"a b:1":               "must be host:port or a URL that can be parsed",
		"http://a:99999/auth": `must have a port in [1,65535], is "a:99999"`,
		"https://x:y@[::1]:0": `must have a port in [1,65535], is "[::1]:0"`,
	}},
	{flag: "auth-http-request-method", kind: texts, good: []string{"get", "post"}, bad: mistakes{
		"": `must be post or get, is ""`, "GET": `must be post or get, is "GET"`, "put": `must be post or get, is "put"`,
	}},
	{flag: "auth-required", kind: bools, good: []string{"true", "F"}, with: []string{"--auth-http-address=127.0.0.1:1"}},
	{flag: "http-client-connect-timeout", kind: durations, good: []string{"1ns", "1m"}, bad: mistakes{"0": "must be positive, is 0s", "-2s": "must be positive, is -2s"}},
	{flag: "http-client-request-timeout", kind: durations, good: []string{"1ns", "1m"}, bad: mistakes{"0": "must be positive, is 0s", "-2s": "must be positive, is -2s"}},

	{flag: "tls-cert", kind: texts, good: []string{"a.pem", "b c.pem"}, bad: mistakes{"": "=--tls-cert and --tls-key must be given together"}, with: []string{"--tls-key=key.pem"}},
	{flag: "tls-key", kind: texts, good: []string{"a.pem", "b c.pem"}, bad: mistakes{"": "=--tls-cert and --tls-key must be given together"}, with: []string{"--tls-cert=cert.pem"}},
	{flag: "tls-client-auth-policy", kind: texts, good: []string{"", "require", "require-verify"}, bad: mistakes{
		"bogus": `must be require or require-verify, is "bogus"`, "Require": `must be require or require-verify, is "Require"`,
	}, with: certificate},
	{flag: "tls-root-ca-file", kind: texts, good: []string{"", "ca.pem"}},
	{flag: "tls-required", kind: tlsRequired, good: []string{"TCP-https", "T", "0"}, with: certificate},
	{flag: "tls-min-version", kind: tlsVersions, good: []string{"tls1.0", "TLS1.1", "tls1.2", "tls1.3", ""}},
	{flag: "deflate", kind: bools, good: []string{"false", "1"}},
	{flag: "max-deflate-level", kind: ints, good: []string{"1", "9"}, bad: mistakes{"0": "must be [1,9], is 0", "10": "must be [1,9], is 10"}, with: []string{"--deflate=false"}},
	{flag: "snappy", kind: bools, good: []string{"false", "true"}},

	{flag: "data-path", kind: texts, good: []string{"", "/var/lib/nsq"}},
	{flag: "mem-queue-size", kind: ints, good: []string{"0", "1000000"}, bad: mistakes{"-1": "must not be negative, is -1"}},
	{flag: "max-bytes-per-file", kind: ints, good: []string{"1", "1099511627776"}, bad: mistakes{"0": "must be positive, is 0"}},
	{flag: "sync-every", kind: ints, good: []string{"0", "1"}, bad: mistakes{"-1": "must not be negative, is -1"}},
	{flag: "min-free-disk", kind: ints, good: []string{"0", "1073741824"}, bad: mistakes{"-1": "must not be negative, is -1"}},
	{flag: "sync-timeout", kind: durations, good: []string{"1ms", "1h"}, bad: mistakes{"0": "must be positive, is 0s", "-1s": "must be positive, is -1s"}},

	{flag: "queue-scan-worker-pool-max", kind: ints, good: []string{"1", "64"}, bad: mistakes{"0": "must be positive, is 0", "-1": "must be positive, is -1"}},
	{flag: "queue-scan-selection-count", kind: ints, good: []string{"0", "20"}, bad: mistakes{"-1": "must not be negative, is -1"}},

	{flag: "msg-timeout", kind: durations, good: []string{"1ms", "24h"}, bad: mistakes{"0": "must be positive, is 0s", "-5s": "must be positive, is -5s", "1000000h": "must not be more than 876000h0m0s, is 1000000h0m0s"}},
	{flag: "max-msg-timeout", kind: durations, good: []string{"1ms", "24h"}, bad: mistakes{"0": "must be positive, is 0s"}},
	{flag: "max-msg-size", kind: ints, good: []string{"1", "1073741824"}, bad: mistakes{"0": "must be [1,1073741824], is 0", "1073741825": "must be [1,1073741824], is 1073741825"}},
	{flag: "max-body-size", kind: ints, good: []string{"5", "1073741824"}, bad: mistakes{"4": "must be [5,1073741824], is 4", "1073741825": "must be [5,1073741824], is 1073741825"}},
	{flag: "max-req-timeout", kind: durations, good: []string{"0", "876000h"}, bad: mistakes{"-1ns": "must not be negative, is -1ns", "876001h": "must not be more than 876000h0m0s, is 876001h0m0s"}},

	{flag: "max-heartbeat-interval", kind: durations, good: []string{"1s", "5m"}, bad: mistakes{"999ms": "must not be less than 1s, is 999ms"}},
	{flag: "max-rdy-count", kind: ints, good: []string{"1", "100000"}, bad: mistakes{"0": "must be positive, is 0"}},
	{flag: "max-output-buffer-size", kind: ints, good: []string{"64", "1048576"}, bad: mistakes{"63": "must not be less than 64, is 63"}},
	{flag: "max-output-buffer-timeout", kind: durations, good: []string{"0", "1s"}, bad: mistakes{"-1s": "must not be negative, is -1s"}},
	{flag: "min-output-buffer-timeout", kind: durations, good: []string{"0", "1s"}, bad: mistakes{"-1s": "must not be negative, is -1s"}},
	{flag: "output-buffer-timeout", kind: durations, good: []string{"1ms", "1s"}, bad: mistakes{"0": "must be positive, is 0s", "-1s": "must be positive, is -1s"}},
	{flag: "max-channel-consumers", kind: ints, good: []string{"0", "1"}, bad: mistakes{"-1": "must not be negative, is -1"}},

	{flag: "statsd-address", kind: texts, good: []string{"", "graphite:8125"}, bad: mistakes{
		"graphite": `must be host:port, is "graphite"`, "graphite:0": `must have a port in [1,65535], is "graphite:0"`,
	}},
	{flag: "statsd-prefix", kind: texts, good: []string{"", "nsq.%s"}},
	{flag: "statsd-interval", kind: durations, good: []string{"1s", "1h"}, bad: mistakes{"999ms": "must not be less than 1s, is 999ms", "-1m": "must not be less than 1s, is -1m0s"}},
	{flag: "statsd-mem-stats", kind: bools, good: []string{"false", "t"}},
	{flag: "statsd-udp-packet-size", kind: ints, good: []string{"1", "65507"}, bad: mistakes{"0": "must be [1,65507], is 0", "65508": "must be [1,65507], is 65508"}},
	{flag: "statsd-exclude-ephemeral", kind: bools, good: []string{"true", "false"}},

	{flag: "e2e-processing-latency-percentile", key: "e2e_processing_latency_percentiles", kind: floats, good: []string{"1,0.99,0.5", "0.001"}, bad: mistakes{
		"0":       "=invalid E2E processing latency percentile: 0",
		"1.5":     "=invalid E2E processing latency percentile: 1.5",
		"99,0.5":  "=invalid E2E processing latency percentile: 99",
		"1,-0.25": "=invalid E2E processing latency percentile: -0.25",
		"nan":     "=invalid E2E processing latency percentile: NaN",
	}},
	{flag: "e2e-processing-latency-window-time", kind: durations, good: []string{"1ms", "1h"}, bad: mistakes{"0": "must be positive, is 0s"}},

	{flag: "enable-experiment", kind: lists, good: []string{"topology-aware-consumption", "a,b"}},
}

// args gives a value on the command line.
func (o *optionCase) args(value string) []string {
	if o.kind.split == nil {
		return []string{"--" + o.flag + "=" + value}
	}
	var args []string
	for _, element := range o.kind.split(value) {
		args = append(args, "--"+o.flag+"="+element.(string))
	}
	return args
}

// name is the option's key in the file.
func (o *optionCase) name() string {
	if o.key != "" {
		return o.key
	}
	return strings.ReplaceAll(o.flag, "-", "_")
}

// mistake is the error for a bad value, without where it comes from.
func (o *optionCase) mistake(value string) string {
	text := o.bad[value]
	if whole, ok := strings.CutPrefix(text, "="); ok {
		return "failed to instantiate nsqd - " + whole
	}
	return "failed to instantiate nsqd - --" + o.flag + " " + text
}

// value returns what the option is set to, integers as int64.
func (o *optionCase) value(t *testing.T, opts *nsqd.Options) any {
	t.Helper()
	v := reflect.ValueOf(opts).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("flag") != o.flag {
			continue
		}
		if n, ok := reflect.TypeAssert[int](v.Field(i)); ok {
			return int64(n)
		}
		return v.Field(i).Interface()
	}
	t.Fatalf("no option has the flag %s", o.flag)
	return nil
}
