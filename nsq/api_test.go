package nsq_test

import (
	"crypto/tls"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// What programs that use this library know of it: every name with its type. It is
// a promise, so this file does not compile if one is missing or of another type.
// api_names_test.go checks that it is complete. For names that came later see
// testdata/api_additions.txt.

// Constants: typed ones by the type of a variable, untyped ones by what can hold
// them.
var (
	typedConstants = []any{nsq.FrameTypeResponse, nsq.FrameTypeError, nsq.FrameTypeMessage, nsq.LogLevelDebug, nsq.LogLevelInfo, nsq.LogLevelWarning, nsq.LogLevelError}

	_ []byte = nsq.MagicV1
	_ []byte = nsq.MagicV2
)

type text string

const (
	_ text       = nsq.VERSION
	_ complex128 = nsq.MsgIDLength
	_ complex128 = nsq.StateInit
	_ complex128 = nsq.StateDisconnected
	_ complex128 = nsq.StateConnected
	_ complex128 = nsq.LogLevelMax
)

// Functions.
var (
	_ func(string) bool                                                      = nsq.IsValidTopicName
	_ func(string) bool                                                      = nsq.IsValidChannelName
	_ func(io.Reader) ([]byte, error)                                        = nsq.ReadResponse
	_ func([]byte) (int32, []byte, error)                                    = nsq.UnpackResponse
	_ func(io.Reader) (int32, []byte, error)                                 = nsq.ReadUnpackedResponse
	_ func([]byte) (*nsq.Message, error)                                     = nsq.DecodeMessage
	_ func(nsq.MessageID, []byte) *nsq.Message                               = nsq.NewMessage
	_ func() *nsq.Config                                                     = nsq.NewConfig
	_ func(string, *nsq.Config) (*nsq.Producer, error)                       = nsq.NewProducer
	_ func(topic, channel string, config *nsq.Config) (*nsq.Consumer, error) = nsq.NewConsumer
	_ func(string, *nsq.Config, nsq.ConnDelegate) *nsq.Conn                  = nsq.NewConn
)

// Command and what makes one.
var (
	_ []byte                                             = nsq.Command{}.Name
	_ [][]byte                                           = nsq.Command{}.Params
	_ []byte                                             = nsq.Command{}.Body
	_ func(*nsq.Command) string                          = (*nsq.Command).String
	_ func(*nsq.Command, io.Writer) (int64, error)       = (*nsq.Command).WriteTo
	_ func(map[string]interface{}) (*nsq.Command, error) = nsq.Identify
	_ func(string) (*nsq.Command, error)                 = nsq.Auth
	_ func(topic, channel string) *nsq.Command           = nsq.Register
	_ func(topic, channel string) *nsq.Command           = nsq.UnRegister
	_ func() *nsq.Command                                = nsq.Ping
	_ func() *nsq.Command                                = nsq.Nop
	_ func() *nsq.Command                                = nsq.StartClose
	_ func(string, []byte) *nsq.Command                  = nsq.Publish
	_ func(string, time.Duration, []byte) *nsq.Command   = nsq.DeferredPublish
	_ func(string, [][]byte) (*nsq.Command, error)       = nsq.MultiPublish
	_ func(topic, channel string) *nsq.Command           = nsq.Subscribe
	_ func(int) *nsq.Command                             = nsq.Ready
	_ func(nsq.MessageID) *nsq.Command                   = nsq.Finish
	_ func(nsq.MessageID) *nsq.Command                   = nsq.Touch
	_ func(nsq.MessageID, time.Duration) *nsq.Command    = nsq.Requeue

	_ = struct {
		Name   []byte
		Params [][]byte
		Body   []byte
	}(nsq.Command{}) // which programs may write as a literal
)

// Errors.
var (
	_ error  = nsq.ErrNotConnected
	_ error  = nsq.ErrStopped
	_ error  = nsq.ErrClosing
	_ error  = nsq.ErrAlreadyConnected
	_ error  = nsq.ErrOverMaxInFlight
	_ error  = nsq.ErrIdentify{Reason: ""}
	_ string = nsq.ErrIdentify{}.Reason
	_ error  = nsq.ErrProtocol{Reason: ""}
	_ string = nsq.ErrProtocol{}.Reason
	_        = struct{ Reason string }(nsq.ErrProtocol{})

	_ func(nsq.ErrIdentify) string = nsq.ErrIdentify.Error
	_ func(nsq.ErrProtocol) string = nsq.ErrProtocol.Error
)

// Interfaces, each with its methods and with something that has no others.
var (
	_ func(nsq.Handler, *nsq.Message) error                        = nsq.Handler.HandleMessage
	_ func(nsq.HandlerFunc, *nsq.Message) error                    = nsq.HandlerFunc.HandleMessage
	_ nsq.Handler                                                  = nsq.HandlerFunc(func(message *nsq.Message) error { return nil })
	_ func(nsq.FailedMessageLogger, *nsq.Message)                  = nsq.FailedMessageLogger.LogFailedMessage
	_ func(nsq.DiscoveryFilter, []string) []string                 = nsq.DiscoveryFilter.Filter
	_ func(nsq.BackoffStrategy, int) time.Duration                 = nsq.BackoffStrategy.Calculate
	_ func(*nsq.ExponentialStrategy, int) time.Duration            = (*nsq.ExponentialStrategy).Calculate
	_ func(*nsq.FullJitterStrategy, int) time.Duration             = (*nsq.FullJitterStrategy).Calculate
	_ nsq.BackoffStrategy                                          = &nsq.ExponentialStrategy{}
	_ nsq.BackoffStrategy                                          = &nsq.FullJitterStrategy{}
	_ func(nsq.MessageDelegate, *nsq.Message)                      = nsq.MessageDelegate.OnFinish
	_ func(nsq.MessageDelegate, *nsq.Message, time.Duration, bool) = nsq.MessageDelegate.OnRequeue
	_ func(nsq.MessageDelegate, *nsq.Message)                      = nsq.MessageDelegate.OnTouch
	_ func(nsq.ConnDelegate, *nsq.Conn, []byte)                    = nsq.ConnDelegate.OnResponse
	_ func(nsq.ConnDelegate, *nsq.Conn, []byte)                    = nsq.ConnDelegate.OnError
	_ func(nsq.ConnDelegate, *nsq.Conn, *nsq.Message)              = nsq.ConnDelegate.OnMessage
	_ func(nsq.ConnDelegate, *nsq.Conn, *nsq.Message)              = nsq.ConnDelegate.OnMessageFinished
	_ func(nsq.ConnDelegate, *nsq.Conn, *nsq.Message)              = nsq.ConnDelegate.OnMessageRequeued
	_ func(nsq.ConnDelegate, *nsq.Conn)                            = nsq.ConnDelegate.OnBackoff
	_ func(nsq.ConnDelegate, *nsq.Conn)                            = nsq.ConnDelegate.OnContinue
	_ func(nsq.ConnDelegate, *nsq.Conn)                            = nsq.ConnDelegate.OnResume
	_ func(nsq.ConnDelegate, *nsq.Conn, error)                     = nsq.ConnDelegate.OnIOError
	_ func(nsq.ConnDelegate, *nsq.Conn)                            = nsq.ConnDelegate.OnHeartbeat
	_ func(nsq.ConnDelegate, *nsq.Conn)                            = nsq.ConnDelegate.OnClose

	_ nsq.Handler = interface {
		HandleMessage(message *nsq.Message) error
	}(nil)
	_ nsq.FailedMessageLogger = interface{ LogFailedMessage(message *nsq.Message) }(nil)
	_ nsq.DiscoveryFilter     = interface{ Filter([]string) []string }(nil)
	_ nsq.BackoffStrategy     = interface {
		Calculate(attempt int) time.Duration
	}(nil)
	_ nsq.MessageDelegate = interface {
		OnFinish(*nsq.Message)
		OnRequeue(m *nsq.Message, delay time.Duration, backoff bool)
		OnTouch(*nsq.Message)
	}(nil)
	_ nsq.ConnDelegate = interface {
		OnResponse(*nsq.Conn, []byte)
		OnError(*nsq.Conn, []byte)
		OnMessage(*nsq.Conn, *nsq.Message)
		OnMessageFinished(*nsq.Conn, *nsq.Message)
		OnMessageRequeued(*nsq.Conn, *nsq.Message)
		OnBackoff(*nsq.Conn)
		OnContinue(*nsq.Conn)
		OnResume(*nsq.Conn)
		OnIOError(*nsq.Conn, error)
		OnHeartbeat(*nsq.Conn)
		OnClose(*nsq.Conn)
	}(nil)
)

// Small types.
var (
	_ func(nsq.LogLevel) string = nsq.LogLevel.String
	_ int                       = int(nsq.LogLevel(0))
	_ [16]byte                  = [16]byte(nsq.MessageID{})

	_ uint64 = nsq.ConsumerStats{}.MessagesReceived
	_ uint64 = nsq.ConsumerStats{}.MessagesFinished
	_ uint64 = nsq.ConsumerStats{}.MessagesRequeued
	_ int    = nsq.ConsumerStats{}.Connections
	_        = struct {
		MessagesReceived, MessagesFinished, MessagesRequeued uint64
		Connections                                          int
	}(nsq.ConsumerStats{})

	_ error         = nsq.ProducerTransaction{}.Error
	_ []interface{} = nsq.ProducerTransaction{}.Args

	_ int64 = nsq.IdentifyResponse{}.MaxRdyCount
	_ bool  = nsq.IdentifyResponse{}.TLSv1
	_ bool  = nsq.IdentifyResponse{}.Deflate
	_ bool  = nsq.IdentifyResponse{}.Snappy
	_ bool  = nsq.IdentifyResponse{}.AuthRequired
	_       = struct {
		MaxRdyCount                          int64
		TLSv1, Deflate, Snappy, AuthRequired bool
	}(nsq.IdentifyResponse{})

	_ string = nsq.AuthResponse{}.Identity
	_ string = nsq.AuthResponse{}.IdentityUrl
	_ int64  = nsq.AuthResponse{}.PermissionCount
	_        = struct {
		Identity, IdentityUrl string
		PermissionCount       int64
	}(nsq.AuthResponse{})

	_ *nsq.Config                         = nsq.ConfigFlag{}.Config
	_                                     = struct{ Config *nsq.Config }(nsq.ConfigFlag{})
	_ func(*nsq.ConfigFlag, string) error = (*nsq.ConfigFlag).Set
	_ func(*nsq.ConfigFlag) string        = (*nsq.ConfigFlag).String
	_ flag.Value                          = &nsq.ConfigFlag{}
)

// Config; its fields are in TestConfigFields as well, with their tags.
var (
	_ func(*nsq.Config, string, interface{}) error = (*nsq.Config).Set
	_ func(*nsq.Config) error                      = (*nsq.Config).Validate

	_ time.Duration       = nsq.Config{}.DialTimeout
	_ time.Duration       = nsq.Config{}.ReadTimeout
	_ time.Duration       = nsq.Config{}.WriteTimeout
	_ net.Addr            = nsq.Config{}.LocalAddr
	_ time.Duration       = nsq.Config{}.LookupdPollInterval
	_ float64             = nsq.Config{}.LookupdPollJitter
	_ time.Duration       = nsq.Config{}.LookupdPollTimeout
	_ time.Duration       = nsq.Config{}.MaxRequeueDelay
	_ time.Duration       = nsq.Config{}.DefaultRequeueDelay
	_ nsq.BackoffStrategy = nsq.Config{}.BackoffStrategy
	_ time.Duration       = nsq.Config{}.MaxBackoffDuration
	_ time.Duration       = nsq.Config{}.BackoffMultiplier
	_ uint16              = nsq.Config{}.MaxAttempts
	_ time.Duration       = nsq.Config{}.LowRdyIdleTimeout
	_ time.Duration       = nsq.Config{}.LowRdyTimeout
	_ time.Duration       = nsq.Config{}.RDYRedistributeInterval
	_ string              = nsq.Config{}.ClientID
	_ string              = nsq.Config{}.Hostname
	_ string              = nsq.Config{}.UserAgent
	_ string              = nsq.Config{}.TopologyRegion
	_ string              = nsq.Config{}.TopologyZone
	_ time.Duration       = nsq.Config{}.HeartbeatInterval
	_ int32               = nsq.Config{}.SampleRate
	_ bool                = nsq.Config{}.TlsV1
	_ *tls.Config         = nsq.Config{}.TlsConfig
	_ bool                = nsq.Config{}.Deflate
	_ int                 = nsq.Config{}.DeflateLevel
	_ bool                = nsq.Config{}.Snappy
	_ int64               = nsq.Config{}.OutputBufferSize
	_ time.Duration       = nsq.Config{}.OutputBufferTimeout
	_ int                 = nsq.Config{}.MaxInFlight
	_ time.Duration       = nsq.Config{}.MsgTimeout
	_ int32               = nsq.Config{}.MaxMsgSize
	_ string              = nsq.Config{}.AuthSecret
	_ bool                = nsq.Config{}.LookupdAuthorization
)

// Conn.
var (
	_ func(*nsq.Conn) (*nsq.IdentifyResponse, error) = (*nsq.Conn).Connect
	_ func(*nsq.Conn) error                          = (*nsq.Conn).Close
	_ func(*nsq.Conn) bool                           = (*nsq.Conn).IsClosing
	_ func(*nsq.Conn) int64                          = (*nsq.Conn).RDY
	_ func(*nsq.Conn) int64                          = (*nsq.Conn).LastRDY
	_ func(*nsq.Conn, int64)                         = (*nsq.Conn).SetRDY
	_ func(*nsq.Conn) int64                          = (*nsq.Conn).MaxRDY
	_ func(*nsq.Conn) time.Time                      = (*nsq.Conn).LastRdyTime
	_ func(*nsq.Conn) time.Time                      = (*nsq.Conn).LastMessageTime
	_ func(*nsq.Conn) net.Addr                       = (*nsq.Conn).RemoteAddr
	_ func(*nsq.Conn) string                         = (*nsq.Conn).String
	_ func(*nsq.Conn, []byte) (int, error)           = (*nsq.Conn).Read
	_ func(*nsq.Conn, []byte) (int, error)           = (*nsq.Conn).Write
	_ func(*nsq.Conn, *nsq.Command) error            = (*nsq.Conn).WriteCommand
	_ func(*nsq.Conn) error                          = (*nsq.Conn).Flush
	_ func(*nsq.Conn, nsq.LogLevel)                  = (*nsq.Conn).SetLoggerLevel
)

// Message.
var (
	_ nsq.MessageID                                = (&nsq.Message{}).ID
	_ []byte                                       = (&nsq.Message{}).Body
	_ int64                                        = (&nsq.Message{}).Timestamp
	_ uint16                                       = (&nsq.Message{}).Attempts
	_ string                                       = (&nsq.Message{}).NSQDAddress
	_ nsq.MessageDelegate                          = (&nsq.Message{}).Delegate
	_ func(*nsq.Message)                           = (*nsq.Message).Finish
	_ func(*nsq.Message, time.Duration)            = (*nsq.Message).Requeue
	_ func(*nsq.Message, time.Duration)            = (*nsq.Message).RequeueWithoutBackoff
	_ func(*nsq.Message)                           = (*nsq.Message).Touch
	_ func(*nsq.Message) bool                      = (*nsq.Message).HasResponded
	_ func(*nsq.Message)                           = (*nsq.Message).DisableAutoResponse
	_ func(*nsq.Message) bool                      = (*nsq.Message).IsAutoResponseDisabled
	_ func(*nsq.Message, io.Writer) (int64, error) = (*nsq.Message).WriteTo
)

// Producer.
type doneChan = chan *nsq.ProducerTransaction

var (
	_ func(*nsq.Producer) error                                                          = (*nsq.Producer).Ping
	_ func(*nsq.Producer, string, []byte) error                                          = (*nsq.Producer).Publish
	_ func(*nsq.Producer, string, [][]byte) error                                        = (*nsq.Producer).MultiPublish
	_ func(*nsq.Producer, string, time.Duration, []byte) error                           = (*nsq.Producer).DeferredPublish
	_ func(*nsq.Producer, string, []byte, doneChan, ...interface{}) error                = (*nsq.Producer).PublishAsync
	_ func(*nsq.Producer, string, [][]byte, doneChan, ...interface{}) error              = (*nsq.Producer).MultiPublishAsync
	_ func(*nsq.Producer, string, time.Duration, []byte, doneChan, ...interface{}) error = (*nsq.Producer).DeferredPublishAsync
	_ func(*nsq.Producer)                                                                = (*nsq.Producer).Stop
	_ func(*nsq.Producer) string                                                         = (*nsq.Producer).String
	_ func(*nsq.Producer, nsq.LogLevel)                                                  = (*nsq.Producer).SetLoggerLevel
)

// Consumer.
var (
	_ chan int                               = (&nsq.Consumer{}).StopChan
	_ func(*nsq.Consumer, nsq.Handler)       = (*nsq.Consumer).AddHandler
	_ func(*nsq.Consumer, nsq.Handler, int)  = (*nsq.Consumer).AddConcurrentHandlers
	_ func(*nsq.Consumer, int)               = (*nsq.Consumer).ChangeMaxInFlight
	_ func(*nsq.Consumer, string) error      = (*nsq.Consumer).ConnectToNSQD
	_ func(*nsq.Consumer, []string) error    = (*nsq.Consumer).ConnectToNSQDs
	_ func(*nsq.Consumer, string) error      = (*nsq.Consumer).ConnectToNSQLookupd
	_ func(*nsq.Consumer, []string) error    = (*nsq.Consumer).ConnectToNSQLookupds
	_ func(*nsq.Consumer, string) error      = (*nsq.Consumer).DisconnectFromNSQD
	_ func(*nsq.Consumer, string) error      = (*nsq.Consumer).DisconnectFromNSQLookupd
	_ func(*nsq.Consumer) bool               = (*nsq.Consumer).IsStarved
	_ func(*nsq.Consumer, interface{})       = (*nsq.Consumer).SetBehaviorDelegate
	_ func(*nsq.Consumer, *http.Client)      = (*nsq.Consumer).SetLookupdHttpClient
	_ func(*nsq.Consumer) *nsq.ConsumerStats = (*nsq.Consumer).Stats
	_ func(*nsq.Consumer)                    = (*nsq.Consumer).Stop
	_ func(*nsq.Consumer, nsq.LogLevel)      = (*nsq.Consumer).SetLoggerLevel
)

// The type of a logger has no name outside of the package, so that these can only
// be called: with what has Output, and with nil.
var (
	_ = []any{(*nsq.Conn).SetLogger, (*nsq.Conn).SetLoggerForLevel, (*nsq.Producer).SetLogger, (*nsq.Producer).SetLoggerForLevel, (*nsq.Consumer).SetLogger, (*nsq.Consumer).SetLoggerForLevel}

	_ = func(c *nsq.Conn, p *nsq.Producer, r *nsq.Consumer, own interface{ Output(int, string) error }) {
		var format string
		var lvl nsq.LogLevel
		c.SetLogger(own, lvl, format)
		c.SetLoggerForLevel(own, lvl, format)
		p.SetLogger(own, lvl)
		p.SetLoggerForLevel(own, lvl)
		r.SetLogger(own, lvl)
		r.SetLoggerForLevel(own, lvl)
		c.SetLogger(nil, nsq.LogLevelInfo, "")
		p.SetLogger(&log.Logger{}, nsq.LogLevelInfo)
	}
)

func TestConstants(t *testing.T) {
	want := []any{int32(0), int32(1), int32(2), nsq.LogLevel(0), nsq.LogLevel(1), nsq.LogLevel(2), nsq.LogLevel(3)}
	if !reflect.DeepEqual(typedConstants, want) {
		t.Errorf("%v, want %v", typedConstants, want)
	}
	untyped := []int{nsq.MsgIDLength, nsq.StateInit, nsq.StateDisconnected, nsq.StateConnected, nsq.LogLevelMax}
	if want := []int{16, 0, 1, 2, 3}; !reflect.DeepEqual(untyped, want) {
		t.Errorf("%v, want %v", untyped, want)
	}
	if string(nsq.MagicV1) != "  V1" || string(nsq.MagicV2) != "  V2" {
		t.Errorf("magics %q and %q", nsq.MagicV1, nsq.MagicV2)
	}
}

// The tags are what programs go by that list options.
func TestConfigFields(t *testing.T) {
	want := []struct{ field, opt, preset, min, max string }{
		{"DialTimeout", "dial_timeout", "1s", "", ""},
		{"ReadTimeout", "read_timeout", "60s", "100ms", "5m"},
		{"WriteTimeout", "write_timeout", "1s", "100ms", "5m"},
		{"LocalAddr", "local_addr", "", "", ""},
		{"LookupdPollInterval", "lookupd_poll_interval", "60s", "10ms", "5m"},
		{"LookupdPollJitter", "lookupd_poll_jitter", "0.3", "0", "1"},
		{"LookupdPollTimeout", "lookupd_poll_timeout", "1m", "", ""},
		{"MaxRequeueDelay", "max_requeue_delay", "15m", "0", "60m"},
		{"DefaultRequeueDelay", "default_requeue_delay", "90s", "0", "60m"},
		{"BackoffStrategy", "backoff_strategy", "exponential", "", ""},
		{"MaxBackoffDuration", "max_backoff_duration", "2m", "0", "60m"},
		{"BackoffMultiplier", "backoff_multiplier", "1s", "0", "60m"},
		{"MaxAttempts", "max_attempts", "5", "0", "65535"},
		{"LowRdyIdleTimeout", "low_rdy_idle_timeout", "10s", "1s", "5m"},
		{"LowRdyTimeout", "low_rdy_timeout", "30s", "1s", "5m"},
		{"RDYRedistributeInterval", "rdy_redistribute_interval", "5s", "1ms", "5s"},
		{"ClientID", "client_id", "", "", ""},
		{"Hostname", "hostname", "", "", ""},
		{"UserAgent", "user_agent", "", "", ""},
		{"TopologyRegion", "topology_region", "", "", ""},
		{"TopologyZone", "topology_zone", "", "", ""},
		{"HeartbeatInterval", "heartbeat_interval", "30s", "", ""},
		{"SampleRate", "sample_rate", "", "0", "99"},
		{"TlsV1", "tls_v1", "", "", ""},
		{"TlsConfig", "tls_config", "", "", ""},
		{"Deflate", "deflate", "", "", ""},
		{"DeflateLevel", "deflate_level", "6", "1", "9"},
		{"Snappy", "snappy", "", "", ""},
		{"OutputBufferSize", "output_buffer_size", "16384", "", ""},
		{"OutputBufferTimeout", "output_buffer_timeout", "250ms", "", ""},
		{"MaxInFlight", "max_in_flight", "1", "0", ""},
		{"MsgTimeout", "msg_timeout", "", "0", ""},
		{"MaxMsgSize", "max_msg_size", "", "0", ""},
		{"AuthSecret", "auth_secret", "", "", ""},
		{"LookupdAuthorization", "skip_lookupd_authorization", "true", "", ""},
	}
	config := reflect.TypeFor[nsq.Config]()
	for _, w := range want {
		f, ok := config.FieldByName(w.field)
		if !ok {
			t.Errorf("Config has no %s", w.field)
			continue
		}
		for tag, value := range map[string]string{"opt": w.opt, "default": w.preset, "min": w.min, "max": w.max} {
			if got := f.Tag.Get(tag); got != value {
				t.Errorf("Config.%s has the %s %q, want %q", w.field, tag, got, value)
			}
		}
	}
}

func TestJSONNames(t *testing.T) {
	for _, tt := range []struct {
		of   reflect.Type
		want []string
	}{
		{reflect.TypeFor[nsq.IdentifyResponse](), []string{"max_rdy_count", "tls_v1", "deflate", "snappy", "auth_required"}},
		{reflect.TypeFor[nsq.AuthResponse](), []string{"identity", "identity_url", "permission_count"}},
	} {
		var got []string
		for i := range tt.of.NumField() {
			got = append(got, tt.of.Field(i).Tag.Get("json"))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.of, got, tt.want)
		}
	}
}
