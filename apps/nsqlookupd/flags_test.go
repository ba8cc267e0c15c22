package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

// optionTable has every option, in the order of the struct.
var optionTable = []daemontest.Option{
	{Flag: "log-level", Kind: daemontest.Levels, Good: []string{"debug", "INFO", "Warn", "error", "fatal", ""}},
	{Flag: "log-format", Kind: daemontest.LogFormats, Good: []string{"JSON", "text", ""}},
	{Flag: "log-prefix", Kind: daemontest.Texts, Good: []string{"", "directory 1: "}},

	{Flag: "tcp-address", Kind: daemontest.Texts, Good: []string{":0", "0.0.0.0:65535", "[::1]:4160", "host:4160"}, Bad: hostPorts},
	{Flag: "http-address", Kind: daemontest.Texts, Good: []string{":0", "0.0.0.0:65535", "[::1]:4161", "host:http"}, Bad: hostPorts},
	{Flag: "broadcast-address", Kind: daemontest.Texts, Good: []string{"", "10.0.0.1"}},

	{Flag: "inactive-producer-timeout", Kind: daemontest.Durations, Good: []string{"1ms", "24h"}, Bad: daemontest.Mistakes{
		"0": "must be positive, is 0s", "-5s": "must be positive, is -5s", "1000000h": "must not be more than 876000h0m0s, is 1000000h0m0s",
	}},
	{Flag: "tombstone-lifetime", Kind: daemontest.Durations, Good: []string{"0", "1h"}, Bad: daemontest.Mistakes{
		"-1s": "must not be negative, is -1s", "876001h": "must not be more than 876000h0m0s, is 876001h0m0s",
	}},
}

var hostPorts = daemontest.Mistakes{
	"":                `must be host:port, is ""`,
	"4160":            `must be host:port, is "4160"`,
	"::1":             `must be host:port, is "::1"`,
	"/run/l.sock":     `must be host:port, is "/run/l.sock"`,
	"127.0.0.1:65536": `must have a port in [0,65535], is "127.0.0.1:65536"`,
	"127.0.0.1:-1":    `must have a port in [0,65535], is "127.0.0.1:-1"`,
	"127.0.0.1:word":  `must have a port in [0,65535], is "127.0.0.1:word"`,
}

func TestOptions(t *testing.T) {
	table := daemontest.Table{
		Program: func() *daemon.Program { return program(nsqlookupd.NewOptions()) },
		Options: optionTable,
		OfHost:  map[string]any{"broadcast-address": "nsqlookupd-1.example.com"},
	}
	table.Run(t)
}

func TestWrongArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"flag provided but not defined: -lookupd-tcp-address":                                                      {"--lookupd-tcp-address=a:1"},
		`unexpected argument "extra"`:                                                                              {"extra"},
		`unexpected argument "true" (booleans need "=" for a value)`:                                               {"--verbose", "true"},
		"invalid value \"60\" for flag -tombstone-lifetime: parse error\nflag provided but not defined: -nonsense": {"--tombstone-lifetime=60", "--nonsense"},
	} {
		daemontest.CheckWrongArguments(t, program(nsqlookupd.NewOptions()), args, want)
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	const file = `
inactive_producer_timeout = 5.5
tcp_addres = ":0"
http_address = "4161"
`
	const want = `failed to load config file nsqlookupd.cfg - line 2: failed parsing inactive_producer_timeout 5.5: must be a duration like "5s" or an integer of milliseconds
failed to load config file nsqlookupd.cfg - line 3: unknown key "tcp_addres"
failed to instantiate nsqlookupd - --http-address must be host:port, is "4161" (config file nsqlookupd.cfg - line 4: http_address)
failed to instantiate nsqlookupd - --tombstone-lifetime must not be negative, is -1s`
	p := program(nsqlookupd.NewOptions())
	if _, err := daemontest.FromFile(t, p, file, "--strict-config", "--tombstone-lifetime=-1s"); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The values that people have in their files because they began with the
// example of classic nsqlookupd.
func TestClassicExampleFileLoads(t *testing.T) {
	const file = `
log_level = "info"
tcp_address = "0.0.0.0:4160"
http_address = "0.0.0.0:4161"
broadcast_address = ""
inactive_producer_timeout = "300s"
tombstone_lifetime = "45s"
`
	got, want := nsqlookupd.NewOptions(), nsqlookupd.NewOptions()
	want.BroadcastAddress = ""
	want.InactiveProducerTimeout, want.TombstoneLifetime = 300*time.Second, 45*time.Second
	if warnings, err := daemontest.FromFile(t, program(got), file, "--strict-config"); err != nil || warnings != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %q, %v, want %+v", got, warnings, err, want)
	}
}
