package nsqd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// One test for each fault that brokers of this kind are known for and ours must
// not have.

// late is how long after its time a message may come.
const late = 50 * time.Millisecond

func wantDue(tb testing.TB, what string, start time.Time, delay time.Duration) {
	tb.Helper()
	if took := time.Since(start); took < delay || took > delay+late {
		tb.Errorf("%s after %v, want %v", what, took, delay)
	}
}

// TestTouchRacingTimeoutScan has consumers answer messages at about the moment
// they time out. Whatever wins, a message has one fate: it is never in the
// queue twice, and never gone.
func TestTouchRacingTimeoutScan(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MsgTimeout = 5 * time.Millisecond
	opts.MaxMsgTimeout = 50 * time.Millisecond
	n := nsqtest.Start(t, opts)
	var touched, tooLate int64
	for round := 0; touched == 0 || tooLate == 0; round++ { // a quick machine may always be in time
		if round == 100 || t.Failed() {
			t.Fatalf("%d times TOUCH came in time and %d times an answer came too late: no race took place", touched, tooLate)
		}
		r := raceOnce(t, n, fmt.Sprint("race", round))
		touched += r.touched.Load()
		tooLate += r.tooLate.Load()
	}
}

// raceOnce has consumers finish the messages of a new topic.
func raceOnce(t *testing.T, n *nsqtest.NSQD, topic string) *race {
	const messages, consumers = 300, 4
	dialRaw(t, n).mpub(topic, bodies("m", messages)...)
	r := &race{finished: make(map[string]int), all: messages}
	var running sync.WaitGroup
	for range consumers {
		c := dialRaw(t, n)
		c.sub(topic, "c")
		c.rdy(messages / consumers)
		running.Go(func() {
			if err := r.answer(c); err != nil {
				t.Error(err)
			}
			c.close()
		})
	}
	running.Wait()

	for id, times := range r.finished {
		if times != 1 {
			t.Errorf("message %s was finished %d times", id, times)
		}
	}
	if len(r.finished) != messages {
		t.Errorf("%d messages were finished, want %d", len(r.finished), messages)
	}
	if counts, _ := n.ChannelCounts(topic, "c"); counts != (nsqd.Counts{}) {
		t.Errorf("the channel still has %+v", counts)
	}
	return r
}

// A race is what the consumers of TestTouchRacingTimeoutScan have in common.
type race struct {
	all     int
	touched atomic.Int64
	tooLate atomic.Int64

	mu       sync.Mutex
	finished map[string]int // by id
}

func (r *race) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.finished) >= r.all
}

// answer is the life of a consumer: it holds messages, and does now and then
// something to one of them.
func (r *race) answer(c *rawClient) error {
	var held [][wire.MessageIDLen]byte
	var out []byte
	for deadline := time.Now().Add(c.patience); !r.done(); {
		if time.Now().After(deadline) {
			return errors.New("messages are missing")
		}
		// A few commands to random messages, then a PUB, whose OK says that all
		// refusals of them have come.
		out = out[:0]
		fins := make(map[string]int)
		touches := 0
		for range min(8, len(held)) {
			i := rand.IntN(len(held))
			id := held[i]
			switch rand.IntN(8) {
			case 0:
				out = wire.AppendFin(out, id)
				fins[string(id[:])]++
				held = slices.Delete(held, i, i+1)
			case 1:
				out = wire.AppendReq(out, id, time.Duration(rand.IntN(2))*time.Millisecond)
				held = slices.Delete(held, i, i+1)
			default:
				out = wire.AppendTouch(out, id)
				touches++
			}
			if len(held) == 0 {
				break
			}
		}
		if err := c.trySend(wire.AppendPub(out, "sync#ephemeral", []byte("x"))); err != nil {
			return err
		}
		for {
			f, err := c.tryNext()
			if err != nil {
				return err
			}
			if f == ok {
				break
			}
			if f.kind == wire.FrameMessage {
				m, err := wire.ParseMessage([]byte(f.data))
				if err != nil {
					return err
				}
				held = append(held, m.ID)
				continue
			}
			var code, command, id string
			if _, err := fmt.Sscan(f.data, &code, &command, &id); err != nil || f.kind != wire.FrameError || wire.Fatal(code) {
				return fmt.Errorf("got %v", f)
			}
			r.tooLate.Add(1)
			switch command {
			case "FIN":
				fins[id]--
			case "TOUCH":
				touches--
				held = slices.DeleteFunc(held, func(h [wire.MessageIDLen]byte) bool { return string(h[:]) == id })
			}
		}
		r.touched.Add(int64(touches))
		r.mu.Lock()
		for id, times := range fins {
			if times > 0 {
				r.finished[id] += times
			}
		}
		r.mu.Unlock()
	}
	return nil
}

func TestMaxChannelConsumersHoldsUnderConcurrentSubs(t *testing.T) {
	const limit, clients = 3, 20
	opts := nsqtest.Options(t)
	opts.MaxChannelConsumers = limit
	n := nsqtest.Start(t, opts)
	for range 5000 { // without a network between, they meet more often
		if got := n.Join("t", "c", clients); got != limit {
			t.Fatalf("%d consumers were accepted, want %d", got, limit)
		}
	}
	for round := range 10 {
		channel := fmt.Sprint("c", round)
		refused := frame{wire.FrameError, fmt.Sprintf("E_SUB_FAILED SUB failed consumers for t:%s exceeds limit of %d", channel, limit)}
		var accepted atomic.Int32
		var answered sync.WaitGroup
		all := make([]*rawClient, clients)
		for i := range all {
			all[i] = dialRaw(t, n)
			all[i].sync() // it is served already
		}
		for _, c := range all { // from here on the broker's goroutines race
			c.send(wire.AppendSub(nil, "t", channel))
		}
		for _, c := range all {
			answered.Go(func() {
				switch f, err := c.tryNext(); f {
				case ok:
					accepted.Add(1)
				case refused:
				default:
					t.Errorf("SUB was answered with %v, %v", f, err)
				}
			})
		}
		answered.Wait()
		if got := accepted.Load(); got != limit {
			t.Errorf("%d consumers were accepted, want %d", got, limit)
		}
		for _, c := range all {
			c.close()
		}
		if round > 0 {
			continue
		}
		nsqtest.Eventually(t, "those who leave make room", func() bool {
			c := dialRaw(t, n)
			defer c.close()
			c.send(wire.AppendSub(nil, "t", channel))
			return c.next() == ok
		})
	}
}

func TestDeferredMessagesKeepTheirDueTimeAcrossRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		p := b.dial()
		c := b.dial()
		c.consume("t", "c", 10)
		p.pub("t", "requeued")
		requeued := c.wantMessage("requeued", 1)

		start := time.Now()
		p.dpub("t", 10*time.Second, "deferred")
		p.dpub("t", time.Hour, "much later")
		p.dpub("alone", 20*time.Second, "no channel yet")
		p.mpub("t", "at once")
		c.fin(c.wantMessage("at once", 1))
		c.req(requeued, 15*time.Second)
		c.sync()
		b.wantCounts("t", "c", nsqd.Counts{Deferred: 3})

		b = b.restart(4 * time.Second)
		b.wantCounts("t", "c", nsqd.Counts{Deferred: 3})
		c = b.dial()
		c.consume("t", "c", 10)
		b = b.restart(2 * time.Second) // a second restart changes nothing either
		c = b.dial()
		c.consume("t", "c", 10)
		m := c.wantMessage("deferred", 1)
		wantDue(t, "the deferred message came", start, 10*time.Second)
		c.fin(m)
		m = c.wantMessage("requeued", 2)
		wantDue(t, "the requeued message came", start, 15*time.Second)
		c.fin(m)
		if m.ID != requeued.ID || m.Timestamp != requeued.Timestamp {
			t.Errorf("after the restart it is %s of %d, before it was %s of %d", m.ID, m.Timestamp, requeued.ID, requeued.Timestamp)
		}

		// In a topic without channel the deferral starts when one appears.
		subscribed := time.Now()
		c2 := b.dial()
		c2.consume("alone", "first", 1)
		c2.fin(c2.wantMessage("no channel yet", 1))
		wantDue(t, "the message without a channel came", subscribed, 20*time.Second)

		c.fin(c.wantMessage("much later", 1))
		wantDue(t, "the message of an hour came", start, time.Hour)
		c.sync()
		b.wantCounts("t", "c", nsqd.Counts{})
	})
}

// A message that became due while the broker was down comes at once, and only
// then.
func TestDeferredMessagesThatBecameDueWhileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.createChannel("t", "c")
		b.dial().dpub("t", 5*time.Second, "m")
		synctest.Wait()
		b = b.restart(time.Minute)
		start := time.Now()
		c := b.dial()
		c.consume("t", "c", 1)
		c.wantMessage("m", 1)
		wantDue(t, "it came", start, 0)
	})
}

func TestDeferralSurvivesTopicOverflow(t *testing.T) {
	for _, memQueueSize := range []int64{0, 1, 3} {
		for _, channelFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("mem-queue-size %d, channel first %v", memQueueSize, channelFirst), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := nsqtest.Options(t)
					opts.MemQueueSize = memQueueSize
					b := startInBubble(t, opts)
					if channelFirst {
						b.createChannel("t", "c")
					}
					start := time.Now()
					p := b.dial()
					for i := range 6 {
						p.pub("t", fmt.Sprint("now", i))
						p.dpub("t", 3*time.Second, fmt.Sprint("later", i))
					}
					c := b.dial()
					c.consume("t", "c", 100)
					if got, want := c.take(6), bodies("now", 6); !slices.Equal(got, want) {
						t.Errorf("first %q, want %q", got, want)
					}
					wantDue(t, "what is not deferred came", start, 0)
					got := c.take(6)
					wantDue(t, "what is deferred came", start, 3*time.Second)
					slices.Sort(got)
					if want := bodies("later", 6); !slices.Equal(got, want) {
						t.Errorf("then %q, want %q", got, want)
					}
				})
			})
		}
	}
}

// A data path of classic software has no files of deferred messages.
func TestDataPathWithoutDeferredFiles(t *testing.T) {
	n := nsqtest.Start(t, nil)
	p := dialRaw(t, n)
	p.sub("t", "c")
	p.mpub("t", bodies("m", 5)...)
	p.mpub("alone", bodies("m", 5)...)
	p.dpub("t", time.Hour, "deferred")
	p.dpub("alone", time.Hour, "deferred")
	nsqtest.Eventually(t, "the channel has its copies", func() bool {
		counts, _ := n.ChannelCounts("t", "c")
		return counts == nsqd.Counts{Depth: 5, Deferred: 1}
	})
	n.Stop()
	files, err := filepath.Glob(filepath.Join(n.Opts.DataPath, "*.deferred.dat"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files of deferred messages: %q, %v; want two", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}

	n = n.Restart()
	for _, topic := range []string{"t", "alone"} {
		c := dialRaw(t, n)
		c.consume(topic, "c", 10)
		if got, want := c.take(5), bodies("m", 5); !slices.Equal(got, want) {
			t.Errorf("%s gave %q, want %q", topic, got, want)
		}
		c.sync()
		if counts, _ := n.ChannelCounts(topic, "c"); counts != (nsqd.Counts{}) {
			t.Errorf("%s:c has %+v left", topic, counts)
		}
	}
	n.Stop()
	if files, err := filepath.Glob(filepath.Join(n.Opts.DataPath, "*.deferred.dat")); err != nil || len(files) != 0 {
		t.Errorf("without deferred messages there are %q, %v", files, err)
	}
}

// A scan that looks at some channels only, or at each of them in turn, is late with a few hundred.
func TestTimeoutsAreMetWithManyChannels(t *testing.T) {
	const channels = 500
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MsgTimeout = 100 * time.Millisecond
		b := startInBubble(t, opts)
		idle := make([]*rawClient, channels)
		for i := range idle {
			idle[i] = b.dial()
			idle[i].sub("t", fmt.Sprint("c", i))
		}
		b.dial().pub("t", "m")

		var running sync.WaitGroup
		for i, c := range idle {
			running.Go(func() {
				<-time.After(time.Duration(i) * time.Millisecond) // so that deadlines are everywhere
				if err := answerLate(c, opts.MsgTimeout); err != nil {
					t.Errorf("channel %d: %v", i, err)
				}
			})
		}
		// One that is new among many is on time, too.
		running.Go(func() {
			<-time.After(channels / 2 * time.Millisecond)
			c := b.dial()
			c.trySend(wire.AppendSub(nil, "fresh", "c"))
			if f, err := c.tryNext(); f != ok {
				t.Errorf("SUB was answered with %v, %v", f, err)
				return
			}
			c.trySend(wire.AppendPub(nil, "fresh", []byte("m")))
			if f, err := c.tryNext(); f != ok {
				t.Errorf("PUB was answered with %v, %v", f, err)
				return
			}
			if err := answerLate(c, opts.MsgTimeout); err != nil {
				t.Errorf("fresh channel: %v", err)
			}
		})
		running.Wait()
	})
}

// answerLate receives a message, lets it time out, requeues it with some delay,
// and finishes it at last. It reports what comes too early or too late.
func answerLate(c *rawClient, timeout time.Duration) error {
	if err := c.trySend(wire.AppendRdy(nil, 1)); err != nil {
		return err
	}
	delay := time.Duration(rand.IntN(1000)) * time.Millisecond
	var last time.Time
	for attempt, wait := range []time.Duration{0, timeout, timeout, delay} {
		f, err := c.tryNext()
		if err != nil {
			return err
		}
		m, err := wire.ParseMessage([]byte(f.data))
		if err != nil || f.kind != wire.FrameMessage || int(m.Attempts) != attempt+1 {
			return fmt.Errorf("got %v, %v, want attempt %d", f, err, attempt+1)
		}
		if took := time.Since(last); attempt > 0 && (took < wait || took > wait+late) {
			return fmt.Errorf("attempt %d came after %v, want %v", attempt+1, took, wait)
		}
		last = time.Now()
		switch attempt {
		case 2:
			err = c.trySend(wire.AppendReq(nil, m.ID, delay))
		case 3:
			err = c.trySend(wire.AppendFin(nil, m.ID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// On the fake clock whatever waits for a timer takes time, and nothing else
// does.
func TestNothingRestsInAnOutputBuffer(t *testing.T) {
	for _, identify := range []string{
		`{}`,
		`{"output_buffer_timeout":-1}`,
		`{"output_buffer_size":65536,"output_buffer_timeout":30000}`,
		`{"output_buffer_size":65536,"output_buffer_timeout":-1}`,
		`{"output_buffer_size":64,"output_buffer_timeout":30000}`,
		`{"output_buffer_size":-1}`,
	} {
		t.Run(identify, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startInBubble(t, nil)
				p, c := b.dial(), b.dial()
				c.identify(identify)
				c.consume("t", "c", 100)
				synctest.Wait()
				start := time.Now()
				for i := range 30 {
					body := strings.Repeat("x", 1+i*i)
					p.pub("t", body)
					c.wantMessage(body, 1) // not finished: RDY has room for more all the time
				}
				p.mpub("t", bodies("m", 5)...)
				c.take(5)
				if took := time.Since(start); took != 0 {
					t.Errorf("messages waited %v in all", took)
				}
			})
		})
	}
}

// TestPublishFailureSaysWhy takes the disk away and gives it back.
func TestPublishFailureSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		inPlace func(path string) error
		why     string
	}{
		"directory gone":  {func(string) error { return nil }, "no such file or directory"},
		"a file in place": {func(path string) error { return os.WriteFile(path, nil, 0o600) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.MemQueueSize = 0
			opts.DataPath = filepath.Join(opts.DataPath, "data")
			if err := os.Mkdir(opts.DataPath, 0o700); err != nil {
				t.Fatal(err)
			}
			opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
			n := nsqtest.Start(t, opts)
			away := opts.DataPath + ".away"
			if err := errors.Join(os.Rename(opts.DataPath, away), tc.inPlace(opts.DataPath)); err != nil {
				t.Fatal(err)
			}
			for _, publish := range []struct {
				command []byte
				prefix  string
			}{
				{wire.AppendPub(nil, "t", []byte("lost")), "E_PUB_FAILED PUB failed "},
				{wire.AppendMPub(nil, "t", byteSlices(bodies("lost", 3))), "E_MPUB_FAILED MPUB failed "},
			} {
				c := dialRaw(t, n)
				c.send(publish.command)
				f := c.next()
				if f.kind != wire.FrameError || !strings.HasPrefix(f.data, publish.prefix) || !strings.Contains(f.data, tc.why) ||
					strings.Contains(f.data, "exiting") || strings.Contains(f.data, "\n") {
					t.Errorf("got %v, want one line %q and %q", f, publish.prefix, tc.why)
				}
				c.wantClosed()
			}
			dialRaw(t, n).sync() // what needs no disk goes on
			c := dialRaw(t, n)
			c.consume("t", "c", 10)

			if err := errors.Join(os.RemoveAll(opts.DataPath), os.Rename(away, opts.DataPath)); err != nil {
				t.Fatal(err)
			}
			p := dialRaw(t, n)
			p.pub("t", "kept")
			p.mpub("t", bodies("kept", 3)...)
			if got, want := c.take(4), append([]string{"kept"}, bodies("kept", 3)...); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if n.Restart(); t.Failed() {
				return
			}
		})
	}
}

// TestMPUBIsNeverHalfStored takes the disk away between publishes, so that a
// batch may begin in a file that is open and fail at the next one.
func TestMPUBIsNeverHalfStored(t *testing.T) {
	for _, memQueueSize := range []int64{0, 3, 10} {
		t.Run(fmt.Sprint("mem-queue-size ", memQueueSize), func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.MemQueueSize = memQueueSize
			opts.MaxBytesPerFile = 300
			opts.DataPath = filepath.Join(opts.DataPath, "data")
			if err := os.Mkdir(opts.DataPath, 0o700); err != nil {
				t.Fatal(err)
			}
			opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
			n := nsqtest.Start(t, opts)
			var want []string
			accepted := map[bool]int{}
			publish := func(name string, count int) {
				t.Helper()
				list := bodies(name+".", count)
				c := dialRaw(t, n)
				defer c.close()
				c.send(wire.AppendMPub(nil, "t", byteSlices(list)))
				f := c.next()
				if f == ok {
					want = append(want, list...)
				} else if f.kind != wire.FrameError || !strings.HasPrefix(f.data, "E_MPUB_FAILED ") {
					t.Fatalf("got %v", f)
				}
				accepted[f == ok]++
			}
			publish("before", 20)
			away := opts.DataPath + ".away"
			for round := range 8 {
				if err := os.Rename(opts.DataPath, away); err != nil {
					t.Fatal(err)
				}
				publish(fmt.Sprint("begun", round), 12) // may begin in the open file
				publish(fmt.Sprint("without", round), 4)
				if err := os.Rename(away, opts.DataPath); err != nil {
					t.Fatal(err)
				}
				publish(fmt.Sprint("after", round), round+1)
			}
			if accepted[false] == 0 {
				t.Error("nothing was refused")
			}

			c := dialRaw(t, n)
			c.consume("t", "c", 1000)
			got := c.take(len(want))
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			c.sync()
			if counts, _ := n.ChannelCounts("t", "c"); counts != (nsqd.Counts{}) {
				t.Errorf("there is more: %+v", counts)
			}
		})
	}
}

// TestMetadataIsNotWrittenUnderALockPublishersNeed stops a write of the
// metadata in the middle, for as long as it takes to publish, consume and create
// topics.
func TestMetadataIsNotWrittenUnderALockPublishersNeed(t *testing.T) {
	opts := nsqtest.Options(t)
	gate := &gateHandler{message: "persisting topic/channel metadata", stopped: make(chan struct{}), resume: make(chan struct{})}
	opts.Logger = slog.New(gate)
	n := nsqtest.Start(t, opts)
	p, c := dialRaw(t, n), dialRaw(t, n)
	c.consume("before", "c", 10)

	gate.armed.Store(true)
	p.pub("new", "m")
	<-gate.stopped // the write that follows the creation
	resume := sync.OnceFunc(func() { close(gate.resume) })
	defer resume()
	for i := range 100 {
		p.pub(fmt.Sprint("topic", i), "m")
		p.pub("before", "m")
		c.fin(c.wantMessage("m", 1))
	}
	resume()
	c2 := dialRaw(t, n)
	c2.consume("new", "new", 1)
	c2.fin(c2.wantMessage("m", 1))

	nsqtest.Eventually(t, "the metadata names every topic", func() bool {
		data, err := os.ReadFile(filepath.Join(opts.DataPath, "nsqd.dat"))
		for i := range 100 {
			if err != nil || !strings.Contains(string(data), fmt.Sprintf(`"name":"topic%d"`, i)) {
				return false
			}
		}
		return true
	})
}

// TestMetadataIsWrittenOnceTheDiskIsBack creates a topic while the data path is
// away. Nothing else changes after that.
func TestMetadataIsWrittenOnceTheDiskIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.DataPath = filepath.Join(opts.DataPath, "data")
		if err := os.Mkdir(opts.DataPath, 0o700); err != nil {
			t.Fatal(err)
		}
		opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
		b := startInBubble(t, opts)
		away := opts.DataPath + ".away"
		if err := os.Rename(opts.DataPath, away); err != nil {
			t.Fatal(err)
		}
		b.dial().pub("t", "m")
		<-time.After(10 * time.Second)
		if err := os.Rename(away, opts.DataPath); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		data, err := os.ReadFile(filepath.Join(opts.DataPath, "nsqd.dat"))
		if err != nil || !strings.Contains(string(data), `"name":"t"`) {
			t.Errorf("nsqd.dat holds %s, %v", data, err)
		}
	})
}

// A gateHandler discards log records, and once armed holds up the first with a
// certain message.
type gateHandler struct {
	message string
	armed   atomic.Bool
	stopped chan struct{} // closed when one is held up
	resume  chan struct{}
}

func (h *gateHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *gateHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *gateHandler) WithGroup(string) slog.Handler            { return h }

func (h *gateHandler) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.message) && h.armed.CompareAndSwap(true, false) {
		close(h.stopped)
		<-h.resume
	}
	return nil
}

func TestPanicInOneConnectionEndsThatConnectionOnly(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	n.PanicOn("READ", "WRITE")
	other := dialRaw(t, n)
	other.sub("t", "c")

	c := dialRaw(t, n)
	c.pub("t", "m")
	c.consume("t", "c", 1)
	c.wantMessage("m", 1)
	c.sendf("READ\n")
	c.wantClosed()
	other.rdy(1)
	m := other.wantMessage("m", 2) // what it had in flight goes to others
	nsqtest.Eventually(t, "the panic is counted", func() bool { return n.Panics() == 1 })

	c = dialRaw(t, n)
	c.sendf("WRITE\n")
	c.wantClosed()
	nsqtest.Eventually(t, "the panic is counted", func() bool { return n.Panics() == 2 })

	other.fin(m)
	other.sync()
	dialRaw(t, n).sync()
}
