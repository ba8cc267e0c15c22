package nsq

import (
	"errors"
	"flag"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	c := NewConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Hostname == "" || strings.Contains(c.ClientID, ".") || !strings.HasPrefix(c.Hostname, c.ClientID) {
		t.Errorf("client id %q, host name %q", c.ClientID, c.Hostname)
	}
	c.ClientID, c.Hostname = "", ""
	want := &Config{
		DialTimeout:             time.Second,
		ReadTimeout:             time.Minute,
		WriteTimeout:            time.Second,
		LookupdPollInterval:     time.Minute,
		LookupdPollJitter:       0.3,
		LookupdPollTimeout:      time.Minute,
		MaxRequeueDelay:         15 * time.Minute,
		DefaultRequeueDelay:     90 * time.Second,
		MaxBackoffDuration:      2 * time.Minute,
		BackoffMultiplier:       time.Second,
		MaxAttempts:             5,
		LowRdyIdleTimeout:       10 * time.Second,
		LowRdyTimeout:           30 * time.Second,
		RDYRedistributeInterval: 5 * time.Second,
		UserAgent:               "go-nsq/1.4.0",
		HeartbeatInterval:       30 * time.Second,
		DeflateLevel:            6,
		OutputBufferSize:        16384,
		OutputBufferTimeout:     250 * time.Millisecond,
		MaxInFlight:             1,
		LookupdAuthorization:    true,
		made:                    true,
	}
	want.BackoffStrategy = &ExponentialStrategy{want}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestConfigSet(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 99}
	for _, tt := range []struct {
		option string
		value  any
		want   any // the field's value, or the text of the error
	}{
		{"max_in_flight", 7, 7},
		{"max-in-flight", "7", 7},
		{"max_in_flight", uint64(7), 7},
		{"max_in_flight", int16(7), 7},
		{"max_in_flight", int8(7), "failed to coerce option max_in_flight (7) - invalid value type int8"},
		{"max_in_flight", 1.5, "failed to coerce option max_in_flight (1.5) - invalid value type float64"},
		{"max_in_flight", true, "failed to coerce option max_in_flight (true) - invalid value type bool"},
		{"max_in_flight", nil, "failed to coerce option max_in_flight (<nil>) - invalid value type <nil>"},
		{"max_in_flight", "x", `failed to coerce option max_in_flight (x) - strconv.ParseInt: parsing "x": invalid syntax`},
		{"max_in_flight", uint64(1 << 63), "failed to coerce option max_in_flight (9223372036854775808) - value out of range"},
		{"max-in-flight", -1, "invalid max_in_flight ! -1 < 0"},
		{"MAX_IN_FLIGHT", 7, "invalid option MAX_IN_FLIGHT"},
		{"MaxInFlight", 7, "invalid option MaxInFlight"},
		{"", 7, "invalid option "},
		{"max_attempts", 65535, uint16(65535)},
		{"max_attempts", 70000, "invalid max_attempts ! 70000 > 65535"},
		{"max_attempts", -1, "invalid max_attempts ! -1 < 0"},
		{"sample_rate", "99", int32(99)},
		{"sample_rate", 100, "invalid sample_rate ! 100 > 99"},
		{"max_msg_size", int64(1 << 31), "invalid max_msg_size ! 2147483648 does not fit int32"},
		{"output_buffer_size", -1, int64(-1)},
		{"read_timeout", "2s", 2 * time.Second},
		{"read_timeout", 2000, 2 * time.Second},
		{"read_timeout", 2 * time.Second, 2 * time.Second},
		{"read_timeout", "1500", `failed to coerce option read_timeout (1500) - time: missing unit in duration "1500"`},
		{"read_timeout", 1.5, "failed to coerce option read_timeout (1.5) - invalid value type float64"},
		{"read_timeout", int64(1) << 62, "failed to coerce option read_timeout (4611686018427387904) - value out of range"},
		{"read_timeout", "99ms", "invalid read_timeout ! 99ms < 100ms"},
		{"read_timeout", "6m", "invalid read_timeout ! 6m0s > 5m0s"},
		{"low_rdy_idle_timeout", "2s", 2 * time.Second},
		{"low_rdy_idle_timeout", "999ms", "invalid low_rdy_idle_timeout ! 999ms < 1s"},
		{"low_rdy_timeout", 2000, 2 * time.Second},
		{"low-rdy-timeout", "5m1s", "invalid low_rdy_timeout ! 5m1s > 5m0s"},
		{"max_backoff_duration", "60m", time.Hour},
		{"max_backoff_duration", "61m", "invalid max_backoff_duration ! 1h1m0s > 1h0m0s"},
		{"backoff_multiplier", 100, 100 * time.Millisecond},
		{"backoff_multiplier", -1, "invalid backoff_multiplier ! -1ms < 0s"},
		{"backoff_strategy", "fibonacci", `failed to coerce option backoff_strategy (fibonacci) - unknown backoff strategy "fibonacci"`},
		{"backoff_strategy", 1, "failed to coerce option backoff_strategy (1) - invalid value type int"},
		{"backoff_strategy", nil, "failed to coerce option backoff_strategy (<nil>) - invalid value type <nil>"},
		{"client_id", "me", "me"},
		{"client_id", []byte("me"), "me"},
		{"client_id", 12, "12"},
		{"client_id", 1.5, "1.500000"},
		{"client_id", true, "true"},
		{"lookupd_poll_interval", "9ms", "invalid lookupd_poll_interval ! 9ms < 10ms"},
		{"lookupd_poll_timeout", 0, time.Duration(0)},
		{"lookupd_poll_jitter", 0.5, 0.5},
		{"lookupd_poll_jitter", float32(0.5), 0.5},
		{"lookupd_poll_jitter", "0.25", 0.25},
		{"lookupd_poll_jitter", 1, 1.0},
		{"lookupd_poll_jitter", 1.01, "invalid lookupd_poll_jitter ! 1.01 > 1"},
		{"lookupd_poll_jitter", "-0.1", "invalid lookupd_poll_jitter ! -0.1 < 0"},
		{"lookupd_poll_jitter", "NaN", "invalid lookupd_poll_jitter ! NaN < 0"},
		{"lookupd_poll_jitter", "x", `failed to coerce option lookupd_poll_jitter (x) - strconv.ParseFloat: parsing "x": invalid syntax`},
		{"lookupd_poll_jitter", true, "failed to coerce option lookupd_poll_jitter (true) - invalid value type bool"},
		{"skip_lookupd_authorization", false, false},
		{"skip-lookupd-authorization", "f", false},
		{"skip_lookupd_authorization", 0, false},
		{"skip_lookupd_authorization", uint16(7), true},
		{"skip_lookupd_authorization", "yes", `failed to coerce option skip_lookupd_authorization (yes) - strconv.ParseBool: parsing "yes": invalid syntax`},
		{"skip_lookupd_authorization", 1.0, "failed to coerce option skip_lookupd_authorization (1) - invalid value type float64"},
		{"tls_v1", "true", true},
		{"tls-v1", "yes", `failed to coerce option tls_v1 (yes) - strconv.ParseBool: parsing "yes": invalid syntax`},
		{"deflate", 1, true},
		{"deflate_level", "9", 9},
		{"deflate_level", 0, "invalid deflate_level ! 0 < 1"},
		{"deflate-level", 10, "invalid deflate_level ! 10 > 9"},
		{"snappy", true, true},
		{"auth_secret", "s3cret", "s3cret"},
		{"local_addr", "127.0.0.1:99", addr},
		{"local_addr", addr, addr},
		{"local_addr", nil, nil},
		{"local_addr", 99, "failed to coerce option local_addr (99) - invalid value type int"},
		{"local_addr", "127.0.0.1", "failed to coerce option local_addr (127.0.0.1) - address 127.0.0.1: missing port in address"},
	} {
		c := NewConfig()
		before := *c
		if err := c.Set(tt.option, tt.value); err != nil {
			if err.Error() != tt.want {
				t.Errorf("Set(%q, %v): %v, want %v", tt.option, tt.value, err, tt.want)
			}
			if !reflect.DeepEqual(*c, before) {
				t.Errorf("Set(%q, %v) failed and changed the option", tt.option, tt.value)
			}
			continue
		}
		var got any
		for i := range options {
			if options[i].name == strings.ReplaceAll(tt.option, "-", "_") {
				got = options[i].field(c).Interface()
			}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Set(%q, %v) gave %v, want %v", tt.option, tt.value, got, tt.want)
		}
	}
}

func TestConfigSetStrategy(t *testing.T) {
	for _, tt := range []struct {
		value any
		want  BackoffStrategy
	}{
		{"", &ExponentialStrategy{}},
		{"exponential", &ExponentialStrategy{}},
		{"full_jitter", &FullJitterStrategy{}},
		{&FullJitterStrategy{}, &FullJitterStrategy{}},
		{constant, constant},
	} {
		c := NewConfig()
		if err := c.Set("backoff_strategy", tt.value); err != nil {
			t.Errorf("Set to %v: %v", tt.value, err)
		}
		if got := reflect.TypeOf(c.BackoffStrategy); got != reflect.TypeOf(tt.want) {
			t.Errorf("Set to %v gave a %v", tt.value, got)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"invalid ReadTimeout ! 0s < 100ms":                              func(c *Config) { c.ReadTimeout = 0 },
		"invalid SampleRate ! 100 > 99":                                 func(c *Config) { c.SampleRate = 100 },
		"invalid LookupdPollJitter ! 2 > 1":                             func(c *Config) { c.LookupdPollJitter = 2 },
		"invalid DeflateLevel ! 0 < 1":                                  func(c *Config) { c.DeflateLevel = 0 },
		"invalid MaxInFlight ! -1 < 0":                                  func(c *Config) { c.MaxInFlight = -1 },
		"HeartbeatInterval 1m0.001s must be less than ReadTimeout 1m0s": func(c *Config) { c.HeartbeatInterval = 60001 * time.Millisecond },
	} {
		c := NewConfig()
		change(c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("Validate: %v, want %s", err, want)
		}
		if _, err := NewProducer("127.0.0.1:4150", c); err == nil || err.Error() != want {
			t.Errorf("NewProducer: %v, want %s", err, want)
		}
		if _, err := NewConsumer("t", "c", c); err == nil || err.Error() != want {
			t.Errorf("NewConsumer: %v, want %s", err, want)
		}
	}
	c := NewConfig()
	c.HeartbeatInterval = c.ReadTimeout
	if err := c.Validate(); err != nil {
		t.Errorf("heartbeats as rare as the read time-out: %v", err)
	}
}

func TestConfigFlag(t *testing.T) {
	c := NewConfig()
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&ConfigFlag{c}, "consumer-opt", "")
	if err := flags.Parse([]string{"-consumer-opt=max_in_flight,12", "-consumer-opt", "client_id,a,b"}); err != nil {
		t.Fatal(err)
	}
	if c.MaxInFlight != 12 || c.ClientID != "a,b" {
		t.Errorf("max in flight %d, client id %q", c.MaxInFlight, c.ClientID)
	}
	if err := flags.Parse([]string{"-consumer-opt=hostname"}); err != nil || c.Hostname != "true" {
		t.Errorf("an option without a value: %q, %v; want true", c.Hostname, err)
	}
	c.LookupdAuthorization = false
	if err := flags.Parse([]string{"-consumer-opt=skip_lookupd_authorization"}); err != nil || !c.LookupdAuthorization {
		t.Errorf("a bool option without a value: %v, %v; want true", c.LookupdAuthorization, err)
	}
	if err := flags.Parse([]string{"-consumer-opt=nonsense,1"}); err == nil {
		t.Error("an unknown option was accepted")
	}
}

func TestConfigNotFromNewConfig(t *testing.T) {
	const text = "Config{} must be created with NewConfig()"
	for name, tt := range map[string]struct {
		config *Config
		want   string // text of the error
	}{
		"a literal": {&Config{MaxInFlight: 1}, text},
		"nil":       {nil, "nil Config: " + text},
	} {
		for call, err := range map[string]error{
			"Set":            tt.config.Set("max_in_flight", 1),
			"ConfigFlag.Set": (&ConfigFlag{tt.config}).Set("max_in_flight,1"),
			"Validate":       tt.config.Validate(),
			"NewProducer":    second(NewProducer("127.0.0.1:4150", tt.config)),
			"NewConsumer":    second(NewConsumer("t", "c", tt.config)),
		} {
			if !errors.Is(err, ErrNoNewConfig) || err.Error() != tt.want {
				t.Errorf("%s: %s returned %v, want %s", name, call, err, tt.want)
			}
		}
	}
	c := *NewConfig()
	if err := c.Set("max_in_flight", 2); err != nil || c.MaxInFlight != 2 || c.Validate() != nil {
		t.Errorf("a copy: %v, %v", err, c.Validate())
	}
}

// second returns the error of a call that returns a value, too.
func second[T any](_ T, err error) error { return err }
