// A program that is the same for both libraries but for the import below: what
// needs no broker.

package ours

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	nsq "github.com/seed893f581e/nsq/nsq"

	"github.com/seed893f581e/nsq/bench/interop"
)

// NewConfig implements interop.Library.
func (Library) NewConfig() interop.Config { return config{nsq.NewConfig()} }

type config struct{ *nsq.Config }

func (c config) Struct() any { return c.Config }

func (c config) SetFlag(opt string) error { return (&nsq.ConfigFlag{Config: c.Config}).Set(opt) }

func (c config) FlagText() string { return (&nsq.ConfigFlag{Config: c.Config}).String() }

// SetStrategy implements interop.Config.
func (c config) SetStrategy(name string) error {
	switch name {
	case "ExponentialStrategy":
		return c.Set("backoff_strategy", &nsq.ExponentialStrategy{})
	case "FullJitterStrategy":
		return c.Set("backoff_strategy", &nsq.FullJitterStrategy{})
	}
	return c.Set("backoff_strategy", name)
}

func (c config) Backoff(level int) time.Duration { return c.BackoffStrategy.Calculate(level) }

// Constants implements interop.Library.
func (Library) Constants() []interop.Fact {
	var f facts
	f.add("MsgIDLength", nsq.MsgIDLength)
	f.add("frame types", fmt.Sprintf("%d %d %d", nsq.FrameTypeResponse, nsq.FrameTypeError, nsq.FrameTypeMessage))
	f.add("type of a frame type", fmt.Sprintf("%T", nsq.FrameTypeError))
	f.add("states", fmt.Sprint(nsq.StateInit, nsq.StateDisconnected, nsq.StateConnected))
	f.add("magic", fmt.Sprintf("%q %q", nsq.MagicV1, nsq.MagicV2))
	for _, lvl := range []nsq.LogLevel{nsq.LogLevelDebug, nsq.LogLevelInfo, nsq.LogLevelWarning, nsq.LogLevelError} {
		f.add(fmt.Sprintf("level %d", int(lvl)), lvl.String())
	}
	f.add("LogLevelMax", int(nsq.LogLevelMax))
	for _, err := range []error{
		nsq.ErrNotConnected, nsq.ErrStopped, nsq.ErrClosing, nsq.ErrAlreadyConnected, nsq.ErrOverMaxInFlight,
		nsq.ErrIdentify{Reason: "why"}, nsq.ErrProtocol{Reason: "E_X why"},
	} {
		f.add("error "+err.Error(), errors.Is(fmt.Errorf("outer: %w", err), err))
	}
	f.add("zero stats", nsq.ConsumerStats{})
	f.add("zero transaction", nsq.ProducerTransaction{}.Args)
	f.add("AuthResponse", fmt.Sprintf("%+v", nsq.AuthResponse{Identity: "i", IdentityUrl: "u", PermissionCount: 1}))
	identified := nsq.IdentifyResponse{MaxRdyCount: 1, TLSv1: true, Deflate: true, Snappy: true, AuthRequired: true}
	f.add("IdentifyResponse", fmt.Sprint(identified.MaxRdyCount, identified.TLSv1, identified.Deflate, identified.Snappy, identified.AuthRequired))
	return f
}

// Names implements interop.Library.
func (Library) Names(name string) (topic, channel bool) {
	return nsq.IsValidTopicName(name), nsq.IsValidChannelName(name)
}

// Commands implements interop.Library.
func (Library) Commands() []interop.Fact {
	var f facts
	command := func(c *nsq.Command, err error) {
		if err != nil {
			f.add(fmt.Sprintf("command %d", len(f)), err)
			return
		}
		var w bytes.Buffer
		n, err := c.WriteTo(&w)
		f.add(fmt.Sprintf("command %d: %s", len(f), c), fmt.Sprintf("%d %v %q", n, err, w.Bytes()))
		_, err = c.WriteTo(brokenWriter{})
		f.add(fmt.Sprintf("command %d, written to nothing", len(f)), err)
	}
	id := nsq.MessageID{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'}
	x := []byte("x")
	command(nsq.Identify(map[string]interface{}{"b": 1, "a": []string{"<&>"}, "c": nil}))
	command(nsq.Identify(nil))
	command(nsq.Identify(map[string]interface{}{"impossible": func() {}}))
	command(nsq.Auth("secret"))
	command(nsq.Auth(""))
	for _, c := range []*nsq.Command{
		nsq.Register("t", "c"), nsq.Register("t", ""), nsq.UnRegister("t", "c"), nsq.UnRegister("t", ""),
		nsq.Ping(), nsq.Nop(), nsq.StartClose(),
		nsq.Publish("t", x), nsq.Publish("t", []byte{}), nsq.Publish("", x), nsq.Publish("a b\n", x),
		nsq.DeferredPublish("t", 1500*time.Microsecond, x), nsq.DeferredPublish("t", -time.Second, x),
		nsq.DeferredPublish("t", 0, []byte{}), nsq.DeferredPublish("t", time.Hour, x),
		nsq.Subscribe("t", "c"), nsq.Subscribe("", ""),
		nsq.Ready(0), nsq.Ready(-1), nsq.Ready(2500),
		nsq.Finish(id), nsq.Touch(id), nsq.Finish(nsq.MessageID{}),
		nsq.Requeue(id, 0), nsq.Requeue(id, -1), nsq.Requeue(id, 1999*time.Microsecond), nsq.Requeue(id, 90*time.Second),
		{}, {Name: []byte("X")}, {Name: []byte("X"), Params: [][]byte{nil, x, {}}, Body: x}, {Body: []byte{}},
	} {
		command(c, nil)
	}
	command(nsq.MultiPublish("t", [][]byte{x, {}, nil, []byte("yz")}))
	command(nsq.MultiPublish("t", [][]byte{}))
	command(nsq.MultiPublish("t", nil))
	return f
}

// NilBodies implements interop.Library.
func (Library) NilBodies() []interop.Fact {
	var f facts
	for _, c := range []*nsq.Command{nsq.Publish("t", nil), nsq.DeferredPublish("t", 0, nil)} {
		var w bytes.Buffer
		_, err := c.WriteTo(&w)
		f.add(c.String(), fmt.Sprintf("%q %v", w.Bytes(), err))
	}
	return f
}

// Unpack implements interop.Library.
func (Library) Unpack(response []byte) string {
	frameType, data, err := nsq.UnpackResponse(response)
	return fmt.Sprintf("%d %q %v", frameType, data, err)
}

// Read implements interop.Library.
func (Library) Read(r io.Reader) string {
	data, err := nsq.ReadResponse(r)
	return fmt.Sprintf("%q %v", data, err)
}

// ReadUnpacked implements interop.Library.
func (Library) ReadUnpacked(r io.Reader) string {
	frameType, data, err := nsq.ReadUnpackedResponse(r)
	return fmt.Sprintf("%d %q %v", frameType, data, err)
}

// Decode implements interop.Library.
func (Library) Decode(b []byte) string {
	m, err := nsq.DecodeMessage(b)
	if err != nil {
		return fmt.Sprint(m == nil, " ", err)
	}
	aliased := len(m.Body) > 0 && &m.Body[0] == &b[len(b)-len(m.Body)]
	var w bytes.Buffer
	n, err := m.WriteTo(&w)
	_, failed := m.WriteTo(brokenWriter{})
	return fmt.Sprintf("%q %q %d %d %q %v aliased %v; %d %v back %v; %v",
		m.ID, m.Body, m.Attempts, m.Timestamp, m.NSQDAddress, m.Delegate, aliased,
		n, err, bytes.Equal(w.Bytes(), b), failed)
}

// Answers implements interop.Library.
func (Library) Answers() []interop.Fact {
	var f facts
	for _, c := range []struct {
		name string
		do   func(m *nsq.Message)
	}{
		{"finish twice", func(m *nsq.Message) { m.Finish(); m.Finish() }},
		{"requeue and finish", func(m *nsq.Message) { m.Requeue(time.Second); m.Finish() }},
		{"requeue without backoff and requeue", func(m *nsq.Message) { m.RequeueWithoutBackoff(-1); m.Requeue(0) }},
		{"touch twice, finish, touch", func(m *nsq.Message) { m.Touch(); m.Touch(); m.Finish(); m.Touch() }},
		{"no auto response", func(m *nsq.Message) { m.DisableAutoResponse() }},
	} {
		d := &delegate{}
		before := time.Now()
		m := nsq.NewMessage(nsq.MessageID{'i', 'd'}, []byte("body"))
		if at := time.Unix(0, m.Timestamp); at.Before(before.Truncate(0)) || at.After(time.Now()) || m.Delegate != nil {
			f.add(c.name, fmt.Sprintf("made at %v, delegate %v", at, m.Delegate))
		}
		m.Delegate = d
		c.do(m)
		f.add(c.name, fmt.Sprintf("%s, responded %v, auto response disabled %v",
			strings.Join(d.calls, " "), m.HasResponded(), m.IsAutoResponseDisabled()))
	}
	handled := nsq.HandlerFunc(func(m *nsq.Message) error { return errors.New(string(m.Body)) })
	f.add("handler", nsq.Handler(handled).HandleMessage(nsq.NewMessage(nsq.MessageID{}, []byte("its error"))))
	return f
}

// delegate is an nsq.MessageDelegate that notes what it is told.
type delegate struct{ calls []string }

var _ nsq.MessageDelegate = (*delegate)(nil)

func (d *delegate) OnFinish(m *nsq.Message) { d.calls = append(d.calls, "finish") }

func (d *delegate) OnRequeue(m *nsq.Message, delay time.Duration, backoff bool) {
	d.calls = append(d.calls, fmt.Sprintf("requeue(%v,%v)", delay, backoff))
}

func (d *delegate) OnTouch(m *nsq.Message) { d.calls = append(d.calls, "touch") }

// Misuse implements interop.Library.
func (Library) Misuse() []interop.Fact {
	var f facts
	try := func(name string, do func() any) {
		f.add(name, func() (result any) {
			defer func() {
				if p := recover(); p != nil {
					result = fmt.Sprintf("panic: %v", p)
				}
			}()
			return do()
		}())
	}
	for _, c := range []struct{ topic, channel string }{{"t", "c"}, {"", "c"}, {"t", ""}, {"a b", "c"}, {"t", "c$"}} {
		try(fmt.Sprintf("consumer of %q/%q", c.topic, c.channel), func() any {
			r, err := nsq.NewConsumer(c.topic, c.channel, nsq.NewConfig())
			if err == nil {
				r.SetLogger(nil, nsq.LogLevelError)
				r.Stop()
			}
			return err
		})
	}
	bad := nsq.NewConfig()
	bad.DeflateLevel = 10
	try("consumer with a bad config", func() any { _, err := nsq.NewConsumer("t", "c", bad); return err })
	try("producer with a bad config", func() any { _, err := nsq.NewProducer("a:1", bad); return err })
	try("producer without address", func() any { p, err := nsq.NewProducer("", nsq.NewConfig()); return fmt.Sprint(p, err) })
	quiet := func() *nsq.Consumer {
		r, err := nsq.NewConsumer("t", "c", nsq.NewConfig())
		if err != nil {
			panic(err)
		}
		r.SetLogger(nil, nsq.LogLevelMax)
		return r
	}
	nothing := nsq.HandlerFunc(func(*nsq.Message) error { return nil })
	try("connect without handlers", func() any { return quiet().ConnectToNSQD("127.0.0.1:1") })
	try("discover without handlers", func() any { return quiet().ConnectToNSQLookupd("127.0.0.1:1") })
	try("connect without port", func() any {
		r := quiet()
		r.AddHandler(nothing)
		return fmt.Sprint(r.ConnectToNSQD("127.0.0.1"), r.ConnectToNSQLookupd("127.0.0.1"))
	})
	try("handler after connecting", func() any {
		r := quiet()
		r.AddHandler(nothing)
		r.ConnectToNSQD("127.0.0.1:1")
		r.AddHandler(nothing)
		return "added"
	})
	try("delegate of nothing", func() any { quiet().SetBehaviorDelegate(1); return "set" })
	try("delegate", func() any { quiet().SetBehaviorDelegate(filter(nil)); return "set" })
	try("connect after stop", func() any {
		r := quiet()
		r.AddHandler(nothing)
		r.Stop()
		r.Stop()
		<-r.StopChan
		return fmt.Sprint(r.ConnectToNSQD("127.0.0.1:1"), r.ConnectToNSQLookupd("127.0.0.1:1"))
	})
	try("unknown addresses", func() any {
		r := quiet()
		return fmt.Sprint(r.DisconnectFromNSQD("127.0.0.1:1"), r.DisconnectFromNSQLookupd("127.0.0.1:1"))
	})
	try("starved without connections", func() any { return quiet().IsStarved() })
	return f
}

// filter is an nsq.DiscoveryFilter.
type filter func([]string) []string

var _ nsq.DiscoveryFilter = filter(nil)

func (f filter) Filter(addrs []string) []string { return f(addrs) }

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }

type facts []interop.Fact

func (f *facts) add(name string, value any) {
	*f = append(*f, interop.Fact{Name: name, Value: fmt.Sprint(value)})
}
