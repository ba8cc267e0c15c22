package nsq

import (
	"bytes"
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

// batchConsumer returns a consumer on a fake clock that has one batch handler and
// n connections with their shares.
func batchConsumer(t *testing.T, n, maxInFlight int, h BatchHandler, options BatchOptions) (*Consumer, []*backoffConn) {
	cfg := NewConfig()
	cfg.DefaultRequeueDelay = 0
	cfg.MaxInFlight = maxInFlight
	r, err := NewConsumer("t", "c", cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(nil, LogLevelInfo)
	r.AddBatchHandler(h, 1, options)
	conns := make([]*backoffConn, n)
	for i := range conns {
		conns[i] = addBackoffConn(t, r, fmt.Sprint("pipe", i))
	}
	synctest.Wait()
	for _, c := range conns {
		c.drained()
	}
	return r, conns
}

// bodiesOf returns what a batch says.
func bodiesOf(messages []*Message) string {
	bodies := make([]string, len(messages))
	for i, m := range messages {
		bodies[i] = string(m.Body)
	}
	return strings.Join(bodies, " ")
}

// batches is a handler that tells what it is given, and when.
type batches struct {
	start time.Time
	got   []string
}

func (b *batches) HandleMessages(messages []*Message) error {
	b.got = append(b.got, fmt.Sprintf("%v: %s", time.Since(b.start), bodiesOf(messages)))
	return nil
}

func TestBatchSizes(t *testing.T) {
	type send struct {
		after time.Duration
		from  int
		body  string
	}
	for name, tt := range map[string]struct {
		conns, maxInFlight int
		options            BatchOptions
		sends              []send
		want               []string
	}{
		"a full batch does not wait": {
			1, 10, BatchOptions{3, time.Minute},
			[]send{{0, 0, "a"}, {0, 0, "b"}, {1 * time.Second, 0, "c"}, {0, 0, "d"}},
			[]string{"1s: a b c", "6s: d"},
		},
		"nobody waits longer than MaxWait for a first message's company": {
			1, 10, BatchOptions{10, 2 * time.Second},
			[]send{{time.Second, 0, "a"}, {time.Second, 0, "b"}, {3 * time.Second, 0, "c"}},
			[]string{"3s: a b", "7s: c"},
		},
		"without MaxWait, nobody waits": {
			1, 10, BatchOptions{10, 0},
			[]send{{0, 0, "a"}, {time.Second, 0, "b"}},
			[]string{"0s: a", "1s: b"},
		},
		"max-in-flight is less than a batch": {
			1, 2, BatchOptions{100, time.Minute},
			[]send{{0, 0, "a"}, {time.Second, 0, "b"}, {time.Second, 0, "c"}, {0, 0, "d"}},
			[]string{"1s: a b", "2s: c d"},
		},
		"one connection has all in flight that it may": {
			2, 4, BatchOptions{100, time.Minute},
			[]send{{0, 0, "a"}, {time.Second, 1, "b"}, {time.Second, 0, "c"}},
			[]string{"2s: a b c"},
		},
		"several connections": {
			2, 20, BatchOptions{4, time.Minute},
			[]send{{0, 0, "a"}, {time.Second, 1, "b"}, {time.Second, 0, "c"}, {0, 1, "d"}},
			[]string{"2s: a b c d"},
		},
		"no limit": {
			1, 100, BatchOptions{0, time.Second},
			[]send{{0, 0, "a"}, {0, 0, "b"}, {0, 0, "c"}, {0, 0, "d"}},
			[]string{"1s: a b c d"},
		},
		"half of the ten seconds that there are for an answer": {
			1, 10, BatchOptions{10, time.Minute},
			[]send{{0, 0, "a"}, {4 * time.Second, 0, "b"}},
			[]string{"5s: a b"},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &batches{start: time.Now()}
			r, conns := batchConsumer(t, tt.conns, tt.maxInFlight, h, tt.options)
			for i, s := range tt.sends {
				if s.after > 0 {
					after(s.after)
				}
				conns[s.from].Message(uint64(i), 1, s.body)
				synctest.Wait()
			}
			after(20 * time.Second)
			if !slices.Equal(h.got, tt.want) {
				t.Errorf("%s: got %q, want %q", name, h.got, tt.want)
			}
			if n := r.Stats().MessagesFinished; n != uint64(len(tt.sends)) {
				t.Errorf("%s: %d messages are finished", name, n)
			}
			stopBackoff(r, conns...)
		})
	}
}

// What makes waiting for more useless ends it.
func TestCollectingEnds(t *testing.T) {
	for name, end := range map[string]func(r *Consumer){
		"Stop":                              func(r *Consumer) { r.Stop() },
		"the connection is to be closed":    func(r *Consumer) { r.DisconnectFromNSQD("pipe0") },
		"max-in-flight is now reached":      func(r *Consumer) { r.ChangeMaxInFlight(2) },
		"paused by the program":             func(r *Consumer) { r.ChangeMaxInFlight(0) },
		"others have the rest in flight":    func(r *Consumer) { r.conns[0].inFlight.Add(8); r.queue.stopCollecting() },
		"its messages are lost and dropped": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &batches{start: time.Now()}
			r, conns := batchConsumer(t, 1, 10, h, BatchOptions{100, time.Minute})
			conns[0].Message(1, 1, "a")
			conns[0].Message(2, 1, "b")
			after(time.Second)
			want := []string{"1s: a b"}
			if end != nil {
				end(r)
			} else {
				conns[0].Conn.Close()
				want = nil
			}
			synctest.Wait()
			if !slices.Equal(h.got, want) {
				t.Errorf("%s: got %q, want %q", name, h.got, want)
			}
			if name == "others have the rest in flight" {
				r.conns[0].inFlight.Add(-8)
			}
			stopBackoff(r, conns...)
		})
	}
}

// Those who share a handler do not tear its batches apart, and more than one
// is handled at a time.
func TestConcurrentBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := NewConfig()
		cfg.MaxInFlight = 100
		r, err := NewConsumer("t", "c", cfg)
		must(t, err)
		r.SetLogger(nil, LogLevelInfo)
		var mu sync.Mutex
		var got []string
		start := time.Now()
		r.AddBatchHandler(BatchHandlerFunc(func(messages []*Message) error {
			mu.Lock()
			got = append(got, fmt.Sprintf("%v: %s", time.Since(start), bodiesOf(messages)))
			mu.Unlock()
			<-time.After(2 * time.Second)
			return nil
		}), 3, BatchOptions{3, time.Second})
		c := addBackoffConn(t, r, "pipe")
		synctest.Wait()
		for i := range 8 {
			c.Message(uint64(i), 1, fmt.Sprint(i))
			after(100 * time.Millisecond)
		}
		after(10 * time.Second)
		if want := []string{"200ms: 0 1 2", "500ms: 3 4 5", "1.6s: 6 7"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		stopBackoff(r, c)
	})
}

// Every way in which the messages of a batch are answered.
func TestBatchAnswers(t *testing.T) {
	fail := errors.New("no")
	for name, tt := range map[string]struct {
		do   func(messages []*Message) error
		want []string // in order; with the number of the message for its id
	}{
		"nil finishes":      {func([]*Message) error { return nil }, []string{"FIN 1", "FIN 2", "FIN 3"}},
		"an error requeues": {func([]*Message) error { return fail }, []string{"RDY 0", "REQ 1 0", "REQ 2 0", "REQ 3 0"}},
		"the handler was first": {func(m []*Message) error {
			m[1].RequeueWithoutBackoff(time.Second)
			m[2].Finish()
			return nil
		}, []string{"REQ 2 1000", "FIN 3", "FIN 1"}},
		"the handler answered some that did not fail": {func(m []*Message) error {
			m[0].Finish()
			m[0].Finish()
			return fail
		}, []string{"FIN 1", "RDY 0", "REQ 2 0", "REQ 3 0"}},
		"the handler answered all, so that the error is nobody's": {func(m []*Message) error {
			for _, m := range m {
				m.Finish()
			}
			return fail
		}, []string{"FIN 1", "FIN 2", "FIN 3"}},
		"no automatic answer": {func(m []*Message) error {
			m[0].DisableAutoResponse()
			later := m[0]
			time.AfterFunc(time.Second, later.Finish)
			return nil
		}, []string{"FIN 2", "FIN 3", "FIN 1"}},
		"no automatic answer to an error either": {func(m []*Message) error {
			for _, m := range m {
				m.DisableAutoResponse()
				time.AfterFunc(time.Second, m.Finish)
			}
			return fail
		}, []string{"FIN 1", "FIN 2", "FIN 3"}},
		"the slice may be changed": {func(m []*Message) error {
			slices.Reverse(m)
			m[0] = nil
			return nil
		}, []string{"FIN 1", "FIN 2", "FIN 3"}},
		"a delegate of the program's": {func(m []*Message) error {
			m[1].Delegate = touching{m[1].Delegate}
			return nil
		}, []string{"TOUCH 2", "FIN 2", "FIN 1", "FIN 3"}},
		"a delegate of the program's is told of errors": {func(m []*Message) error {
			m[1].Delegate = touching{m[1].Delegate}
			m[0].Finish()
			m[2].Finish()
			return fail
		}, []string{"FIN 1", "FIN 3", "TOUCH 2", "RDY 0", "REQ 2 0"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, conns := batchConsumer(t, 1, 10, BatchHandlerFunc(tt.do), BatchOptions{3, time.Minute})
			for i := range 3 {
				conns[0].Message(uint64(i+1), 1, "x")
			}
			after(time.Second)
			got := conns[0].drained()
			for i, line := range got {
				for id := range 4 {
					line = strings.Replace(line, nsqtest.ID(uint64(id)), fmt.Sprint(id), 1)
				}
				got[i] = line
			}
			if name == "no automatic answer to an error either" {
				slices.Sort(got) // as they are answered at the same time
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: the consumer sent %q, want %q", name, got, tt.want)
			}
			if s := r.Stats(); s.MessagesFinished+s.MessagesRequeued != 3 {
				t.Errorf("%s: %+v", name, s)
			}
			if n := r.conns[0].inFlight.Load(); n != 0 {
				t.Errorf("%s: %d messages are in flight", name, n)
			}
			stopBackoff(r, conns...)
		})
	}
}

// touching is a delegate that touches before it answers.
type touching struct{ MessageDelegate }

func (d touching) OnFinish(m *Message) {
	d.OnTouch(m)
	d.MessageDelegate.OnFinish(m)
}

func (d touching) OnRequeue(m *Message, delay time.Duration, backoff bool) {
	d.OnTouch(m)
	d.MessageDelegate.OnRequeue(m, delay, backoff)
}

func TestBatchesThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := true
		r, conns := batchConsumer(t, 2, 8, BatchHandlerFunc(func([]*Message) error {
			if fail {
				return errors.New("no")
			}
			return nil
		}), BatchOptions{4, time.Minute})
		l := &callingLog{call: func() { r.Stats() }}
		r.SetLogger(l, LogLevelWarning)
		for i := range 4 {
			conns[i%2].Message(uint64(i), 1, "x")
		}
		conns[0].sends("RDY 0", "REQ "+nsqtest.ID(0)+" 0", "REQ "+nsqtest.ID(2)+" 0")
		conns[1].sends("RDY 0", "REQ "+nsqtest.ID(1)+" 0", "REQ "+nsqtest.ID(3)+" 0")
		l.expect(t, "ERR ", "Handler returned error (no) for a batch of 4 messages", "backing off for 2s (backoff level 1), setting all to RDY 0")
		fail = false
		after(2 * time.Second)
		asked := conns[0]
		if got := append(conns[0].drained(), conns[1].drained()...); !slices.Equal(got, []string{"RDY 1"}) {
			t.Errorf("got %q after the pause", got)
		}
		if r.conns[0].addr != "pipe0" {
			asked = conns[1]
		}
		asked.Message(9, 1, "x") // which nobody waits for others with
		synctest.Wait()
		if sum := totalRDY(r); sum != 8 {
			t.Errorf("RDY adds up to %d after a batch that did not fail", sum)
		}
		stopBackoff(r, conns...)
	})
}

// failingBatches is a batch handler that is told of messages it is not given any more.
type failingBatches struct {
	*batches
	failed []string
}

func (f *failingBatches) LogFailedMessage(m *Message) { f.failed = append(f.failed, string(m.Body)) }

func TestMaxAttemptsInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &failingBatches{batches: &batches{start: time.Now()}}
		r, conns := batchConsumer(t, 1, 10, h, BatchOptions{3, time.Minute})
		for i, attempts := range []uint16{1, 6, 2, 6, 6, 7} {
			conns[0].Message(uint64(i), attempts, fmt.Sprint(i))
		}
		synctest.Wait()
		if want := []string{"0s: 0 2"}; !slices.Equal(h.got, want) {
			t.Errorf("got %q, want %q", h.got, want)
		}
		if want := []string{"1", "3", "4", "5"}; !slices.Equal(h.failed, want) {
			t.Errorf("given up: %q, want %q", h.failed, want)
		}
		if n := r.Stats().MessagesFinished; n != 6 {
			t.Errorf("%d messages are finished", n)
		}
		stopBackoff(r, conns...)
	})
}

// What nsqd has given up waiting for while LogFailedMessage was busy is not
// handled late, unless it is the last attempt.
func TestExpiredMessagesAreNoneOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slowFailing{batches: &batches{start: time.Now()}}
		r, conns := batchConsumer(t, 1, 3, h, BatchOptions{3, time.Minute})
		conns[0].Message(1, 1, "a")
		conns[0].Message(2, 5, "b")
		conns[0].Message(3, 6, "c")
		after(30 * time.Second)
		if want := []string{"11s: b"}; !slices.Equal(h.got, want) {
			t.Errorf("got %q, want %q", h.got, want)
		}
		if n := r.conns[0].inFlight.Load(); n != 0 {
			t.Errorf("%d messages are in flight", n)
		}
		stopBackoff(r, conns...)
	})
}

type slowFailing struct{ *batches }

func (slowFailing) LogFailedMessage(*Message) { <-time.After(11 * time.Second) }

// Stop waits for the batch that is handled and for what comes after it, in batches
// that wait for nothing.
func TestStopDrainsBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &slowBatches{&batches{start: time.Now()}}
		r, conns := batchConsumer(t, 1, 10, h, BatchOptions{2, time.Minute})
		for i := range 5 {
			conns[0].Message(uint64(i), 5, fmt.Sprint(i))
		}
		synctest.Wait()
		if err := r.StopContext(t.Context()); err != nil {
			t.Error(err)
		}
		if want := []string{"0s: 0 1", "1s: 2 3", "2s: 4"}; !slices.Equal(h.got, want) {
			t.Errorf("got %q, want %q", h.got, want)
		}
		if n := r.Stats().MessagesFinished; n != 5 {
			t.Errorf("%d messages are finished", n)
		}
	})
}

type slowBatches struct{ *batches }

func (b slowBatches) HandleMessages(messages []*Message) error {
	err := b.batches.HandleMessages(messages)
	<-time.After(time.Second)
	return err
}

// No batch begins after StopChan is closed, even if it was collected before.
func TestNoBatchBeginsAfterStopChanIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hangingFailing{&batches{start: time.Now()}, make(chan struct{})}
		r, conns := batchConsumer(t, 1, 3, h, BatchOptions{3, time.Minute})
		for i, attempts := range []uint16{5, 5, 6} {
			conns[0].Message(uint64(i), attempts, "x")
		}
		synctest.Wait()
		r.Stop()
		<-r.StopChan
		close(h.release)
		synctest.Wait()
		if len(h.got) > 0 {
			t.Errorf("got %q", h.got)
		}
	})
}

type hangingFailing struct {
	*batches
	release chan struct{}
}

func (h hangingFailing) LogFailedMessage(*Message) { <-h.release }

// The answers to a batch are one write for each nsqd.
func TestBatchIsAnsweredInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := NewConfig()
		cfg.MaxInFlight = 200
		r, err := NewConsumer("t", "c", cfg)
		must(t, err)
		r.SetLogger(nil, LogLevelInfo)
		r.AddBatchHandler(BatchHandlerFunc(func([]*Message) error { return nil }), 1, BatchOptions{100, time.Minute})
		c := addPipe(t, r, "pipe")
		c.Expect("SUB t c")
		c.Respond(wire.OK)
		c.Expect("RDY 200")
		for i := range 100 {
			c.Message(uint64(i), 1, "x")
		}
		buf := make([]byte, 1<<16)
		n, err := c.Conn.Read(buf) // a pipe's read is at most one write
		if err != nil || bytes.Count(buf[:n], []byte("FIN ")) != 100 {
			t.Errorf("the first write after the batch has %d answers; %v", bytes.Count(buf[:n], []byte("FIN ")), err)
		}
		c.Conn.Close()
		r.Stop()
		<-r.StopChan
	})
}

func TestBatchHandlerIsOneOfTheHandlers(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	r.AddBatchHandler(BatchHandlerFunc(func([]*Message) error { return nil }), -1, BatchOptions{})
	if err := r.ConnectToNSQD(f.Addr); !errors.Is(err, ErrNoHandlers) {
		t.Errorf("with none: %v", err)
	}
	var mu sync.Mutex
	handled := map[string]bool{}
	note := func(m *Message) {
		mu.Lock()
		defer mu.Unlock()
		handled[string(m.Body)] = true
	}
	r.AddHandler(HandlerFunc(func(m *Message) error { note(m); return nil }))
	r.AddBatchHandler(BatchHandlerFunc(func(messages []*Message) error {
		for _, m := range messages {
			note(m)
		}
		return nil
	}), 2, BatchOptions{5, time.Millisecond})
	r.ChangeMaxInFlight(100)
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(100)
	const messages = 500 // more than were asked for, but not so many that it is an offence
	go func() {
		for i := range messages {
			c.Message(uint64(i), 1, fmt.Sprint(i))
		}
	}()
	for range messages {
		if line, _ := c.Next(); !strings.HasPrefix(line, "FIN ") {
			t.Errorf("got %q", line)
		}
	}
	if len(handled) != messages {
		t.Errorf("%d of %d messages were handled", len(handled), messages)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a batch handler was added after connecting")
			}
		}()
		r.AddBatchHandler(nil, 1, BatchOptions{})
	}()
	c.Conn.Close()
}

// Collecting, handling and answering take no memory per message.
func TestBatchesDoNotAllocate(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	r, err := NewConsumer("t", "c", NewConfig())
	must(t, err)
	defer r.Stop()
	r.queue.hurry()
	c := &consumerConn{nsqdConn: newNSQDConn(client, "", &r.config), consumer: r, nsqd: &nsqd{}}
	messages, arrived := make([]Message, 100), make([]delivery, 100)
	b := newBatch(&r.queue, BatchOptions{MaxMessages: len(messages)})
	h := BatchHandlerFunc(func([]*Message) error { return nil })
	allocs := testing.AllocsPerRun(100, func() {
		for i := range messages {
			m := &messages[i]
			m.Delegate = c
			m.responded.Store(false)
			arrived[i] = delivery{m: m, c: c}
		}
		if err := r.queue.push(arrived, time.Time{}, len(messages)); err != nil {
			t.Fatal(err)
		}
		if !b.collect() || len(b.deliveries) != len(messages) {
			t.Fatal("not all were collected")
		}
		b.dropStale(time.Time{})
		r.handleBatch(h, b)
		b.reset()
		c.nsqdConn.queued = c.nsqdConn.queued[:0]
	})
	if allocs >= 1 {
		t.Errorf("%v allocations for a batch of %d messages", allocs, len(messages))
	}
	if n := r.Stats().MessagesFinished; n != 101*uint64(len(messages)) {
		t.Errorf("%d messages are finished", n)
	}
}
