package nsq

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// VERSION is the version of this library.
const VERSION = "1.4.0"

// Config holds the options of a Producer or a Consumer, which copy it when
// they are made. Start from NewConfig, or a copy of what it returned; then set
// fields, or options by the name in the opt tag with Set. A Config{} has none of
// the defaults: it is refused with ErrNoNewConfig, and NewConn, which returns no
// error, panics. Durations that are sent to nsqd go out in whole milliseconds.
type Config struct {
	// DialTimeout is how long a connection to nsqd or nsqlookupd may take to make.
	DialTimeout time.Duration `opt:"dial_timeout" default:"1s"`

	// ReadTimeout is how long nsqd may be silent; its heartbeats count.
	ReadTimeout time.Duration `opt:"read_timeout" min:"100ms" max:"5m" default:"60s"`
	// WriteTimeout is how long nsqd may take to receive 64 KiB.
	WriteTimeout time.Duration `opt:"write_timeout" min:"100ms" max:"5m" default:"1s"`

	// LocalAddr is the address to connect from, nil for any.
	LocalAddr net.Addr `opt:"local_addr"`

	// LookupdPollInterval is how often an nsqlookupd is asked that does not tell
	// of changes by itself. It is also the longest pause between two attempts to
	// reconnect to an nsqd; the first pauses are much shorter.
	LookupdPollInterval time.Duration `opt:"lookupd_poll_interval" min:"10ms" max:"5m" default:"60s"`
	// LookupdPollJitter is by which part of LookupdPollInterval, at most, the
	// first pause is longer, so that not all consumers ask at the same time.
	LookupdPollJitter float64 `opt:"lookupd_poll_jitter" min:"0" max:"1" default:"0.3"`
	// LookupdPollTimeout is how long nsqlookupd may take to answer; 0 sets no
	// limit.
	LookupdPollTimeout time.Duration `opt:"lookupd_poll_timeout" default:"1m"`

	// A message that is requeued with a delay of -1 is delayed by
	// DefaultRequeueDelay times its attempts, at most MaxRequeueDelay.
	MaxRequeueDelay     time.Duration `opt:"max_requeue_delay" min:"0" max:"60m" default:"15m"`
	DefaultRequeueDelay time.Duration `opt:"default_requeue_delay" min:"0" max:"60m" default:"90s"`

	// BackoffStrategy says how long a Consumer pauses when messages are requeued,
	// as it then takes their handler to be in trouble: longer with every failure,
	// but never longer than MaxBackoffDuration. With 0 for that it does not pause.
	// Set takes exponential or full_jitter for the strategies of this package,
	// which multiply BackoffMultiplier.
	BackoffStrategy    BackoffStrategy `opt:"backoff_strategy" default:"exponential"`
	MaxBackoffDuration time.Duration   `opt:"max_backoff_duration" min:"0" max:"60m" default:"2m"`
	BackoffMultiplier  time.Duration   `opt:"backoff_multiplier" min:"0" max:"60m" default:"1s"`

	// MaxAttempts is how often a message is delivered to be handled: one that is
	// delivered once more is finished without, see FailedMessageLogger. 0 means
	// without limit. The last of these deliveries is given to a handler even after
	// its time-out.
	MaxAttempts uint16 `opt:"max_attempts" min:"0" max:"65535" default:"5"`

	// With more connections than MaxInFlight, they take turns with a RDY of 1.
	// A turn ends early when it has lasted LowRdyTimeout, or when no message
	// came for LowRdyIdleTimeout. Every connection gets its turn within
	// RDYRedistributeInterval, or after 50ms for each before it, unless handlers
	// are slow: what is in flight is first answered, or LowRdyTimeout goes by.
	LowRdyIdleTimeout       time.Duration `opt:"low_rdy_idle_timeout" min:"1s" max:"5m" default:"10s"`
	LowRdyTimeout           time.Duration `opt:"low_rdy_timeout" min:"1s" max:"5m" default:"30s"`
	RDYRedistributeInterval time.Duration `opt:"rdy_redistribute_interval" min:"1ms" max:"5s" default:"5s"`

	// How the client is called in nsqd's log and statistics.
	ClientID  string `opt:"client_id"` // default: host name up to its first dot
	Hostname  string `opt:"hostname"`
	UserAgent string `opt:"user_agent"`

	// Where the client is, for an nsqd that prefers consumers nearby.
	TopologyRegion string `opt:"topology_region"`
	TopologyZone   string `opt:"topology_zone"`

	// HeartbeatInterval is how often nsqd sends a heartbeat, at most
	// ReadTimeout; -1 switches them off, which only a Producer may.
	HeartbeatInterval time.Duration `opt:"heartbeat_interval" default:"30s"`
	// SampleRate is the percentage of messages to deliver; 0 means all.
	SampleRate int32 `opt:"sample_rate" min:"0" max:"99"`

	// TlsV1 asks for TLS. An nsqd that does not offer it is not used.
	TlsV1 bool `opt:"tls_v1"` //nolint:revive // the name programs know
	// TlsConfig is how TLS is done, with TLS 1.2 or later and the authorities of
	// the system where it does not say; it must not be changed any more. Without
	// a ServerName, nsqd has to prove that it is the host of its address. It does
	// not ask for TLS: TlsV1 does.
	TlsConfig *tls.Config `opt:"tls_config"` //nolint:revive // the name programs know

	// Deflate and Snappy ask for compression, of which there can be one. A
	// connection to an nsqd that does not offer it is not compressed.
	Deflate      bool `opt:"deflate"`
	DeflateLevel int  `opt:"deflate_level" min:"1" max:"9" default:"6"` // fast to small
	Snappy       bool `opt:"snappy"`

	// How much, and for how long, nsqd may collect messages before it sends
	// them; -1 switches either off.
	OutputBufferSize    int64         `opt:"output_buffer_size" default:"16384"`
	OutputBufferTimeout time.Duration `opt:"output_buffer_timeout" default:"250ms"`

	// MaxInFlight is how many messages may be delivered and not answered, over
	// all connections of a Consumer.
	MaxInFlight int `opt:"max_in_flight" min:"0" default:"1"`

	// MsgTimeout is when nsqd takes a message as lost and delivers it again; 0
	// leaves it to nsqd.
	MsgTimeout time.Duration `opt:"msg_timeout" min:"0"`

	// MaxMsgSize is the longest frame accepted from nsqd, in bytes with the
	// frame type and the message header; 0 sets no limit.
	MaxMsgSize int32 `opt:"max_msg_size" min:"0"`

	// AuthSecret is sent to an nsqd that asks for authorization.
	AuthSecret string `opt:"auth_secret"`
	// LookupdAuthorization says that AuthSecret is also sent to nsqlookupd, as a
	// bearer token. Mind the name of the option: true sends it.
	LookupdAuthorization bool `opt:"skip_lookupd_authorization" default:"true"`

	certFiles certFiles // of which Set was told one and waits for the other
	made      bool      // by NewConfig, or copied from such a Config
}

// NewConfig returns a Config with every option at its default.
func NewConfig() *Config {
	c := &Config{UserAgent: "go-nsq/" + VERSION, made: true}
	c.Hostname, _ = os.Hostname() // without one, the name is left empty
	c.ClientID, _, _ = strings.Cut(c.Hostname, ".")
	for _, o := range options {
		if o.preset != nil {
			o.field(c).Set(reflect.ValueOf(o.preset).Convert(o.kind))
		}
	}
	c.BackoffStrategy = strategyFor(c.BackoffStrategy, c)
	return c
}

// Set sets the option of the given name, in which dashes count as underscores.
// The value may be of the option's type or what can be taken for it: a decimal
// string or an integer for a number, a string as time.ParseDuration reads it or
// an integer of milliseconds for a duration, host:port for an address, a string
// as strconv.ParseBool reads it or an integer that is not 0 for true. On error,
// which is an *OptionError, the option keeps its value.
//
// More options make a TlsConfig, or change it: tls_root_ca_file, tls_cert and
// tls_key name PEM files, which are read when they are set, the last two when
// both are; tls_insecure_skip_verify takes anybody for nsqd; tls_min_version is
// tls1.0, tls1.1, tls1.2 or tls1.3.
func (c *Config) Set(option string, value any) error {
	if err := c.usable(); err != nil {
		return err
	}
	option = strings.ReplaceAll(option, "-", "_")
	if err := c.set(option, value); err != nil {
		return &OptionError{Option: option, Value: value, Err: err}
	}
	return nil
}

func (c *Config) set(option string, value any) error {
	if set, ok := tlsOptions[option]; ok {
		return c.setTLS(option, value, set)
	}
	for _, o := range options {
		if o.name != option {
			continue
		}
		v, err := coerce(value, o.kind)
		if err != nil {
			return fmt.Errorf("failed to coerce option %s (%v) - %w", option, value, err)
		}
		if err := o.check(option, v); err != nil {
			return err
		}
		if s, ok := v.(BackoffStrategy); ok {
			c.BackoffStrategy = strategyFor(s, c)
		} else if v == nil {
			o.field(c).SetZero()
		} else {
			o.field(c).Set(reflect.ValueOf(v).Convert(o.kind))
		}
		return nil
	}
	return fmt.Errorf("invalid option %s", option)
}

// Validate reports the first field that is out of its range, as an *OptionError.
func (c *Config) Validate() error {
	if err := c.usable(); err != nil {
		return err
	}
	for _, o := range options {
		if err := o.check(o.fieldName, normal(o.field(c))); err != nil {
			return &OptionError{Option: o.fieldName, Value: o.field(c).Interface(), Err: err}
		}
	}
	if c.HeartbeatInterval > c.ReadTimeout {
		err := fmt.Errorf("HeartbeatInterval %v must be less than ReadTimeout %v", c.HeartbeatInterval, c.ReadTimeout)
		return &OptionError{Option: "HeartbeatInterval", Value: c.HeartbeatInterval, Err: err}
	}
	return c.validateTLS()
}

// usable reports a Config that was not made by NewConfig.
func (c *Config) usable() error {
	switch {
	case c == nil:
		return fmt.Errorf("nil Config: %w", ErrNoNewConfig)
	case !c.made:
		return ErrNoNewConfig
	}
	return nil
}

// requeueDelay returns the delay that is meant by the one Requeue was given.
func (c *Config) requeueDelay(m *Message, delay time.Duration) time.Duration {
	if delay == -1 {
		return min(c.DefaultRequeueDelay*time.Duration(m.Attempts), c.MaxRequeueDelay)
	}
	return delay
}

// ConfigFlag is a flag.Value that sets options of Config, as in
// -consumer-opt=max_attempts,10. An option without a value is set to true.
type ConfigFlag struct {
	Config *Config
}

// Set sets the option before the first comma to what follows it.
func (f *ConfigFlag) Set(opt string) error {
	name, value, found := strings.Cut(opt, ",")
	if !found {
		return f.Config.Set(name, true)
	}
	return f.Config.Set(name, value)
}

// String returns "".
func (f *ConfigFlag) String() string { return "" }

// option is what the tags of one field of Config say. Numbers are held as
// int64, float64 or time.Duration, whatever the width of the field: a value is
// checked before it is cut to size.
type option struct {
	name, fieldName  string
	index            int
	kind             reflect.Type
	preset, min, max any // nil where there is none
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	addrType      = reflect.TypeFor[net.Addr]()
	tlsConfigType = reflect.TypeFor[*tls.Config]()
)

var options = func() (all []option) {
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		o := option{name: f.Tag.Get("opt"), fieldName: f.Name, index: i, kind: f.Type}
		for tag, to := range map[string]*any{"default": &o.preset, "min": &o.min, "max": &o.max} {
			s, ok := f.Tag.Lookup(tag)
			if !ok {
				continue
			}
			v, err := coerce(s, f.Type)
			if err != nil {
				panic(fmt.Sprintf("nsq: tag %s of Config.%s: %v", tag, f.Name, err))
			}
			*to = v
		}
		all = append(all, o)
	}
	return all
}()

func (o *option) field(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().Field(o.index)
}

// check reports a value below min or above max; name is how to call it. A
// number that its field cannot hold is out of range as well.
func (o *option) check(name string, v any) error {
	if o.min != nil && less(v, o.min) {
		return fmt.Errorf("invalid %s ! %v < %v", name, v, o.min)
	}
	if o.max != nil && less(o.max, v) {
		return fmt.Errorf("invalid %s ! %v > %v", name, v, o.max)
	}
	if n, ok := v.(int64); ok && reflect.Zero(o.kind).CanInt() && reflect.Zero(o.kind).OverflowInt(n) {
		return fmt.Errorf("invalid %s ! %v does not fit %v", name, v, o.kind)
	}
	return nil
}

// less compares numbers of one type. What is not a number is less than any.
func less(a, b any) bool {
	if a, ok := a.(float64); ok {
		return cmp.Less(a, b.(float64))
	}
	return reflect.ValueOf(a).Int() < reflect.ValueOf(b).Int()
}

// normal returns the value of a field as coerce does.
func normal(v reflect.Value) any {
	switch {
	case v.Type() == durationType:
		return time.Duration(v.Int())
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint())
	}
	return v.Interface()
}

// coerce returns v as a value for a field of type t: a string, a bool, a float64,
// an int64 for any kind of integer, a time.Duration, a net.Addr, a
// BackoffStrategy or a *tls.Config.
func coerce(v any, t reflect.Type) (any, error) {
	switch {
	case t == durationType:
		return coerceDuration(v)
	case t == addrType:
		return coerceAddr(v)
	case t == strategyType:
		return coerceStrategy(v)
	case t == tlsConfigType:
		return coerceTLSConfig(v)
	case t.Kind() == reflect.String:
		return coerceString(v), nil
	case t.Kind() == reflect.Bool:
		return coerceBool(v)
	case t.Kind() == reflect.Float64:
		return coerceFloat(v)
	}
	return coerceInt(v)
}

func coerceString(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case float32, float64:
		return fmt.Sprintf("%f", v)
	}
	return fmt.Sprint(v)
}

func coerceBool(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		return strconv.ParseBool(v)
	}
	n, err := coerceInt(v)
	return n != 0, err
}

func coerceFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case float32:
		return float64(v), nil
	case string:
		return strconv.ParseFloat(v, 64)
	}
	n, err := coerceInt(v)
	return float64(n), err
}

func coerceInt(v any) (int64, error) {
	switch v := v.(type) {
	case string:
		return strconv.ParseInt(v, 10, 64)
	case int:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case uint:
		return fromUnsigned(uint64(v))
	case uint16:
		return int64(v), nil
	case uint32:
		return int64(v), nil
	case uint64:
		return fromUnsigned(v)
	}
	return 0, fmt.Errorf("invalid value type %T", v)
}

func fromUnsigned(n uint64) (int64, error) {
	if int64(n) < 0 {
		return 0, errors.New("value out of range")
	}
	return int64(n), nil
}

func coerceDuration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case string:
		return time.ParseDuration(v)
	case time.Duration:
		return v, nil
	}
	ms, err := coerceInt(v)
	if err != nil {
		return 0, err
	}
	d := time.Duration(ms) * time.Millisecond
	if d.Milliseconds() != ms {
		return 0, errors.New("value out of range")
	}
	return d, nil
}

func coerceAddr(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case net.Addr:
		return v, nil
	case string:
		return net.ResolveTCPAddr("tcp", v)
	}
	return nil, fmt.Errorf("invalid value type %T", v)
}
