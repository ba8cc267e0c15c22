package nsq_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// fakeAnswer returns what Ping or Publish returns when a fake nsqd plays script.
func fakeAnswer(t *testing.T, change func(*nsq.Config), script func(*nsqtest.FakeConn)) error {
	t.Helper()
	f := nsqtest.NewFake(t)
	cfg := nsq.NewConfig()
	if change != nil {
		change(cfg)
	}
	p, err := nsq.NewProducer(f.Addr, cfg)
	must(t, err)
	p.SetLogger(testLog{t}, nsq.LogLevelInfo)
	result := make(chan error, 1)
	go func() { result <- p.Publish("t", []byte("x")) }()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY")
	nc := c.Conn // without layers
	script(c)
	err = nsqtest.Receive(t, "an error", result)
	nc.Close()
	p.Stop()
	return err
}

// published answers PUB with an error frame.
func published(frame string) func(*nsqtest.FakeConn) {
	return func(c *nsqtest.FakeConn) {
		c.Respond(nsqtest.Negotiated)
		c.Expect("PUB t")
		c.Fail(frame)
	}
}

func identified(answer string) func(*nsqtest.FakeConn) {
	return func(c *nsqtest.FakeConn) { c.Respond(answer) }
}

func authenticated(frame string) func(*nsqtest.FakeConn) {
	return func(c *nsqtest.FakeConn) {
		c.Respond(`{"auth_required":true}`)
		c.Expect("AUTH")
		c.Fail(frame)
	}
}

// is expects errors.Is, as expects errors.As, bare expects ==.
func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func as[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func bare(target error) func(error) bool { return func(err error) bool { return err == target } }

func option(name string) func(error) bool {
	return func(err error) bool {
		o, ok := errors.AsType[*nsq.OptionError](err)
		return ok && o.Option == name
	}
}

func set(name string, value any) error { return nsq.NewConfig().Set(name, value) }

func validate(change func(*nsq.Config)) error {
	c := nsq.NewConfig()
	change(c)
	return c.Validate()
}

// stopWhileHandling stops a consumer without waiting for its handler.
func stopWhileHandling(t *testing.T) error {
	d := nsqtest.Start(t, nil)
	entered, release := make(chan struct{}), make(chan struct{})
	r := newConsumer(t, "abandoned", 1, 1, func(*nsq.Message) error {
		close(entered)
		<-release
		return nil
	}, d.TCPAddr())
	defer close(release)
	must(t, newProducer(t, d.TCPAddr()).Publish("abandoned", []byte("x")))
	nsqtest.Receive(t, "a message", entered)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return r.StopContext(ctx)
}

type metric nsq.Metric

func (m metric) Metrics() iter.Seq[nsq.Metric] {
	return func(yield func(nsq.Metric) bool) { yield(nsq.Metric(m)) }
}

// Whatever fails says so in a way that a program can act on.
func TestErrors(t *testing.T) {
	ca := certstest.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t).Certificate}}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := free.Addr().String()
	free.Close()
	web := httptest.NewServer(nil)
	defer web.Close()
	missing := filepath.Join(t.TempDir(), "missing")

	producer := func(addr string) *nsq.Producer {
		p, err := nsq.NewProducer(addr, nsq.NewConfig())
		must(t, err)
		p.SetLogger(nil, nsq.LogLevelInfo)
		t.Cleanup(p.Stop)
		return p
	}
	consumer := func() *nsq.Consumer {
		r, err := nsq.NewConsumer("t", "c", nsq.NewConfig())
		must(t, err)
		r.SetLogger(nil, nsq.LogLevelInfo)
		r.AddHandler(nsq.HandlerFunc(func(*nsq.Message) error { return nil }))
		t.Cleanup(func() { r.Stop(); <-r.StopChan })
		return r
	}
	read := func(b string) error { return second(nsq.ReadResponse(strings.NewReader(b))) }
	unpack := func(b string) error {
		_, _, err := nsq.UnpackResponse([]byte(b))
		return err
	}
	withTLS := func(c *nsq.Config) { c.TlsV1, c.TlsConfig = true, &tls.Config{RootCAs: ca.Pool()} }
	withSecret := func(c *nsq.Config) { c.AuthSecret = "s3cret" }

	for _, tt := range []struct {
		name string
		do   func() error
		text string // "" for any
		want []func(error) bool
	}{
		{"nobody listens", func() error { return producer(nobody).Ping() }, "", []func(error) bool{as[*net.OpError]}},
		{"not an address", func() error { return producer("nonsense").Ping() }, "", []func(error) bool{as[*net.OpError], as[*net.AddrError]}},
		{"stopped", func() error { p := producer(nobody); p.Stop(); return p.Publish("t", nil) }, "stopped", []func(error) bool{bare(nsq.ErrStopped)}},
		{"no nsqd", func() error {
			p, err := nsq.NewMultiProducer(nil, nsq.NewConfig())
			must(t, err)
			defer p.Stop()
			p.SetLogger(nil, nsq.LogLevelInfo)
			return p.Publish("t", nil)
		}, "no nsqd to publish to", []func(error) bool{bare(nsq.ErrNoNSQD)}},
		{"a web server", func() error { return producer(web.Listener.Addr().String()).Ping() },
			"failed to IDENTIFY - unexpected HTTP response, a nsqd TCP endpoint is required",
			[]func(error) bool{is(nsq.ErrHTTPResponse), as[nsq.ErrIdentify]}},
		{"connection lost", func() error {
			return fakeAnswer(t, nil, func(c *nsqtest.FakeConn) { c.Respond(nsqtest.Negotiated); c.Expect("PUB t"); c.Conn.Close() })
		}, "not connected", []func(error) bool{bare(nsq.ErrNotConnected)}},
		{"refused", func() error { return fakeAnswer(t, nil, published(`E_BAD_TOPIC PUB topic name "bad$" is not valid`)) },
			`E_BAD_TOPIC PUB topic name "bad$" is not valid`,
			[]func(error) bool{bare(nsq.ErrProtocol{Reason: `E_BAD_TOPIC PUB topic name "bad$" is not valid`}), as[nsq.ErrProtocol], is(nsq.CodeBadTopic)}},
		{"refused without a text", func() error { return fakeAnswer(t, nil, published("E_PUB_FAILED")) }, "E_PUB_FAILED", []func(error) bool{is(nsq.CodePubFailed)}},
		{"draining", func() error { return fakeAnswer(t, nil, published("E_PUB_FAILED PUB failed draining")) }, "E_PUB_FAILED PUB failed draining",
			[]func(error) bool{is(nsq.ErrDraining), is(nsq.CodePubFailed), as[nsq.ErrProtocol]}},
		{"something like draining", func() error { return fakeAnswer(t, nil, published("E_PUB_FAILED PUB failed draining of the disk")) }, "",
			[]func(error) bool{func(err error) bool { return !errors.Is(err, nsq.ErrDraining) }, is(nsq.CodePubFailed)}},

		{"IDENTIFY refused", func() error {
			return fakeAnswer(t, nil, func(c *nsqtest.FakeConn) { c.Fail("E_BAD_BODY IDENTIFY no") })
		}, "failed to IDENTIFY - E_BAD_BODY IDENTIFY no",
			[]func(error) bool{is(nsq.ErrIdentify{Reason: "E_BAD_BODY IDENTIFY no"}), as[nsq.ErrProtocol], is(nsq.CodeBadBody)}},
		{"IDENTIFY answered with broken JSON", func() error { return fakeAnswer(t, nil, identified(`{"max_rdy_count":"x"}`)) }, "",
			[]func(error) bool{as[nsq.ErrIdentify], as[*json.UnmarshalTypeError]}},
		{"IDENTIFY answered with nothing", func() error { return fakeAnswer(t, nil, func(c *nsqtest.FakeConn) { c.Conn.Close() }) },
			"failed to IDENTIFY - EOF", []func(error) bool{as[nsq.ErrIdentify], is(io.EOF)}},
		{"IDENTIFY answered with a message", func() error { return fakeAnswer(t, nil, func(c *nsqtest.FakeConn) { c.Message(1, 1, "x") }) },
			"failed to IDENTIFY - unexpected frame type 2", []func(error) bool{as[nsq.ErrIdentify], is(nsq.ErrInvalidResponse)}},
		{"no TLS", func() error { return fakeAnswer(t, withTLS, identified("OK")) }, "failed to IDENTIFY - nsqd does not offer TLS",
			[]func(error) bool{as[nsq.ErrIdentify], is(nsq.ErrNoTLS)}},
		{"a certificate of somebody else", func() error {
			return fakeAnswer(t, func(c *nsq.Config) { c.TlsV1 = true }, func(c *nsqtest.FakeConn) {
				c.Respond(`{"tls_v1":true}`)
				_ = tls.Server(c.Conn, server).Handshake() // fails at this end, too
			})
		}, "", []func(error) bool{as[nsq.ErrIdentify], as[*tls.CertificateVerificationError]}},
		{"an upgrade that is not confirmed", func() error {
			return fakeAnswer(t, withTLS, func(c *nsqtest.FakeConn) {
				c.Respond(`{"tls_v1":true}`)
				c.StartTLS(server)
				c.Fail("E_IDENTIFY_FAILED no")
			})
		}, "failed to IDENTIFY - invalid response from TLS upgrade",
			[]func(error) bool{as[nsq.ErrIdentify], is(nsq.ErrInvalidResponse), is(nsq.CodeIdentifyFailed)}},
		{"two compressions", func() error { return fakeAnswer(t, nil, identified(`{"snappy":true,"deflate":true}`)) },
			"failed to IDENTIFY - nsqd granted both deflate and snappy", []func(error) bool{is(nsq.ErrInvalidResponse)}},
		{"no secret", func() error { return fakeAnswer(t, nil, identified(`{"auth_required":true}`)) }, "Auth Required",
			[]func(error) bool{bare(nsq.ErrAuthRequired)}},
		{"a wrong secret", func() error {
			return fakeAnswer(t, withSecret, authenticated("E_UNAUTHORIZED AUTH no authorizations found"))
		},
			"Error authenticating E_UNAUTHORIZED AUTH no authorizations found",
			[]func(error) bool{is(nsq.ErrAuthenticating), as[nsq.ErrProtocol], is(nsq.CodeUnauthorized)}},

		{"negative size", func() error { return read("\xff\xff\xff\xff") }, "response msg size is negative: -1", []func(error) bool{is(nsq.ErrInvalidResponse)}},
		{"cut response", func() error { return read("\x00\x00\x00\x05OK") }, "unexpected EOF", []func(error) bool{bare(io.ErrUnexpectedEOF)}},
		{"no response", func() error { return read("") }, "EOF", []func(error) bool{bare(io.EOF)}},
		{"short response", func() error { return unpack("OK") }, "length of response is too small", []func(error) bool{is(nsq.ErrInvalidResponse)}},
		{"short message", func() error { return second(nsq.DecodeMessage([]byte("x"))) }, "not enough data to decode valid message", []func(error) bool{bare(nsq.ErrShortMessage)}},
		{"identity without JSON", func() error { return second(nsq.Identify(map[string]any{"f": func() {}})) }, "", []func(error) bool{as[*json.UnsupportedTypeError]}},

		{"config literal", func() error { return new(nsq.Config).Validate() }, "Config{} must be created with NewConfig()", []func(error) bool{bare(nsq.ErrNoNewConfig)}},
		{"no config", func() error { return second(nsq.NewProducer("", nil)) }, "nil Config: Config{} must be created with NewConfig()", []func(error) bool{is(nsq.ErrNoNewConfig)}},
		{"unknown option", func() error { return set("no-such", 1) }, "invalid option no_such", []func(error) bool{option("no_such")}},
		{"option that cannot be read", func() error { return set("max_in_flight", "x") }, "", []func(error) bool{option("max_in_flight"), is(strconv.ErrSyntax)}},
		{"option out of range", func() error { return set("deflate-level", 10) }, "invalid deflate_level ! 10 > 9", []func(error) bool{option("deflate_level")}},
		{"file that is missing", func() error { return set("tls_root_ca_file", missing) }, "", []func(error) bool{option("tls_root_ca_file"), is(fs.ErrNotExist)}},
		{"TLS version", func() error { return set("tls_min_version", "tls2") }, "ERROR: tls2 is not a tls version", []func(error) bool{option("tls_min_version")}},
		{"field out of range", func() error { return validate(func(c *nsq.Config) { c.DeflateLevel = 0 }) }, "invalid DeflateLevel ! 0 < 1", []func(error) bool{option("DeflateLevel")}},
		{"rare heartbeats", func() error { return validate(func(c *nsq.Config) { c.HeartbeatInterval = c.ReadTimeout + 1 }) }, "", []func(error) bool{option("HeartbeatInterval")}},
		{"half a certificate", func() error {
			return validate(func(c *nsq.Config) { c.TlsV1 = true; must(t, c.Set("tls_cert", "a")) })
		}, "tls_cert a is set without tls_key", []func(error) bool{option("tls_cert")}},

		{"topic", func() error { return second(nsq.NewConsumer("$", "c", nsq.NewConfig())) }, "invalid topic name", []func(error) bool{bare(nsq.ErrInvalidTopicName)}},
		{"channel", func() error { return second(nsq.NewConsumer("t", "$", nsq.NewConfig())) }, "invalid channel name", []func(error) bool{bare(nsq.ErrInvalidChannelName)}},
		{"no handlers", func() error {
			r, err := nsq.NewConsumer("t", "c", nsq.NewConfig())
			must(t, err)
			defer r.Stop()
			return r.ConnectToNSQD(nobody)
		}, "no handlers", []func(error) bool{bare(nsq.ErrNoHandlers)}},
		{"consumer stopped", func() error { r := consumer(); r.Stop(); return r.ConnectToNSQD(nobody) }, "consumer stopped", []func(error) bool{bare(nsq.ErrConsumerStopped)}},
		{"consumer has nobody to connect to", func() error { return consumer().ConnectToNSQD(nobody) }, "", []func(error) bool{as[*net.OpError]}},
		{"connected already", func() error {
			d, r := nsqtest.Start(t, nil), consumer() // which must end first
			must(t, r.ConnectToNSQD(d.TCPAddr()))
			return r.ConnectToNSQD(d.TCPAddr())
		}, "already connected", []func(error) bool{bare(nsq.ErrAlreadyConnected)}},
		{"nsqd not connected", func() error { return consumer().DisconnectFromNSQD(nobody) }, "not connected", []func(error) bool{bare(nsq.ErrNotConnected)}},
		{"nsqlookupd not connected", func() error { return consumer().DisconnectFromNSQLookupd(nobody) }, "not connected", []func(error) bool{bare(nsq.ErrNotConnected)}},
		{"only nsqlookupd", func() error {
			r := consumer()
			must(t, r.ConnectToNSQLookupd(nobody))
			return r.DisconnectFromNSQLookupd(nobody)
		}, "cannot disconnect from only remaining nsqlookupd HTTP address " + nobody, []func(error) bool{is(nsq.ErrOnlyLookupd)}},
		{"nsqlookupd without a port", func() error { return consumer().ConnectToNSQLookupd("host") }, "missing port", []func(error) bool{bare(nsq.ErrMissingPort)}},
		{"nsqlookupd with a bad port", func() error { return consumer().ConnectToNSQLookupd("host:0") }, `invalid port "0"`, []func(error) bool{is(nsq.ErrInvalidAddress)}},
		{"nsqlookupd with a bad scheme", func() error { return consumer().ConnectToNSQLookupd("tcp://host:1") }, "", []func(error) bool{is(nsq.ErrInvalidAddress)}},
		{"nsqlookupd with a bad URL", func() error { return consumer().ConnectToNSQLookupd("http://ho st:1") }, "", []func(error) bool{as[*url.Error]}},

		{"handlers abandoned", func() error { return stopWhileHandling(t) }, "", []func(error) bool{is(nsq.ErrAbandoned), is(context.Canceled)}},
		{"publication given up", func() error {
			f := nsqtest.NewFake(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(io.ErrClosedPipe)
			return producer(f.Addr).PublishContext(ctx, "t", nil)
		}, "", []func(error) bool{is(context.Canceled), is(io.ErrClosedPipe)}},

		{"Conn before Connect", func() error { return nsq.NewConn(nobody, nsq.NewConfig(), newWorker(nil)).Flush() }, "not connected", []func(error) bool{bare(nsq.ErrNotConnected)}},
		{"Conn to nobody", func() error { return second(nsq.NewConn(nobody, nsq.NewConfig(), newWorker(nil)).Connect()) }, "", []func(error) bool{as[*net.OpError]}},
		{"Conn after Close", func() error {
			c := nsq.NewConn(nobody, nsq.NewConfig(), newWorker(nil))
			must(t, c.Close())
			return second(c.Connect())
		}, "closing", []func(error) bool{bare(nsq.ErrClosing)}},
		{"Conn cancelled", func() error {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(io.ErrClosedPipe)
			return second(nsq.NewConn(nobody, nsq.NewConfig(), newWorker(nil)).ConnectContext(ctx))
		}, "connecting to nsqd " + nobody + ": context canceled: io: read/write on closed pipe",
			[]func(error) bool{is(context.Canceled), is(io.ErrClosedPipe)}},

		{"metric with a bad name", func() error { return nsq.WriteMetrics(io.Discard, metric{Name: "a b"}) }, `invalid metric name "a b"`, []func(error) bool{is(nsq.ErrInvalidMetric)}},
		{"metric with a bad label", func() error {
			return nsq.WriteMetrics(io.Discard, metric{Name: "a", Labels: []nsq.MetricLabel{{Name: "-"}}})
		}, `metric a: invalid label name "-"`, []func(error) bool{is(nsq.ErrInvalidMetric)}},
		{"metric of two kinds", func() error {
			return nsq.WriteMetrics(io.Discard, metric{Name: "a"}, metric{Name: "a", Kind: nsq.MetricGauge})
		}, "metric a is both a counter and a gauge", []func(error) bool{is(nsq.ErrInvalidMetric)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			if err == nil || tt.text != "" && err.Error() != tt.text {
				t.Fatalf("got %v, want %s", err, tt.text)
			}
			for i, ok := range tt.want {
				if !ok(err) {
					t.Errorf("%v (%T) is not what condition %d wants", err, err, i)
				}
			}
		})
	}
}

// Every code of nsqd can be asked for.
func TestErrorCodes(t *testing.T) {
	for _, code := range []nsq.ErrorCode{
		nsq.CodeBadProtocol, nsq.CodeInvalid, nsq.CodeBadBody, nsq.CodeBadTopic, nsq.CodeBadChannel, nsq.CodeBadMessage,
		nsq.CodeIdentifyFailed, nsq.CodeSubFailed, nsq.CodePubFailed, nsq.CodeMPubFailed, nsq.CodeDPubFailed,
		nsq.CodeAuthFirst, nsq.CodeAuthFailed, nsq.CodeAuthDisabled, nsq.CodeAuthError, nsq.CodeUnauthorized,
		nsq.CodeFinFailed, nsq.CodeReqFailed, nsq.CodeTouchFailed,
	} {
		err := fakeAnswer(t, nil, published(string(code)+" PUB why"))
		if !errors.Is(err, code) || errors.Is(err, nsq.ErrorCode("E")) {
			t.Errorf("%v is not %v", err, code)
		}
		if protocol, ok := err.(nsq.ErrProtocol); !ok || protocol.Code() != code || code.Error() != string(code) {
			t.Errorf("%T, code %q, want %q", err, protocol.Code(), code)
		}
	}
}

// An ErrIdentify that a program made has no cause, and is found by its Reason.
func TestErrIdentifyWithoutACause(t *testing.T) {
	err := nsq.ErrIdentify{Reason: "EOF"}
	if errors.Unwrap(err) != nil || !errors.Is(err, nsq.ErrIdentify{Reason: "EOF"}) || errors.Is(err, nsq.ErrIdentify{Reason: "no"}) {
		t.Errorf("%v unwraps to %v", err, errors.Unwrap(err))
	}
}

// The tests above must speak of every error that the package exports.
func TestEveryErrorIsTested(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors_test.go", nil, 0)
	must(t, err)
	tested := map[string]bool{
		"ErrOverMaxInFlight": true, // nothing returns it
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			tested[sel.Sel.Name] = true
		}
		return true
	})
	found := 0
	for name := range exportedNames(t) {
		if strings.Contains(name, ".") {
			continue
		}
		if strings.HasPrefix(name, "Err") || strings.HasPrefix(name, "Code") || name == "OptionError" {
			found++
			if !tested[name] {
				t.Errorf("no test here provokes %s: add it to the table of TestErrors", name)
			}
		}
	}
	if found < 40 {
		t.Errorf("found only %d errors", found)
	}
}

// second returns the error of a call that returns a value, too.
func second[T any](_ T, err error) error { return err }
