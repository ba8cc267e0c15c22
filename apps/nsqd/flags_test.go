package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// programFlags are those that set no option.
var programFlags = []string{"config", "strict-config", "verbose", "version", "worker-id"}

// A flag that is missing in the table would be missing in the tests.
func TestTheTableIsComplete(t *testing.T) {
	c, err := parse(nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var got, tagged, want []string
	c.flags.VisitAll(func(f *flag.Flag) {
		got = append(got, f.Name)
		if f.Usage == "" {
			t.Errorf("--%s has no usage text", f.Name)
		}
	})
	for field := range reflect.TypeFor[nsqd.Options]().Fields() {
		if name, ok := field.Tag.Lookup("flag"); ok {
			tagged = append(tagged, name)
		}
	}
	for _, o := range optionTable {
		want = append(want, o.flag)
		if len(o.good) < 2 || reflect.DeepEqual(o.kind.parse(o.good[0]), o.kind.parse(o.good[1])) {
			t.Errorf("--%s: the table has not two different values", o.flag)
		}
	}
	if slices.Sort(tagged); !slices.Equal(tagged, slices.Sorted(slices.Values(want))) {
		t.Errorf("options have the flags %q, the table has %q", tagged, want)
	}
	want = append(want, programFlags...)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("flags are %q, want %q", got, want)
	}
}

func TestEveryFlag(t *testing.T) {
	for _, o := range optionTable {
		for _, text := range o.good {
			forms := [][]string{o.args(text)}
			if !o.kind.alone && o.kind.split == nil {
				forms = append(forms, []string{"-" + o.flag, text})
			}
			for _, args := range forms {
				opts, err := fromFlags(t, append(args, o.with...)...)
				if want := o.kind.parse(text); err != nil || !reflect.DeepEqual(o.value(t, opts), want) {
					t.Errorf("%q: got %#v, %v, want %#v", args, o.value(t, opts), err, want)
				}
			}
		}
		for text := range o.bad {
			args := append(o.args(text), o.with...)
			want := o.mistake(text)
			if !strings.Contains(want, "--"+o.flag) {
				want += " (--" + o.flag + ")"
			}
			if _, err := fromFlags(t, args...); err == nil || err.Error() != want {
				t.Errorf("%q: got %v, want %s", args, err, want)
			}
		}
		for text, want := range o.kind.flagType {
			form := "invalid value %q for flag -%s: %s"
			if o.kind.alone {
				form = "invalid boolean value %q for -%s: %s"
			}
			checkWrongArguments(t, o.args(text), fmt.Sprintf(form, text, o.flag, want))
		}
	}
}

func TestEveryKeyOfTheFile(t *testing.T) {
	good := func(o optionCase, toml string, want any) {
		opts, warnings, err := fromFile(t, o.name()+" = "+toml, o.with...)
		if err != nil || warnings != nil || !reflect.DeepEqual(o.value(t, opts), want) {
			t.Errorf("%s = %s: got %#v, %q, %v, want %#v", o.name(), toml, o.value(t, opts), warnings, err, want)
		}
	}
	bad := func(o optionCase, toml, want string) {
		_, warnings, err := fromFile(t, "\n"+o.name()+" = "+toml, o.with...)
		if err == nil || warnings != nil || err.Error() != want {
			t.Errorf("%s = %s: got %q, %v, want %s", o.name(), toml, warnings, err, want)
		}
	}
	for _, o := range optionTable {
		for _, text := range o.good {
			good(o, o.kind.toml(text), o.kind.parse(text))
			if o.kind == ints {
				good(o, `"`+text+`"`, o.kind.parse(text))
			}
		}
		for text := range o.bad {
			bad(o, o.kind.toml(text), o.mistake(text)+" (config file nsqd.cfg - line 2: "+o.name()+")")
		}
		for toml, want := range o.kind.fileType {
			bad(o, toml, "failed to load config file nsqd.cfg - line 2: failed parsing "+o.name()+" "+want)
		}
		for toml, want := range o.kind.also {
			good(o, toml, want)
		}
	}
}

func TestFlagGoesBeforeTheFile(t *testing.T) {
	for _, o := range optionTable {
		args := append(o.args(o.good[0]), o.with...)
		opts, _, err := fromFile(t, o.name()+" = "+o.kind.toml(o.good[1]), args...)
		if want := o.kind.parse(o.good[0]); err != nil || !reflect.DeepEqual(o.value(t, opts), want) {
			t.Errorf("%s: got %v, %v, want %v", o.flag, o.value(t, opts), err, want)
		}
		for text := range o.bad { // is not in force, so it is no mistake
			if _, _, err := fromFile(t, o.name()+" = "+o.kind.toml(text), args...); err != nil {
				t.Errorf("%s = %s, but %q: %v", o.name(), text, args, err)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	opts, err := fromFlags(t)
	if err != nil || !reflect.DeepEqual(opts, nsqd.NewOptions()) {
		t.Errorf("got %+v, %v", opts, err)
	}
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

// The list of those that have a key of another name, or none, is written by hand.
func TestHelpTellsTheKeys(t *testing.T) {
	text := strings.Join(strings.Fields(notation), " ")
	for _, name := range programFlags {
		if !strings.Contains(text, "-"+name) {
			t.Errorf("the help does not say that -%s has no key", name)
		}
	}
	renamed := 0
	for _, o := range optionTable {
		if o.key != "" {
			renamed++
			if !strings.Contains(text, o.key+" (-"+o.flag+")") {
				t.Errorf("the help does not say that -%s has the key %s", o.flag, o.key)
			}
		}
	}
	if n := strings.Count(text, "(-"); n != renamed {
		t.Errorf("the help names %d keys, want %d", n, renamed)
	}
}

// checkWrongArguments expects the errors, and then the usage once.
func checkWrongArguments(t *testing.T, args []string, want string) {
	t.Helper()
	var stderr bytes.Buffer
	_, err := parse(args, &stderr)
	if err == nil || err.Error() != want || !strings.HasPrefix(stderr.String(), want+"\nUsage of nsqd:\n") || strings.Count(stderr.String(), "Usage of") != 1 {
		t.Errorf("%q: got %v and %q, want %s and the usage", args, err, stderr.String(), want)
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
		checkWrongArguments(t, c.args, c.want)
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

func TestHelpNamesEveryFlagAndItsDefault(t *testing.T) {
	var stderr bytes.Buffer
	c, err := parse([]string{"--help"}, &stderr)
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	help := stderr.String()
	c.flags.VisitAll(func(f *flag.Flag) {
		entry := regexp.MustCompile(`(?m)^  -` + f.Name + `( \w+)?\n    \t(.*)$`).FindStringSubmatch(help)
		zero := f.DefValue == "" || f.DefValue == "0" || f.DefValue == "false" || f.DefValue == "0s"
		if entry == nil || (!zero && !strings.Contains(entry[2], "(default ")) {
			t.Errorf("the usage of --%s is %q", f.Name, entry)
		}
	})
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
	c, err := parse(args, t.Output())
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	_, err = c.resolve()
	return c.options, err
}

// fromFile resolves a config file of the given text and arguments. It is called
// nsqd.cfg in warnings and errors.
func fromFile(t *testing.T, text string, args ...string) (_ *nsqd.Options, warnings []string, err error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("nsqd.cfg", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(append(slices.Clone(args), "--config=nsqd.cfg"), t.Output())
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	warnings, err = c.resolve()
	return c.options, warnings, err
}

// exampleSetting finds the settings of the example file.
var exampleSetting = regexp.MustCompile(`(?m)^#([a-z0-9_]+) = `)

// exampleFile returns the example file as it is shipped and with every key set.
func exampleFile(t *testing.T) (shipped, everyKeySet string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(nsqtest.Root(), "contrib", "nsqd.cfg.example"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), exampleSetting.ReplaceAllString(string(text), "$1 = ")
}

func TestExampleFileIsCompleteAndHoldsTheDefaults(t *testing.T) {
	shipped, everyKeySet := exampleFile(t)
	var keys, want []string
	for _, m := range exampleSetting.FindAllStringSubmatch(shipped, -1) {
		keys = append(keys, m[1])
	}
	for _, o := range optionTable {
		want = append(want, o.name())
	}
	slices.Sort(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("the example has the keys %q, want %q", keys, want)
	}

	for name, text := range map[string]string{"as shipped": shipped, "with every key set": everyKeySet} {
		got, warnings, err := fromFile(t, text, "--strict-config")
		if err != nil || warnings != nil {
			t.Errorf("%s: %v, %v", name, warnings, err)
		}
		defaults := nsqd.NewOptions()
		got.ID, got.BroadcastAddress = defaults.ID, defaults.BroadcastAddress // depend on the host
		if !reflect.DeepEqual(got, defaults) {
			t.Errorf("%s: got  %+v\nwant %+v", name, got, defaults)
		}
	}
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
