package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/nsqadmin"
)

// optionTable has every option, in the order of the struct.
var optionTable = []daemontest.Option{
	{Flag: "log-level", Kind: daemontest.Levels, Good: []string{"debug", "INFO", "Warn", "error", "fatal", ""}},
	{Flag: "log-format", Kind: daemontest.LogFormats, Good: []string{"JSON", "text", ""}},
	{Flag: "log-prefix", Kind: daemontest.Texts, Good: []string{"", "console 1: "}},

	{Flag: "http-address", Kind: daemontest.Texts, Good: []string{":0", "0.0.0.0:65535", "[::1]:4171", "host:http"}, Bad: daemontest.Mistakes{
		"":                `must be host:port, is ""`,
		"4171":            `must be host:port, is "4171"`,
		"::1":             `must be host:port, is "::1"`,
		"127.0.0.1:65536": `must have a port in [0,65535], is "127.0.0.1:65536"`,
	}},
	{Flag: "base-path", Kind: daemontest.Texts, Good: []string{"/nsq/", "", "nsq", "/a/b"}, Bad: daemontest.Mistakes{
		"/a/:b":  `must be a path of letters, digits, "-", "_" and ".", is "/a/:b"`,
		"/a b":   `must be a path of letters, digits, "-", "_" and ".", is "/a b"`,
		"a//b":   `must be a path of letters, digits, "-", "_" and ".", is "a//b"`,
		"/a/../": `must be a path of letters, digits, "-", "_" and ".", is "/a/../"`,
	}},
	{Flag: "dev-static-dir", Kind: daemontest.Texts, Good: []string{"", "nsqadmin/static"}},

	{Flag: "lookupd-http-address", Key: "nsqlookupd_http_addresses", Kind: daemons, Instead: true,
		Good: []string{"127.0.0.1:4161", "a:1,[::1]:2", "lookupd.example.com:http"}, Bad: hostPorts("lookupd-http-address")},
	{Flag: "nsqd-http-address", Key: "nsqd_http_addresses", Kind: daemons, Instead: true,
		Good: []string{"127.0.0.1:4151", "a:1,[::1]:2", "nsqd-1.example.com:80"}, Bad: hostPorts("nsqd-http-address")},

	{Flag: "graphite-url", Kind: daemontest.Texts, Good: []string{"", "http://graphite:8080"}, With: []string{"--proxy-graphite"}, Bad: daemontest.Mistakes{
		"http://%zz":  `=failed to parse --graphite-url (http://%zz) - parse "http://%zz": invalid URL escape "%zz"`,
		"http://a b/": `=failed to parse --graphite-url (http://a b/) - parse "http://a b/": invalid character " " in host name`,
	}},
	{Flag: "proxy-graphite", Kind: daemontest.Bools, Good: []string{"true", "false"}},
	{Flag: "statsd-prefix", Kind: daemontest.Texts, Good: []string{"", "nsq-1.%s"}},
	{Flag: "statsd-counter-format", Kind: daemontest.Texts, Good: []string{"", "counters.%s"}},
	{Flag: "statsd-gauge-format", Kind: daemontest.Texts, Good: []string{"", "gauges.%s"}},
	{Flag: "statsd-interval", Kind: daemontest.Durations, Good: []string{"1s", "10m"}, Bad: daemontest.Mistakes{
		"999ms": "must not be less than 1s, is 999ms", "-1s": "must not be less than 1s, is -1s",
	}},

	{Flag: "notification-http-endpoint", Kind: daemontest.Texts, Good: []string{"", "http://127.0.0.1:9000/nsq"}},

	{Flag: "http-client-connect-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "1h"}, Bad: daemontest.Mistakes{
		"0": "must be positive, is 0s", "-5s": "must be positive, is -5s",
	}},
	{Flag: "http-client-request-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "1h"}, Bad: daemontest.Mistakes{
		"0": "must be positive, is 0s", "-5s": "must be positive, is -5s",
	}},
	{Flag: "http-client-tls-insecure-skip-verify", Kind: daemontest.Bools, Good: []string{"true", "false"}},
	{Flag: "http-client-tls-root-ca-file", Kind: daemontest.Texts, Good: []string{"", "ca.pem"}},
	{Flag: "http-client-tls-cert", Kind: daemontest.Texts, Good: []string{"cert.pem", "/etc/nsq/cert.pem"}, With: []string{"--http-client-tls-key=key.pem"}},
	{Flag: "http-client-tls-key", Kind: daemontest.Texts, Good: []string{"key.pem", "/etc/nsq/key.pem"}, With: []string{"--http-client-tls-cert=cert.pem"}},

	{Flag: "allow-config-from-cidr", Kind: daemontest.Texts, Good: []string{"", "10.0.0.0/8", "::1/128"}, Bad: daemontest.Mistakes{
		"10.0.0.1":    "=failed to parse --allow-config-from-cidr (10.0.0.1) - invalid CIDR address: 10.0.0.1",
		"10.0.0.0/33": "=failed to parse --allow-config-from-cidr (10.0.0.0/33) - invalid CIDR address: 10.0.0.0/33",
	}},
	{Flag: "acl-http-header", Kind: daemontest.Texts, Good: []string{"X-User", "", "x-forwarded-user"}},
	{Flag: "admin-user", Key: "admin_users", Kind: daemontest.Lists, Good: []string{"ann", "ann,bob"}},
	{Flag: "trusted-origin", Key: "trusted_origins", Kind: origins, Good: []string{"https://console.example.com", "http://a,https://b:8443"}, Bad: daemontest.Mistakes{
		"console.example.com": `must be scheme://host[:port], is "console.example.com"`,
		"https://a/b":         `must be scheme://host[:port], is "https://a/b"`,
		"https://*.example":   `must be scheme://host[:port], is "https://*.example"`,
	}},
}

// Lists whose elements are checked, and that of daemons cannot be empty.
var (
	daemons = alsoOnly(map[string]any{`["1.2.3.4:5", "h:6"]`: []string{"1.2.3.4:5", "h:6"}})
	origins = alsoOnly(map[string]any{`["https://a", "http://b:6"]`: []string{"https://a", "http://b:6"}, `[]`: []string(nil)})
)

func alsoOnly(also map[string]any) *daemontest.Kind {
	kind := *daemontest.Lists
	kind.Also = also
	return &kind
}

func hostPorts(flag string) daemontest.Mistakes {
	all := daemontest.Mistakes{}
	for address, text := range map[string]string{
		"4161":                  `must be host:port, is "4161"`,
		"http://127.0.0.1:4161": `must be host:port, is "http://127.0.0.1:4161"`,
		"a:0":                   `must have a port in [1,65535], is "a:0"`,
		"a:65536":               `must have a port in [1,65535], is "a:65536"`,
	} {
		all[address] = "=failed to resolve --" + flag + " (" + address + ") - " + text
	}
	return all
}

func TestOptions(t *testing.T) {
	table := daemontest.Table{
		Program: func() *daemon.Program { return program(nsqadmin.NewOptions()) },
		Options: optionTable,
		Needs:   []string{"--lookupd-http-address=127.0.0.1:4161"},
		Set:     map[string]any{"lookupd-http-address": []string{"127.0.0.1:4161"}},
	}
	table.Run(t)
}

func TestOptionsThatDoNotGoTogether(t *testing.T) {
	const lookupd = "--lookupd-http-address=127.0.0.1:4161"
	for args, want := range map[string]string{
		"": "--nsqd-http-address or --lookupd-http-address required",
		lookupd + " --nsqd-http-address=127.0.0.1:4151": "use --nsqd-http-address or --lookupd-http-address not both",
		lookupd + " --http-client-tls-cert=c":           "--http-client-tls-key must be specified with --http-client-tls-cert",
		lookupd + " --http-client-tls-key=k":            "--http-client-tls-cert must be specified with --http-client-tls-key",
		lookupd + " --admin-user=a --admin-user=":       "--admin-user must not be empty: nobody is an admin by having no name",
		lookupd + " --acl-http-header= --admin-user=a":  "--acl-http-header must not be empty where there is --admin-user",
	} {
		err := daemontest.FromFlags(t, program(nsqadmin.NewOptions()), strings.Fields(args)...)
		if err == nil || err.Error() != "failed to instantiate nsqadmin - "+want {
			t.Errorf("%s: got %v, want %s", args, err, want)
		}
	}
	// What is not used cannot be wrong.
	if err := daemontest.FromFlags(t, program(nsqadmin.NewOptions()), lookupd, "--graphite-url=http://%zz"); err != nil {
		t.Error(err)
	}
}

func TestWrongArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"flag provided but not defined: -lookupd-tcp-address":                                               {"--lookupd-tcp-address=a:1"},
		`unexpected argument "true" (booleans need "=" for a value)`:                                        {"--proxy-graphite", "true"},
		"invalid value \"60\" for flag -statsd-interval: parse error\nflag provided but not defined: -nope": {"--statsd-interval=60", "--nope"},
	} {
		daemontest.CheckWrongArguments(t, program(nsqadmin.NewOptions()), args, want)
	}
}

// The values that people have in their files because they began with the example
// of classic nsqadmin, which sets both lists of daemons; they had to remove one.
func TestClassicExampleFileLoads(t *testing.T) {
	const file = `
log_level = "info"
http_address = "0.0.0.0:4171"
graphite_url = ""
proxy_graphite = false
statsd_prefix = "nsq.%s"
statsd_counter_format = "stats.counters.%s.count"
statsd_gauge_format = "stats.gauges.%s"
statsd_interval = "60s"
notification_http_endpoint = ""
nsqlookupd_http_addresses = [
    "127.0.0.1:4161"
]
`
	got, want := nsqadmin.NewOptions(), nsqadmin.NewOptions()
	want.LookupdHTTPAddresses = []string{"127.0.0.1:4161"}
	if warnings, err := daemontest.FromFile(t, program(got), file, "--strict-config"); err != nil || warnings != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %q, %v, want %+v", got, warnings, err, want)
	}
}
