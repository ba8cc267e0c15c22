package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestOptions(t *testing.T) {
	table := daemontest.Table{
		Program: func() *daemon.Program { return program(nsqd.NewOptions()) },
		Options: optionTable,
		OfHost:  map[string]any{"node-id": int64(617), "broadcast-address": "nsqd-1.example.com"},
	}
	table.Run(t)
}

func TestPercentilesOfFlagsAreSorted(t *testing.T) {
	opts, err := fromFlags(t, "--e2e-processing-latency-percentile=0.5,1", "--e2e-processing-latency-percentile=0.99")
	if want := []float64{1, 0.99, 0.5}; err != nil || !slices.Equal(opts.E2EProcessingLatencyPercentiles, want) {
		t.Errorf("got %v, %v, want %v", opts.E2EProcessingLatencyPercentiles, err, want)
	}
}

func TestObsoleteFlags(t *testing.T) {
	opts, warnings, err := fromFile(t, "", "--worker-id", "--verbose", "--worker-id=false", "--node-id=7")
	if err != nil || opts.ID != 7 {
		t.Errorf("got id %d, %v, want 7", opts.ID, err)
	}
	if want := []string{"--verbose has no effect, use --log-level", "--worker-id has no effect, use --node-id"}; !slices.Equal(warnings, want) {
		t.Errorf("got %q, want %q", warnings, want)
	}
}

func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--max-message-size=5"}, "flag provided but not defined: -max-message-size"},
		{[]string{"--worker-id", "5", "--tcp-address=127.0.0.1:1"}, `unexpected argument "5"`},
		{[]string{"--worker-id=5"}, `invalid boolean value "5" for -worker-id: parse error`},
		{[]string{"extra"}, `unexpected argument "extra"`},
		{[]string{"--msg-timeout=60", "--nonsense", "--log-level=xyz", "extra"}, `invalid value "60" for flag -msg-timeout: parse error
flag provided but not defined: -nonsense
invalid value "xyz" for flag -log-level: invalid log level 'xyz' (debug, info, warn, error, fatal)`},
	} {
		daemontest.CheckWrongArguments(t, program(nsqd.NewOptions()), c.args, c.want)
	}
}

// What belongs together may come from anywhere, and so may what contradicts it.
func TestContradictions(t *testing.T) {
	const (
		pair    = "failed to instantiate nsqd - --tls-cert and --tls-key must be given together"
		require = "failed to instantiate nsqd - cannot require TLS client connections without TLS key and cert"
		auth    = "failed to instantiate nsqd - --auth-required needs an --auth-http-address"
		at      = "config file nsqd.cfg - line "
	)
	for _, c := range []struct {
		file string
		args []string
		want string // "" for no error
	}{
		{"", []string{"--tls-cert=c"}, pair},
		{"", []string{"--tls-key=k"}, pair},
		{"tls_cert = 'c'", nil, pair + " (" + at + "1: tls_cert)"},
		{"tls_cert = 'c'\ntls_key = ''", nil, pair + " (" + at + "1: tls_cert, " + at + "2: tls_key)"},
		{"tls_cert = 'c'", []string{"--tls-key=k"}, ""},
		{"tls_cert = 'c'\ntls_key = 'k'", []string{"--tls-key="}, pair + " (" + at + "1: tls_cert)"},
		{"", []string{"--tls-required"}, require + " (--tls-required)"},
		{"", []string{"--tls-required=tcp-https"}, require + " (--tls-required)"},
		{"", []string{"--tls-client-auth-policy=require", "--tls-required=false"}, require + " (--tls-required, --tls-client-auth-policy)"},
		{"tls_required = true", nil, require + " (" + at + "1: tls_required)"},
		{"tls_required = true", []string{"--tls-cert=c", "--tls-key=k"}, ""},
		{"tls_required = true", []string{"--tls-required=false"}, ""},
		{"tls_cert = 'c'\ntls_key = 'k'", []string{"--tls-required"}, ""},
		{"tls_cert = 5\ntls_key = 'k'", []string{"--tls-required"}, "failed to load config file nsqd.cfg - line 1: failed parsing tls_cert 5: must be a string"},
		{"", []string{"--auth-required"}, auth},
		{"auth_required = true", nil, auth + " (" + at + "1: auth_required)"},
		{"auth_http_addresses = 'a:1'", []string{"--auth-required"}, ""},
	} {
		got := ""
		if _, _, err := fromFile(t, c.file, c.args...); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q, %q: got  %s\nwant %s", c.file, c.args, got, c.want)
		}
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	const file = `
id = 5150
msg_timeout = "5"
mem_queue_sise = 5
tls_cert = "cert.pem"
deflate = 1
max_deflate_level = 10
sync_timeout = "-1s"
`
	args := []string{"--auth-http-request-method=put", "--sync-every=-1", "--max-deflate-level=0", "--strict-config"}
	want := `failed to load config file nsqd.cfg - line 3: failed parsing msg_timeout 5: must be a duration like "5s" or an integer of milliseconds
failed to load config file nsqd.cfg - line 4: unknown key "mem_queue_sise"
failed to load config file nsqd.cfg - line 6: failed parsing deflate 1: must be true or false
failed to instantiate nsqd - --node-id must be [0,1024), is 5150 (config file nsqd.cfg - line 2: id)
failed to instantiate nsqd - --auth-http-request-method must be post or get, is "put"
failed to instantiate nsqd - --tls-cert and --tls-key must be given together (config file nsqd.cfg - line 5: tls_cert)
failed to instantiate nsqd - --max-deflate-level must be [1,9], is 0
failed to instantiate nsqd - --sync-every must not be negative, is -1
failed to instantiate nsqd - --sync-timeout must be positive, is -1s (config file nsqd.cfg - line 8: sync_timeout)`
	if _, warnings, err := fromFile(t, file, args...); err == nil || warnings != nil || err.Error() != want {
		t.Errorf("got %q and\n%v\nwant\n%s", warnings, err, want)
	}

	// Without the flag, the key that nobody knows is a warning and the mistakes stay.
	want = strings.Replace(want, "failed to load config file nsqd.cfg - line 4: unknown key \"mem_queue_sise\"\n", "", 1)
	_, warnings, err := fromFile(t, file, args[:3]...)
	if warning := []string{`config file nsqd.cfg - line 4: unknown key "mem_queue_sise" is ignored`}; !slices.Equal(warnings, warning) || err == nil || err.Error() != want {
		t.Errorf("got %q and\n%v\nwant %q and\n%s", warnings, err, warning, want)
	}
}

// A file that cannot be read hides no mistake of the command line, and makes none up.
func TestMistakesBesideAnUnreadableFile(t *testing.T) {
	_, _, err := fromFile(t, "tls_cert = \n", "--sync-every=-1", "--tls-key=k")
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "failed to load config file nsqd.cfg - toml: line 1") ||
		lines[1] != "failed to instantiate nsqd - --sync-every must not be negative, is -1" {
		t.Errorf("got %q", lines)
	}
}

func TestHelpIsTrue(t *testing.T) {
	var stderr bytes.Buffer
	if _, err := daemon.Parse(program(nsqd.NewOptions()), []string{"--help"}, &stderr); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	help := stderr.String()
	for _, want := range []string{`(default "[nsqd] ")`, "(default info)", "(default 1m0s)", "(default 104857600)", "(default tls1.2)", "(default 508)"} {
		if !strings.Contains(help, want) {
			t.Errorf("usage lacks %q", want)
		}
	}
	for _, rejected := range []string{"ssl3", "warning,"} {
		if strings.Contains(help, rejected) {
			t.Errorf("usage has %q, which is rejected", rejected)
		}
	}
}

// fromFlags parses and resolves arguments.
func fromFlags(t *testing.T, args ...string) (*nsqd.Options, error) {
	t.Helper()
	opts := nsqd.NewOptions()
	return opts, daemontest.FromFlags(t, program(opts), args...)
}

// fromFile resolves a config file of the given text and arguments. It is called
// nsqd.cfg in warnings and errors.
func fromFile(t *testing.T, text string, args ...string) (_ *nsqd.Options, warnings []string, err error) {
	t.Helper()
	opts := nsqd.NewOptions()
	warnings, err = daemontest.FromFile(t, program(opts), text, args...)
	return opts, warnings, err
}

// The values that people have in their files because they began with the
// example of classic nsqd.
func TestClassicExampleFileLoads(t *testing.T) {
	const file = `
log_level = "info"
tcp_address = "0.0.0.0:4150"
http_address = "0.0.0.0:4151"
nsqlookupd_tcp_addresses = [
    "127.0.0.1:4160"
]
http_client_connect_timeout = "2s"
http_client_request_timeout = "5s"
mem_queue_size = 10000
max_bytes_per_file = 104857600
sync_every = 2500
sync_timeout = "2s"
msg_timeout = "60s"
max_msg_timeout = "15m"
max_msg_size = 1024768
max_req_timeout = "1h"
max_body_size = 5123840
max_heartbeat_interval = "60s"
max_rdy_count = 2500
max_output_buffer_size = 65536
max_output_buffer_timeout = "1s"
statsd_prefix = "nsq.%s"
statsd_interval = "60s"
statsd_mem_stats = true
e2e_processing_latency_percentiles = [
    1.0,
    0.99,
    0.95
]
e2e_processing_latency_window_time = "10m"
tls_cert = ""
tls_key = ""
tls_required = false
tls_min_version = ""
deflate = true
max_deflate_level = 6
snappy = true
`
	want := nsqd.NewOptions()
	want.LookupdTCPAddresses = []string{"127.0.0.1:4160"}
	want.MaxMsgSize, want.MaxBodySize = 1024768, 5123840
	want.MaxOutputBufferTimeout = time.Second
	want.E2EProcessingLatencyPercentiles = []float64{1, 0.99, 0.95}
	want.TLSMinVersion = tls.VersionTLS12
	if got, warnings, err := fromFile(t, file, "--strict-config"); err != nil || warnings != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %q, %v, want %+v", got, warnings, err, want)
	}
}
