package interop_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/internal/certs/certstest"
)

// A difference is one that is there on purpose. What it says of names and
// results are regular expressions for the whole text.
type difference struct {
	name, theirs, ours, reason string
}

// differences finds what is there on purpose, and what of that is not there.
type differences struct {
	known []difference
	seen  []bool
}

func allow(known []difference) *differences {
	return &differences{known, make([]bool, len(known))}
}

// compare fails the test if two results differ for no known reason.
func (d *differences) compare(t *testing.T, name, theirs, own string) {
	t.Helper()
	if theirs == own {
		return
	}
	for i, k := range d.known {
		if whole(k.name, name) && whole(k.theirs, theirs) && whole(k.ours, own) {
			d.seen[i] = true
			return
		}
	}
	t.Errorf("%s\ngo-nsq: %s\nours:   %s", name, theirs, own)
}

// compareFacts compares lists of the same facts.
func (d *differences) compareFacts(t *testing.T, theirs, own []interop.Fact) {
	t.Helper()
	if len(theirs) != len(own) {
		t.Fatalf("%d facts of go-nsq and %d of ours", len(theirs), len(own))
	}
	for i, f := range theirs {
		if f.Name != own[i].Name {
			t.Errorf("go-nsq: %s\nours: %s", f.Name, own[i].Name)
		}
		d.compare(t, f.Name, f.Value, own[i].Value)
	}
}

// end fails the test if a known difference was not found.
func (d *differences) end(t *testing.T) {
	t.Helper()
	for i, k := range d.known {
		if !d.seen[i] {
			t.Errorf("no difference any more: %s (%s)", k.name, k.reason)
		}
	}
}

func whole(pattern, text string) bool {
	return regexp.MustCompile(`^(?s:` + pattern + `)$`).MatchString(text)
}

// A customStrategy is one that a program brings.
type customStrategy struct{}

func (customStrategy) Calculate(attempt int) time.Duration { return time.Duration(attempt) }

// named are integers and strings of types that a program may have.
type (
	namedInt    int
	namedString string
)

// Every option gets a value of every type.
func TestConfigSet(t *testing.T) {
	cert, key := certstest.NewCA(t).Write(t, t.TempDir(), "client")
	number := 7
	values := []any{
		nil, "", "x", "yes", "true", "false", "0", "1", "-1", "7", "1000", "70000", "99999999999999999999", "1.5", "0x10", "1e3", " 1",
		"1500", "1500ms", "2s", "-1ms", "1h30m", "exponential", "full_jitter", "127.0.0.1:0", "[::1]:80", "nowhere", ":99999",
		"tls1.0", "tls1.1", "tls1.2", "TLS1.2", "tls1.3", "ssl3.0", cert, key, filepath.Join(t.TempDir(), "absent"),
		true, false,
		0, 1, -1, 7, 1000, 70000, math.MaxInt64, int8(1), int16(1), int16(-1), int32(1), int64(1), int64(math.MinInt64),
		uint(1), uint8(1), uint16(1), uint32(1), uint64(1), uint64(math.MaxUint64),
		float32(1), 0.5, 1.5, math.Inf(1), math.NaN(),
		time.Duration(0), time.Duration(-1), time.Millisecond, 2 * time.Second, time.Hour, 2 * time.Hour,
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, &net.UDPAddr{}, &tls.Config{ServerName: "given"}, (*tls.Config)(nil),
		customStrategy{}, []byte("bytes"), errors.New("an error"), []string{"a"}, &number, struct{}{}, namedInt(1), namedString("1"),
	}
	d := allow(setDifferences)
	options := []string{"", "no-thing", "MaxInFlight", "MAX_IN_FLIGHT", "max-in-flight", "max_in_flight ",
		"tls_root_ca_file", "tls-root-ca-file", "tls_insecure_skip_verify", "tls_cert", "tls_key", "tls_min_version"}
	for f := range fields(gonsq.Library{}.NewConfig()) {
		options = append(options, f.Tag.Get("opt"))
	}
	for _, option := range options {
		for _, v := range values {
			name := fmt.Sprintf("%s = %T %v", option, v, v)
			result := func(l interop.Library) string {
				c := l.NewConfig()
				return outcome(c, func() error { return c.Set(option, v) })
			}
			d.compare(t, name, result(gonsq.Library{}), result(ours.Library{}))
		}
	}
	d.end(t)
}

// Options that belong together, one after the other.
func TestConfigSetSequences(t *testing.T) {
	ca := certstest.NewCA(t)
	dir := t.TempDir()
	cert, key := ca.Issue(t).Write(t, dir, "client")
	roots, _ := ca.Write(t, dir, "ca")
	type set struct {
		option string
		value  any
	}
	d := allow(sequenceDifferences)
	for _, c := range []struct {
		name string
		sets []set
	}{
		{"certificate", []set{{"tls_cert", cert}, {"tls_key", key}}},
		{"key first", []set{{"tls_key", key}, {"tls-cert", cert}}},
		{"certificate twice", []set{{"tls_cert", cert}, {"tls_key", key}, {"tls_cert", cert}}},
		{"key of nothing", []set{{"tls_cert", cert}, {"tls_key", filepath.Join(dir, "absent")}}},
		{"key is no key", []set{{"tls_cert", cert}, {"tls_key", cert}}},
		{"everything", []set{{"tls_v1", true}, {"tls_root_ca_file", roots}, {"tls_insecure_skip_verify", "true"},
			{"tls_cert", cert}, {"tls_key", key}, {"tls_min_version", "tls1.2"}}},
		{"own config", []set{{"tls_config", "own"}, {"tls_insecure_skip_verify", true}}},
		{"config taken away", []set{{"tls_insecure_skip_verify", true}, {"tls_config", (*tls.Config)(nil)}}},
		{"both compressions", []set{{"deflate", true}, {"snappy", true}}},
		{"value stays on error", []set{{"max_in_flight", 7}, {"max_in_flight", "x"}}},
		{"value stays when out of range", []set{{"deflate_level", 7}, {"deflate_level", 10}}},
	} {
		result := func(l interop.Library) string {
			conf := l.NewConfig()
			var all []string
			for _, s := range c.sets {
				if s.value == "own" {
					s.value = &tls.Config{ServerName: "own", MinVersion: tls.VersionTLS12} // go-nsq changes it
				}
				all = append(all, outcome(conf, func() error { return conf.Set(s.option, s.value) }))
			}
			text := strings.Join(all, "; ") + "; " + fmt.Sprint(conf.Validate())
			text = regexp.MustCompile(`TLS from .*? to .*?,`).ReplaceAllString(text, "TLS,") // see TestConfigSet
			return strings.ReplaceAll(text, dir, "DIR")
		}
		d.compare(t, c.name, result(gonsq.Library{}), result(ours.Library{}))
	}
	d.end(t)
}

// Fields that a program sets itself are checked by Validate.
func TestConfigValidate(t *testing.T) {
	values := []int64{math.MinInt64, -1e6, -1, 0, 1, 9, 10, 99, 100, 1e6 - 1, 1e6, 1e8 - 1, 1e8, 1e9 - 1, 1e9, 5e9, 5e9 + 1,
		int64(time.Minute), int64(time.Minute) + 1, int64(5 * time.Minute), int64(5*time.Minute) + 1,
		int64(time.Hour), int64(time.Hour) + 1, math.MaxInt64}
	d := allow(validateDifferences)
	for f := range fields(gonsq.Library{}.NewConfig()) {
		for _, v := range values {
			result := func(l interop.Library) string {
				c := l.NewConfig()
				field := reflect.ValueOf(c.Struct()).Elem().FieldByName(f.Name)
				switch {
				case field.CanInt() && !field.OverflowInt(v):
					field.SetInt(v)
				case field.CanUint() && v >= 0 && !field.OverflowUint(uint64(v)):
					field.SetUint(uint64(v))
				case field.CanFloat():
					field.SetFloat(float64(v) / 10)
				default:
					field.SetZero()
				}
				return outcome(c, c.Validate)
			}
			d.compare(t, fmt.Sprint(f.Name, " = ", v), result(gonsq.Library{}), result(ours.Library{}))
		}
	}
	d.end(t)
}

func TestConfigDefaults(t *testing.T) {
	d := allow([]difference{
		{"UserAgent", `.*"go-nsq/1\.1\.0"`, `.*"go-nsq/[0-9.]+"`, "it has the version"},
	})
	describe := func(l interop.Library) map[string]string {
		all := map[string]string{}
		for f, v := range fields(l.NewConfig()) {
			tags := fmt.Sprintf("opt=%s min=%s max=%s default=%s", f.Tag.Get("opt"), f.Tag.Get("min"), f.Tag.Get("max"), f.Tag.Get("default"))
			all[f.Name] = fmt.Sprintf("%v %s: %s", f.Type, tags, show(v))
		}
		return all
	}
	own := describe(ours.Library{})
	for name, theirs := range describe(gonsq.Library{}) {
		d.compare(t, name, theirs, own[name])
	}
	d.end(t)
}

func TestConfigFlag(t *testing.T) {
	d := allow([]difference{{"max_in_flight", `.* - invalid value type`, `.* - invalid value type bool`, "the error names the type"}})
	for _, opt := range []string{"snappy", "tls-v1", "client_id,a,b", "max_in_flight,7", "max_in_flight", "max_in_flight,", "client_id,", "nothing,1", "snappy,no"} {
		result := func(l interop.Library) string {
			c := l.NewConfig()
			return outcome(c, func() error { return c.SetFlag(opt) }) + c.FlagText()
		}
		d.compare(t, opt, result(gonsq.Library{}), result(ours.Library{}))
	}
	d.end(t)
}

// The pauses of both strategies, as far as they are not random.
func TestBackoffStrategies(t *testing.T) {
	for _, multiplier := range []time.Duration{0, time.Millisecond, time.Second, time.Hour} {
		for _, level := range []int{0, 1, 2, 7, 20} {
			for _, strategy := range []string{"exponential", "ExponentialStrategy", "full_jitter", "FullJitterStrategy"} {
				pause := func(l interop.Library) (d time.Duration, panics any) {
					defer func() { panics = recover() }()
					c := l.NewConfig()
					must(t, c.Set("backoff_multiplier", multiplier))
					must(t, c.SetStrategy(strategy))
					return c.Backoff(level), nil
				}
				theirs, panics := pause(gonsq.Library{})
				own, ownPanics := pause(ours.Library{})
				most := multiplier << level
				if jitter := strings.Contains(strings.ToLower(strategy), "jitter"); ownPanics != nil || own < 0 || own > most || !jitter && own != most {
					t.Errorf("%s %v level %d: %v, panic %v", strategy, multiplier, level, own, ownPanics)
				} else if panics == nil && (theirs > most || !jitter && theirs != own) {
					t.Errorf("%s %v level %d: %v, go-nsq has %v", strategy, multiplier, level, own, theirs)
				} else if panics != nil && !(jitter && multiplier == 0) {
					t.Errorf("%s %v level %d: go-nsq panics: %v", strategy, multiplier, level, panics)
				}
			}
		}
	}
}

// outcome does something to a config and returns what came of it: the error or
// the panic, and the fields that differ from the defaults.
func outcome(c interop.Config, do func() error) (result string) {
	defaults := map[string]string{}
	for f, v := range fields(c) {
		defaults[f.Name] = show(v)
	}
	err := func() (result any) {
		defer func() {
			if p := recover(); p != nil {
				result = fmt.Sprintf("panic: %v", p)
			}
		}()
		return do()
	}()
	changes := []string{fmt.Sprint(err)}
	for f, v := range fields(c) {
		if got := show(v); got != defaults[f.Name] {
			changes = append(changes, f.Name+" "+got)
		}
	}
	return strings.Join(changes, ", ")
}

// fields returns an iterator over the exported fields of a config.
func fields(c interop.Config) func(yield func(reflect.StructField, reflect.Value) bool) {
	return func(yield func(reflect.StructField, reflect.Value) bool) {
		v := reflect.ValueOf(c.Struct()).Elem()
		for _, f := range reflect.VisibleFields(v.Type()) {
			if f.IsExported() && !yield(f, v.FieldByIndex(f.Index)) {
				return
			}
		}
	}
}

// show returns the value of a field as text.
func show(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case nil:
		return "nil"
	case *tls.Config:
		if v == nil {
			return "no TLS"
		}
		return fmt.Sprintf("TLS from %s to %s, %d certificates, roots %v, verified %v, %q",
			tls.VersionName(v.MinVersion), tls.VersionName(v.MaxVersion), len(v.Certificates), v.RootCAs != nil, !v.InsecureSkipVerify, v.ServerName)
	case net.Addr:
		if reflect.ValueOf(v).IsNil() {
			return fmt.Sprintf("%T nil", v)
		}
		return fmt.Sprintf("%T %v", v, v)
	case string:
		return fmt.Sprintf("%q", v)
	case interface{ Calculate(int) time.Duration }:
		return fmt.Sprintf("%T", v)
	}
	return fmt.Sprintf("%v", v)
}
