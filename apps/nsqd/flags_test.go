package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/nsqd"
)

// The flags by their type; together they are all that set an option.
var (
	stringFlags = []string{
		"log-prefix", "tcp-address", "http-address", "broadcast-address",
		"topology-region", "topology-zone", "data-path", "https-address", "auth-http-request-method",
		"tls-cert", "tls-key", "tls-client-auth-policy", "tls-root-ca-file", "statsd-address", "statsd-prefix",
	}
	intFlags = []string{
		"node-id", "broadcast-tcp-port", "broadcast-http-port", "mem-queue-size", "max-bytes-per-file", "sync-every",
		"queue-scan-worker-pool-max", "queue-scan-selection-count", "max-msg-size", "max-body-size", "max-rdy-count",
		"max-output-buffer-size", "max-channel-consumers", "max-connections", "max-deflate-level", "statsd-udp-packet-size",
	}
	durationFlags = []string{
		"sync-timeout", "msg-timeout", "max-msg-timeout", "max-req-timeout", "max-heartbeat-interval",
		"max-output-buffer-timeout", "min-output-buffer-timeout", "output-buffer-timeout", "http-client-connect-timeout", "http-client-request-timeout",
		"statsd-interval", "e2e-processing-latency-window-time",
	}
	boolFlags      = []string{"auth-required", "deflate", "snappy", "statsd-mem-stats", "statsd-exclude-ephemeral"}
	listFlags      = []string{"lookupd-tcp-address", "auth-http-address", "enable-experiment"}
	floatListFlags = []string{"e2e-processing-latency-percentile"}
	wordFlags      = []string{"log-level", "tls-required", "tls-min-version"}
)

// optionFlags are all flags that set an option.
func optionFlags() []string {
	return slices.Concat(stringFlags, intFlags, durationFlags, boolFlags, listFlags, floatListFlags, wordFlags)
}

// value is one way to set an option, and what it comes to; nil for an error.
type value struct {
	text string
	want any
}

func flagValues() map[string][]value {
	values := map[string][]value{
		"log-level": {
			{"debug", level(slog.LevelDebug)}, {"INFO", level(slog.LevelInfo)}, {"Warn", level(slog.LevelWarn)},
			{"error", level(slog.LevelError)}, {"fatal", level(logging.LevelFatal)},
			{"", nil}, {"warning", nil}, {"4", nil},
		},
		"tls-required": {
			{"TCP-https", nsqd.TLSRequiredExceptHTTP}, {"true", nsqd.TLSRequiredAlways}, {"0", nsqd.TLSNotRequired}, {"yes", nil}, {"", nil},
		},
		"tls-min-version": {
			{"TLS1.3", nsqd.TLSVersion(tls.VersionTLS13)}, {"tls1.0", nsqd.TLSVersion(tls.VersionTLS10)}, {"", nsqd.TLSVersion(tls.VersionTLS12)}, {"ssl3.0", nil}, {"1.2", nil},
		},
	}
	for _, name := range boolFlags {
		values[name] = []value{{"false", false}, {"T", true}, {"0", false}, {"", nil}, {"maybe", nil}, {"2", nil}}
	}
	for _, name := range listFlags {
		values[name] = []value{{"a:1", []string{"a:1"}}, {"a,b", []string{"a,b"}}}
	}
	for _, name := range floatListFlags {
		values[name] = []value{{"0.5", []float64{0.5}}, {"0.5,1,0.99", []float64{0.5, 1, 0.99}}, {"", nil}, {"x", nil}, {"0.5,", nil}}
	}
	for _, name := range stringFlags {
		values[name] = []value{{"", ""}, {"some text", "some text"}, {"0.0.0.0:1", "0.0.0.0:1"}}
	}
	for _, name := range intFlags {
		values[name] = []value{{"0", int64(0)}, {"77", int64(77)}, {"-1", int64(-1)}, {"", nil}, {"5.5", nil}, {"5s", nil}, {"99999999999999999999", nil}}
	}
	for _, name := range durationFlags {
		values[name] = []value{{"77ms", 77 * time.Millisecond}, {"1h30m", 90 * time.Minute}, {"0", time.Duration(0)}, {"", nil}, {"60", nil}, {"5 s", nil}}
	}
	return values
}

// fileValues are the same for the config file, in TOML.
func fileValues() map[string][]value {
	values := map[string][]value{
		"log-level": {{`"debug"`, level(slog.LevelDebug)}, {`"FATAL"`, level(logging.LevelFatal)}, {`"x"`, nil}, {`""`, nil}, {"1", nil}, {"true", nil}},
		"tls-required": {
			{"false", nsqd.TLSNotRequired}, {"true", nsqd.TLSRequiredAlways}, {`"tcp-https"`, nsqd.TLSRequiredExceptHTTP}, {`"1"`, nsqd.TLSRequiredAlways}, {"1", nil}, {`"x"`, nil},
		},
		"tls-min-version": {
			{`""`, nsqd.TLSVersion(tls.VersionTLS12)}, {`"tls1.1"`, nsqd.TLSVersion(tls.VersionTLS11)}, {`"ssl3.0"`, nil}, {"1.2", nil}, {"true", nil},
		},
	}
	for _, name := range boolFlags {
		values[name] = []value{{"false", false}, {"true", true}, {`"0"`, false}, {"1", nil}, {`"maybe"`, nil}, {`""`, nil}}
	}
	for _, name := range listFlags {
		values[name] = []value{{`[]`, []string(nil)}, {`["b:2", "c:3"]`, []string{"b:2", "c:3"}}, {`"d, e"`, []string{"d", "e"}}, {"5", nil}, {"[5]", nil}}
	}
	for _, name := range floatListFlags {
		values[name] = []value{{"[]", []float64(nil)}, {"[1.0, 0.95]", []float64{1, 0.95}}, {`"0.9, 1"`, []float64{0.9, 1}}, {"0.5", nil}, {`["x"]`, nil}}
	}
	for _, name := range stringFlags {
		values[name] = []value{{`""`, ""}, {`"some text"`, "some text"}, {"5", nil}, {"true", nil}, {`["a"]`, nil}}
	}
	for _, name := range intFlags {
		values[name] = []value{{"0", int64(0)}, {"77", int64(77)}, {`"77"`, int64(77)}, {"5.5", nil}, {`"5.5"`, nil}, {`""`, nil}, {"true", nil}}
	}
	for _, name := range durationFlags {
		values[name] = []value{{`"77ms"`, 77 * time.Millisecond}, {"78", 78 * time.Millisecond}, {`"77"`, nil}, {"5.5", nil}, {`""`, nil}, {"false", nil}}
	}
	return values
}

func level(l slog.Level) logging.Level { return logging.Level(l) }

// option returns what an option is set to, integers as int64.
func option(t *testing.T, o *nsqd.Options, flagName string) any {
	t.Helper()
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("flag") != flagName {
			continue
		}
		if n, ok := reflect.TypeAssert[int](v.Field(i)); ok {
			return int64(n)
		}
		return v.Field(i).Interface()
	}
	t.Fatalf("no option has the flag %s", flagName)
	return nil
}

func keyOf(flagName string) string {
	switch flagName {
	case "node-id":
		return "id"
	case "lookupd-tcp-address":
		return "nsqlookupd_tcp_addresses"
	case "auth-http-address":
		return "auth_http_addresses"
	case "e2e-processing-latency-percentile":
		return "e2e_processing_latency_percentiles"
	}
	return strings.ReplaceAll(flagName, "-", "_")
}

func TestEveryFlag(t *testing.T) {
	for name, values := range flagValues() {
		for _, v := range values {
			forms := [][]string{{"--" + name + "=" + v.text}, {"-" + name, v.text}}
			if slices.Contains(boolFlags, name) || name == "tls-required" { // need the "="
				forms = forms[:1]
			}
			for _, args := range forms {
				var stderr bytes.Buffer
				c, err := parse(args, &stderr)
				if v.want == nil {
					wrong := fmt.Sprintf("value %q for ", v.text)
					if err == nil || !strings.HasPrefix(stderr.String(), "invalid ") || !strings.Contains(stderr.String(), wrong) || !strings.Contains(stderr.String(), "-"+name+": ") || !strings.Contains(stderr.String(), "\nUsage of nsqd:\n") {
						t.Errorf("%q: got %v and %q, want an error and the usage", args, err, stderr.String())
					}
					continue
				}
				if err != nil {
					t.Errorf("%q: %v", args, err)
					continue
				}
				if _, err := c.resolve(); err != nil {
					t.Errorf("%q: %v", args, err)
				}
				if got := option(t, c.options, name); !reflect.DeepEqual(got, v.want) {
					t.Errorf("%q: got %v, want %v", args, got, v.want)
				}
			}
		}
	}
}

func TestEveryKeyOfTheFile(t *testing.T) {
	for name, values := range fileValues() {
		for _, v := range values {
			line := keyOf(name) + " = " + v.text
			o, warnings, err := fromFile(t, line)
			switch {
			case v.want == nil && (err == nil || !strings.Contains(err.Error(), " - line 1: failed parsing "+keyOf(name)+" ")):
				t.Errorf("%s: got %v, want an error that names the line, the key and the value", line, err)
			case v.want != nil && (err != nil || warnings != nil || !reflect.DeepEqual(option(t, o, name), v.want)):
				t.Errorf("%s: got %v, %v, %v, want %v", line, option(t, o, name), warnings, err, v.want)
			}
		}
	}
}

func TestFlagGoesBeforeTheFile(t *testing.T) {
	for name, values := range flagValues() {
		fromFlag, inFile := values[0], fileValues()[name][1]
		if reflect.DeepEqual(fromFlag.want, inFile.want) {
			t.Fatalf("%s: the table has %v twice, so this proves nothing", name, fromFlag.want)
		}
		o, _, err := fromFile(t, keyOf(name)+" = "+inFile.text, "--"+name+"="+fromFlag.text)
		if err != nil || !reflect.DeepEqual(option(t, o, name), fromFlag.want) {
			t.Errorf("%s: got %v, %v, want %v", name, option(t, o, name), err, fromFlag.want)
		}
	}
}

// A flag that is missing in the tables would be missing in the tests.
func TestTheTablesNameEveryFlag(t *testing.T) {
	c, err := parse(nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	c.flags.VisitAll(func(f *flag.Flag) {
		got = append(got, f.Name)
		if f.Usage == "" {
			t.Errorf("--%s has no usage text", f.Name)
		}
	})
	want := slices.Concat(optionFlags(), []string{"version", "config", "verbose", "worker-id"})
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("flags are %q, want %q", got, want)
	}
}

func TestDefaults(t *testing.T) {
	c, err := parse(nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.resolve(); err != nil || !reflect.DeepEqual(c.options, nsqd.NewOptions()) {
		t.Errorf("got %+v, %v", c.options, err)
	}
}

func TestArgumentsWithoutEffect(t *testing.T) {
	c, err := parse([]string{"--worker-id", "--verbose", "--worker-id=false", "--node-id=7"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.resolve(); err != nil || c.options.ID != 7 {
		t.Errorf("got id %d, %v, want 7", c.options.ID, err)
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
		{[]string{"--log-level=xyz"}, `invalid value "xyz" for flag -log-level: invalid log level 'xyz' (debug, info, warn, error, fatal)`},
		{[]string{"--msg-timeout=60"}, `invalid value "60" for flag -msg-timeout: parse error`},
	} {
		var stderr bytes.Buffer
		_, err := parse(c.args, &stderr)
		if err == nil || err.Error() != c.want || !strings.HasPrefix(stderr.String(), c.want+"\nUsage of nsqd:\n") {
			t.Errorf("%q: got %v and %q, want %s and the usage", c.args, err, stderr.String(), c.want)
		}
	}
}

func TestHelpShowsTheDefaults(t *testing.T) {
	var stderr bytes.Buffer
	if _, err := parse([]string{"--help"}, &stderr); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{`-log-prefix string`, `(default "[nsqd] ")`, "(default info)", "(default 1m0s)", "(default 104857600)"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("usage lacks %q", want)
		}
	}
}

// fromFile resolves a config file of the given text and arguments.
func fromFile(t *testing.T, text string, args ...string) (*nsqd.Options, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nsqd.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := parse(append(args, "--config="+path), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	warnings, err := c.resolve()
	return c.options, warnings, err
}

func TestExampleFileIsCompleteAndHoldsTheDefaults(t *testing.T) {
	example, err := os.ReadFile(filepath.Join("..", "..", "contrib", "nsqd.cfg.example"))
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`(?m)^#([a-z0-9_]+) = `)
	var keys []string
	for _, m := range setting.FindAllSubmatch(example, -1) {
		keys = append(keys, string(m[1]))
	}
	var want []string
	for _, name := range optionFlags() {
		want = append(want, keyOf(name))
	}
	slices.Sort(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("the example has the keys %q, want %q", keys, want)
	}

	for name, text := range map[string]string{
		"as shipped":         string(example),
		"with every key set": setting.ReplaceAllString(string(example), "$1 = "),
	} {
		got, warnings, err := fromFile(t, text)
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
