package nsq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// contextCalls are all methods of a Producer that wait until a context ends.
var contextCalls = map[string]func(ctx context.Context, p *Producer) error{
	"Ping":         func(ctx context.Context, p *Producer) error { return p.PingContext(ctx) },
	"Publish":      func(ctx context.Context, p *Producer) error { return p.PublishContext(ctx, "t", []byte("x")) },
	"MultiPublish": func(ctx context.Context, p *Producer) error { return p.MultiPublishContext(ctx, "t", [][]byte{{'x'}}) },
	"DeferredPublish": func(ctx context.Context, p *Producer) error {
		return p.DeferredPublishContext(ctx, "t", 0, []byte("x"))
	},
	"PublishAsync": func(ctx context.Context, p *Producer) error { return p.PublishAsyncContext(ctx, "t", []byte("x"), nil) },
	"MultiPublishAsync": func(ctx context.Context, p *Producer) error {
		return p.MultiPublishAsyncContext(ctx, "t", [][]byte{{'x'}}, nil)
	},
	"DeferredPublishAsync": func(ctx context.Context, p *Producer) error {
		return p.DeferredPublishAsyncContext(ctx, "t", 0, []byte("x"), nil)
	},
}

var errNoMoreTime = errors.New("no more time")

// waitedFor is a context that tells when a call waits for its end.
type waitedFor struct {
	context.Context
	waits chan struct{}
}

func (w waitedFor) Done() <-chan struct{} {
	select {
	case w.waits <- struct{}{}:
	default:
	}
	return w.Context.Done()
}

// expectInterrupted checks an error of a call that a context ended.
func expectInterrupted(t *testing.T, name string, err, cause error, doing string) {
	t.Helper()
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), doing) {
		t.Errorf("%s returned %v, want %s..., because of %v", name, err, doing, cause)
	}
}

func TestContextEndedBefore(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errNoMoreTime)
	for name, call := range contextCalls {
		expectInterrupted(t, name, call(ctx, p), errNoMoreTime, "not sent to "+f.Addr+": context canceled: no more time")
	}

	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	for name, call := range contextCalls { // they send nothing when connected either
		expectInterrupted(t, name, call(ctx, p), errNoMoreTime, "not sent to ")
	}
	p.Stop()
	c.ExpectEnd()
}

func TestContextWithoutCause(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	p := newTestProducer(t, "127.0.0.1:1", nil)
	err := p.PublishContext(ctx, "t", []byte("x"))
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "not sent to 127.0.0.1:1: context deadline exceeded" {
		t.Errorf("got %v", err)
	}
}

// A call may give up connecting, and the others that wait for the same
// connection get it.
func TestContextEndsWhileConnecting(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(contextCalls))
	waiting := waitedFor{ctx, make(chan struct{}, len(contextCalls))}
	for name, call := range contextCalls {
		go func() { results <- result{name, call(waiting, p)} }()
	}
	for range contextCalls {
		nsqtest.Receive(t, "a call to wait", waiting.waits)
	}
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY")
	patient := make(chan error, 1)
	go func() { patient <- p.PublishContext(t.Context(), "t", []byte("patient")) }()
	cancel(errNoMoreTime)
	for range contextCalls {
		r := nsqtest.Receive(t, "a call", results)
		expectInterrupted(t, r.name, r.err, errNoMoreTime, "connecting to "+f.Addr+": ")
	}
	c.Respond(nsqtest.Negotiated)
	if body := c.Expect("PUB t"); string(body) != "patient" {
		t.Errorf("got body %q", body)
	}
	c.Respond(wire.OK)
	if err := nsqtest.Receive(t, "Publish", patient); err != nil {
		t.Error(err)
	}
	if len(f.Conns) > 0 {
		t.Error("there was more than one connection")
	}
}

// Who does not wait for the answer any more still has its place among those that
// do: nobody gets the answer to another call.
func TestContextEndsWhileWaitingForTheAnswer(t *testing.T) {
	const calls = 30
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	var returned [calls]chan error
	var cancels [calls]context.CancelCauseFunc
	var c *nsqtest.FakeConn
	for i := range calls {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		returned[i], cancels[i] = make(chan error, 1), cancel
		go func() { returned[i] <- p.PublishContext(ctx, "t", fmt.Append(nil, i)) }()
		if i == 0 {
			c = f.Accept()
		}
		if body := c.Expect("PUB t"); string(body) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", body, i)
		}
	}
	for i := 0; i < calls; i += 3 { // nsqd is frozen
		cancels[i](errNoMoreTime)
		err := nsqtest.Receive(t, "a call that was interrupted", returned[i])
		expectInterrupted(t, "Publish", err, errNoMoreTime, "waiting for the answer of "+f.Addr+", which may have taken what was published: ")
	}
	for range calls - 2 { // and thaws
		c.Respond(wire.OK)
	}
	c.Fail("E_PUB_FAILED PUB failed") // for the last but one
	for i := range calls {
		if i%3 == 0 {
			continue
		}
		want := map[int]error{calls - 2: ErrProtocol{"E_PUB_FAILED PUB failed"}, calls - 1: ErrNotConnected}[i]
		if err := nsqtest.Receive(t, "a call", returned[i]); !errors.Is(err, want) {
			t.Errorf("call %d got %v, want %v", i, err, want)
		}
	}
}

// An nsqd that does not read delays nobody beyond the end of its context, and
// what the queue has no room for is not kept. The calls that wait for an answer
// queue like the others, but their channels must not leave the fake clock by way
// of the pool.
func TestContextEndsWhileWaitingForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := pausedProducer(t)
		for range 2 { // one for the writer, one for the queue
			if err := p.PublishAsync("t", make([]byte, maxQueued), nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for _, name := range []string{"Ping", "PublishAsync", "MultiPublishAsync", "DeferredPublishAsync"} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := contextCalls[name](ctx, p)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "waiting for room among what is to be written to pipe: ") {
				t.Errorf("%s returned %v", name, err)
			}
			if took := time.Since(start); took != 200*time.Millisecond {
				t.Errorf("%s took %v", name, took)
			}
		}
		if pending, _ := p.load(); pending != 2 {
			t.Errorf("%d transactions are pending", pending)
		}
	})
}

func TestContextEndsWhilePinging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := pausedProducer(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := p.PingContext(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "writing to pipe: ") {
			t.Errorf("Ping returned %v", err)
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("that took %v", took)
		}
	})
}

// pausedProducer returns a producer over a pipe from which nobody reads.
func pausedProducer(t *testing.T) (*Producer, net.Conn) {
	p, server := pipedProducer(t)
	t.Cleanup(func() { server.Close(); p.Stop() })
	return p, server
}

func TestContextEndsWhileDoneChanIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeProducer(t)
		undrained := make(chan *ProducerTransaction)
		for range maxKept {
			if err := p.PublishAsync("t", []byte("x"), undrained); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errNoMoreTime)
		defer cancel()
		start := time.Now()
		err := p.PublishAsyncContext(ctx, "t", []byte("x"), undrained)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errNoMoreTime) || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if !strings.HasPrefix(err.Error(), "waiting for answers to be received from doneChan: ") {
			t.Errorf("the error does not say what was waited for: %v", err)
		}
	})
}

// The context of an asynchronous call says nothing about its answer.
func TestContextEndsAfterPublishAsync(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *ProducerTransaction)
	if err := p.PublishAsyncContext(ctx, "t", []byte("x"), done, "arg"); err != nil {
		t.Fatal(err)
	}
	cancel()
	c.Expect("PUB t")
	c.Respond(wire.OK)
	if tx := nsqtest.Receive(t, "transaction", done); tx.Error != nil || tx.Args[0] != "arg" {
		t.Errorf("got %v of %v", tx.Error, tx.Args)
	}
}

func TestStopContextWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server := pipedProducer(t)
		done := make(chan *ProducerTransaction, 1)
		if err := p.PublishAsync("t", []byte("x"), done); err != nil {
			t.Fatal(err)
		}
		go func() { // a slow nsqd that does not see that nothing more will come
			c := nsqtest.NewFakeConn(t, server)
			c.Expect("PUB t")
			<-time.After(5 * time.Second)
			c.Respond(wire.OK)
		}()
		start := time.Now()
		if err := p.StopContext(t.Context()); err != nil {
			t.Error(err)
		}
		if tx := <-done; tx.Error != nil || time.Since(start) != 5*time.Second {
			t.Errorf("after %v: %v", time.Since(start), tx.Error)
		}
		if err := p.Ping(); err != ErrStopped {
			t.Errorf("Ping after StopContext: %v", err)
		}
	})
}

func TestStopContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server := pipedProducer(t)
		answered, unanswered := make(chan *ProducerTransaction), make(chan *ProducerTransaction, 1)
		for _, done := range []chan *ProducerTransaction{answered, unanswered} {
			if err := p.PublishAsync("t", []byte("x"), done); err != nil {
				t.Fatal(err)
			}
		}
		c := nsqtest.NewFakeConn(t, server)
		c.Expect("PUB t")
		c.Expect("PUB t")
		c.Respond(wire.OK)
		for _, doing := range []string{"stopping without all answers of nsqd: ", "stopping before all transactions are received: "} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			start := time.Now()
			err := p.StopContext(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), doing) {
				t.Errorf("got %v, want %s", err, doing)
			}
			if took := time.Since(start); took != 10*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		}
		if tx := <-unanswered; tx.Error != ErrNotConnected {
			t.Errorf("a transaction without an answer ended with %v", tx.Error)
		}
		if tx := <-answered; tx.Error != nil {
			t.Errorf("a transaction with an answer ended with %v", tx.Error)
		}
		p.Stop()
	})
}

// A producer with nothing to wait for stops at once, whatever nsqd does.
func TestStopOfAnIdleProducer(t *testing.T) {
	f := nsqtest.NewFake(t)
	for name, stop := range map[string]func(p *Producer){
		"Stop":        func(p *Producer) { p.Stop() },
		"StopContext": func(p *Producer) { p.StopContext(t.Context()) },
	} {
		p := newTestProducer(t, f.Addr, nil)
		go p.Ping()
		f.Accept() // and does nothing ever after
		nsqtest.Eventually(t, "connected", func() bool { _, ok := p.load(); return ok })
		start := time.Now()
		nsqtest.Within(t, name, func() { stop(p) })
		if took := time.Since(start); took > drainTimeout/2 {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// Publishing allocates nothing but the transaction that is handed out, and a
// context adds nothing to it.
func TestPublishAllocations(t *testing.T) {
	if nsqtest.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	body := make([]byte, 200)
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	c.Conn.SetReadDeadline(time.Time{})
	var serving sync.WaitGroup
	serving.Go(func() { answerPublications(len(body))(c.Conn, c.Reader) })
	defer func() { p.Stop(); c.Conn.Close(); serving.Wait() }()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan *ProducerTransaction, 1)
	for _, tt := range []struct {
		name string
		want float64
		call func() error
	}{
		{"Publish", 0, func() error { return p.Publish("topic", body) }},
		{"PublishContext that cannot end", 0, func() error { return p.PublishContext(context.Background(), "topic", body) }},
		{"PublishContext", 0, func() error { return p.PublishContext(ctx, "topic", body) }},
		{"PublishAsync", 1, func() error { err := p.PublishAsync("topic", body, done); <-done; return err }},
		{"PublishAsyncContext", 1, func() error { err := p.PublishAsyncContext(ctx, "topic", body, done); <-done; return err }},
	} {
		got := testing.AllocsPerRun(1000, func() {
			if err := tt.call(); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %v allocations", tt.name, got)
		if got > tt.want {
			t.Errorf("%s allocates %v times, want %v", tt.name, got, tt.want)
		}
	}
}

// What is behind a space or a line break in a topic is not taken for something else,
// and what is before not for the topic.
func TestTopicIsNoCommand(t *testing.T) {
	p := newTestProducer(t, "127.0.0.1:1", nil)
	for _, topic := range []string{"\n", "t\nNOP", "t\n", "t\r", "t u", "t "} {
		if err := p.Publish(topic, []byte("x")); err != ErrInvalidTopicName {
			t.Errorf("Publish to %q: %v", topic, err)
		}
		if err := p.PublishAsync(topic, []byte("x"), nil); err != ErrInvalidTopicName {
			t.Errorf("PublishAsync to %q: %v", topic, err)
		}
	}
}

// Nothing that is too big for the size in a command is sent, as nsqd would take its
// end for commands.
func TestTooBigForACommand(t *testing.T) {
	p := newTestProducer(t, "127.0.0.1:1", nil)
	multi := newTestMulti(t, []string{"127.0.0.1:1"}, nil)
	bodies := slices.Repeat([][]byte{make([]byte, 64<<20)}, 32)
	for name, err := range map[string]error{
		"MultiPublish":      p.MultiPublish("t", bodies),
		"MultiPublishAsync": p.MultiPublishAsync("t", bodies, nil),
		"of MultiProducer":  multi.MultiPublishAsync("t", bodies, nil),
	} {
		if want := (ErrProtocol{"E_BAD_MESSAGE MPUB message too big 2147483648 > 2147483647"}); err != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
