package nsq

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

func TestInterrupted(t *testing.T) {
	why := errors.New("why")
	for name, tt := range map[string]struct {
		end  func(context.Context) context.Context
		is   []error
		text string
	}{
		"canceled": {func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		}, []error{context.Canceled}, "waiting: context canceled"},
		"with a cause": {func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(why)
			return ctx
		}, []error{context.Canceled, why}, "waiting: context canceled: why"},
		"with a cause that says it": {func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errors.Join(why, context.Canceled))
			return ctx
		}, []error{context.Canceled, why}, "waiting: why\ncontext canceled"},
		"too late": {func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, -1)
			cancel()
			return ctx
		}, []error{context.DeadlineExceeded}, "waiting: context deadline exceeded"},
	} {
		err := interrupted(tt.end(t.Context()), "waiting")
		for _, want := range tt.is {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v is no %v", name, err, want)
			}
		}
		if err.Error() != tt.text {
			t.Errorf("%s: %q, want %q", name, err, tt.text)
		}
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	why := errors.New("why")
	expect := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v", err)
		}
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQDsContext(ctx, []string{f.Addr}) }()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY") // and no answer
	cancel(why)
	expect("connecting to nsqd "+f.Addr, nsqtest.Receive(t, "ConnectToNSQDsContext", connected))
	c.ExpectEnd()
	if err := r.DisconnectFromNSQD(f.Addr); !errors.Is(err, ErrNotConnected) {
		t.Errorf("an attempt that was given up is not forgotten: %v", err)
	}
	expect("connecting to nsqd", r.ConnectToNSQDContext(ctx, f.Addr))
	expect("nsqlookupd", r.ConnectToNSQLookupdContext(ctx, "127.0.0.1:1"))

	// A connection outlives the context it was made with.
	ctx, cancel = context.WithCancelCause(t.Context())
	go func() { connected <- r.ConnectToNSQDContext(ctx, f.Addr) }()
	c = f.Subscribed(1)
	if err := nsqtest.Receive(t, "ConnectToNSQDContext", connected); err != nil {
		t.Fatal(err)
	}
	cancel(why)
	c.Message(1, 1, "x")
	c.Expect("FIN " + nsqtest.ID(1))
	c.Conn.Close()
	f.Subscribed(1).Conn.Close()
}

// The wait for an nsqlookupd ends with the context; that it is to be asked does not.
func TestConnectToHungNSQLookupdContext(t *testing.T) {
	l := nsqtest.StartFakeLookupd(t)
	l.Set(func(l *nsqtest.FakeLookupd) { l.Hangs = true })
	r := newTestConsumer(t, func(c *Config) { c.LookupdPollTimeout = 100 * time.Millisecond })
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQLookupdsContext(ctx, []string{l.URL}) }()
	nsqtest.Eventually(t, "a question", func() bool { return len(l.Asked("/lookup")) > 0 })
	cancel()
	if err := nsqtest.Receive(t, "ConnectToNSQLookupdsContext", connected); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	f := nsqtest.NewFake(t)
	l.Set(func(l *nsqtest.FakeLookupd) { l.Hangs, l.Addrs = false, []string{f.Addr} })
	f.Subscribed(1).Conn.Close()
}

func TestConnectToHungListedNSQDContext(t *testing.T) {
	f := nsqtest.NewFake(t)
	l := nsqtest.StartFakeLookupd(t, f.Addr)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	ctx, cancel := context.WithCancel(t.Context())
	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQLookupdContext(ctx, l.URL) }()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY") // and no answer
	cancel()
	if err := nsqtest.Receive(t, "ConnectToNSQLookupdContext", connected); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.Conn.Close()
}

func TestStopContext(t *testing.T) {
	for name, tt := range map[string]struct {
		handling, patience, takes time.Duration
		want                      error // beside ErrAbandoned; nil for no error
		text                      string
	}{
		"handled in time":       {10 * time.Second, time.Minute, 10 * time.Second, nil, ""},
		"the context ends":      {10 * time.Second, time.Second, time.Second, context.DeadlineExceeded, "stopped without waiting any longer for handlers: waiting for handlers: context deadline exceeded"},
		"it has ended before":   {10 * time.Second, 0, 0, context.DeadlineExceeded, "stopped without waiting any longer for handlers: waiting for handlers: context deadline exceeded"},
		"nobody waits for ever": {time.Hour, 2 * time.Hour, 30 * time.Second, ErrAbandoned, "stopped without waiting any longer for handlers: waited for handlers for 30s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended error
			r, s := pipeConsumer(t, func(m *Message) error {
				select {
				case <-time.After(tt.handling):
				case <-m.Context().Done():
					ended = context.Cause(m.Context())
				}
				return nil
			})
			s.Message(1, 1, "x")
			synctest.Wait()
			s.Conn.SetReadDeadline(time.Time{})
			go func() { // the server
				defer s.Conn.Close()
				for {
					line, _, err := s.Read()
					if err != nil || strings.HasPrefix(line, "FIN") {
						return
					}
					if _, err := s.Conn.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.CloseWait)); err != nil {
						return // the consumer has given up
					}
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
			defer cancel()
			start := time.Now()
			err := r.StopContext(ctx)
			if took := time.Since(start); took != tt.takes {
				t.Errorf("%s: it took %v, want %v", name, took, tt.takes)
			}
			<-r.StopChan
			synctest.Wait()
			switch {
			case tt.want == nil && (err != nil || ended != nil):
				t.Errorf("%s: %v, and the message's context ended: %v", name, err, ended)
			case tt.want != nil && (!errors.Is(err, ErrAbandoned) || !errors.Is(err, tt.want) || err.Error() != tt.text):
				t.Errorf("%s: %v", name, err)
			case tt.want != nil && ended == nil:
				t.Errorf("%s: the message's context did not end", name)
			}
			if again := r.StopContext(t.Context()); again != err {
				t.Errorf("%s: %v the second time", name, again)
			}
		})
	}
}

func TestStopContextWithoutHandlers(t *testing.T) {
	r := newTestConsumer(t, nil)
	if err := r.StopContext(t.Context()); err != nil {
		t.Error(err)
	}
}

// What waits for a handler when a context ends is given to none any more.
func TestStopContextDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled, release := 0, make(chan struct{})
		r, s := pipeConsumer(t, func(*Message) error { handled++; <-release; return nil })
		for i := range 5 {
			s.Message(uint64(i), 5, "x")
		}
		synctest.Wait()
		go drainCommands(s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.StopContext(ctx); !errors.Is(err, ErrAbandoned) {
			t.Errorf("got %v", err)
		}
		close(release)
		synctest.Wait()
		if handled != 1 {
			t.Errorf("%d messages were handled", handled)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.conns) != 0 {
			t.Errorf("%d connections are left", len(r.conns))
		}
	})
}

func TestStopInAHandler(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(m *Message) error { r.Stop(); return m.Context().Err() }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	c.Message(1, 1, "x")
	c.Expect("CLS")
	c.Respond(wire.CloseWait)
	c.Expect("FIN " + nsqtest.ID(1)) // as Stop does not end the context
	c.ExpectEnd()
	c.Conn.Close()
	nsqtest.Receive(t, "StopChan", r.StopChan)
}

// An nsqd that reads nothing holds up Stop no longer than one that does not answer.
func TestStopWhileNSQDHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := pipeConsumer(t, func(*Message) error { return nil })
		s.Message(1, 1, "x")
		start := time.Now()
		r.Stop()
		<-r.StopChan
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("StopChan was closed after %v", took)
		}
		s.Conn.Close()
	})
}

// The context of a message ends with the connection it came on, but on its last
// attempt with the consumer alone.
func TestMessageContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := make(chan *Message, 10)
		r, s := pipeConsumer(t, func(m *Message) error { m.DisableAutoResponse(); messages <- m; return nil })
		s.Message(1, 1, "x")
		one := <-messages
		s.Message(2, 5, "on its last attempt")
		last := <-messages
		if one.Context() != one.Context() || one.Context().Err() != nil || last.Context().Err() != nil {
			t.Error("the context ended while the connection was there")
		}
		s.Conn.Close()
		synctest.Wait()
		if cause := context.Cause(one.Context()); !errors.Is(cause, ErrNotConnected) {
			t.Errorf("when the connection was lost, the cause is %v", cause)
		}
		if last.Context().Err() != nil {
			t.Error("the context of a last attempt ended with the connection")
		}
		r.Stop()
		<-r.StopChan
		if cause := context.Cause(last.Context()); !errors.Is(cause, ErrConsumerStopped) {
			t.Errorf("when the consumer had stopped, the cause is %v", cause)
		}
	})
}

type contextMessageDelegate struct {
	MessageDelegate
	ctx context.Context
}

func (d contextMessageDelegate) Context(*Message) context.Context { return d.ctx }

func TestMessageContextOfOthers(t *testing.T) {
	m := NewMessage(MessageID{}, nil)
	if m.Context() != context.Background() {
		t.Error("a message without a delegate has a context of its own")
	}
	m.Delegate = contextMessageDelegate{ctx: t.Context()}
	if m.Context() != t.Context() {
		t.Error("the delegate was not asked")
	}
	if n := testing.AllocsPerRun(100, func() { _ = m.Context() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
