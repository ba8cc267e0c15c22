package nsqd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestMessagesOfAVanishedClientComeBackAtOnce(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		b := startInBubble(t, opts)
		b.dial().mpub("t", bodies("m", 5)...)
		first := b.dial()
		first.consume("t", "c", 4)
		for i := range 4 {
			first.wantMessage(fmt.Sprint("m", i), 1)
		}
		start := time.Now()
		first.close()
		synctest.Wait()
		b.wantCounts("t", "c", nsqd.Counts{Depth: 5})
		second := b.dial()
		second.consume("t", "c", 5)
		second.wantMessage("m4", 1)
		for i := range 4 {
			second.wantMessage(fmt.Sprint("m", i), 2)
		}
		wantDue(t, "they came back", start, 0)
	})
}

func TestTimedOutMessagesComeAgain(t *testing.T) {
	for identify, timeout := range map[string]time.Duration{
		`{}`:                     time.Minute,
		`{"msg_timeout":1000}`:   time.Second,
		`{"msg_timeout":900000}`: 15 * time.Minute,
	} {
		inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
			b := startInBubble(t, opts)
			c := b.dial()
			c.identify(identify)
			c.consume("t", "c", 1)
			b.dial().pub("t", "m")
			start := time.Now()
			for attempt := range uint16(5) {
				m := c.wantMessage("m", attempt+1)
				wantDue(t, fmt.Sprintf("with %s attempt %d came", identify, attempt+1), start, time.Duration(attempt)*timeout)
				start = time.Now().Add(-time.Duration(attempt) * timeout)
				if attempt == 4 {
					c.fin(m)
				}
			}
			c.wantNothing(2 * timeout)
			b.wantCounts("t", "c", nsqd.Counts{})
		})
	}
}

// What timed out is no longer the client's, even while it waits for another.
func TestTimedOutMessageIsNotInFlight(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		b := startInBubble(t, opts)
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().pub("t", "m")
		m := c.wantMessage("m", 1)
		c.rdy(0)
		c.wantNothing(time.Minute + late)
		c.fin(m)
		c.wantError(fmt.Sprintf("E_FIN_FAILED FIN %s failed ID not in flight", m.ID))
		b.wantCounts("t", "c", nsqd.Counts{Depth: 1})
		c.rdy(1)
		c.wantMessage("m", 2)
	})
}

func TestTouchExtendsUpToMaxMsgTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		opts.MsgTimeout = 2 * time.Second
		opts.MaxMsgTimeout = 5 * time.Second
		b := startInBubble(t, opts)
		c := b.dial()
		c.consume("t", "c", 2)
		b.dial().mpub("t", "touched", "touched once")
		start := time.Now()
		touched := c.wantMessage("touched", 1)
		once := c.wantMessage("touched once", 1)
		c.wantNothing(1500 * time.Millisecond)
		c.touch(touched)
		c.touch(once)
		c.wantNothing(1500 * time.Millisecond)
		c.touch(touched)
		c.fin(c.wantMessage("touched once", 2))
		wantDue(t, "what was touched after 1.5 s came", start, 3500*time.Millisecond)
		c.touch(touched)
		c.wantNothing(1400 * time.Millisecond)
		c.touch(touched) // succeeds and changes nothing
		m := c.wantMessage("touched", 2)
		wantDue(t, "what was touched often came", start, 5*time.Second)

		// The next delivery has a maximum of its own.
		start = time.Now()
		c.wantNothing(1900 * time.Millisecond)
		c.touch(m)
		c.fin(c.wantMessage("touched", 3))
		wantDue(t, "what was touched again came", start, 3900*time.Millisecond)
	})
}

// --max-msg-timeout bounds what clients ask for, not --msg-timeout itself.
func TestTouchNeverShortensATimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		opts.MsgTimeout = 5 * time.Second
		opts.MaxMsgTimeout = 2 * time.Second
		b := startInBubble(t, opts)
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().pub("t", "m")
		start := time.Now()
		m := c.wantMessage("m", 1)
		c.wantNothing(time.Second)
		c.touch(m)
		c.wantMessage("m", 2)
		wantDue(t, "it came", start, 5*time.Second)
	})
}

func TestRDYIsALimitOfMessagesInFlight(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		b := startInBubble(t, opts)
		b.dial().mpub("t", bodies("m", 20)...)
		c := b.dial()
		c.sub("t", "c")
		var held []wire.Message
		next := 0
		receive := func(n int) {
			t.Helper()
			for range n {
				held = append(held, c.wantMessage(fmt.Sprint("m", next), 1))
				next++
			}
			c.wantNothing(time.Second)
		}
		fin := func(n int) {
			t.Helper()
			for range n {
				c.fin(held[0])
				held = held[1:]
			}
		}
		receive(0)
		c.rdy(3)
		receive(3)
		c.rdy(3)
		receive(0)
		fin(1)
		receive(1)
		c.rdy(5)
		receive(2)
		c.rdy(2) // less than are in flight
		fin(3)
		receive(0)
		fin(1)
		receive(1)
		c.rdy(0)
		fin(2)
		receive(0)
		c.rdy(2500)
		receive(13)
		b.wantCounts("t", "c", nsqd.Counts{InFlight: 13})
	})
}

func TestREQFreesRoom(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		b := startInBubble(t, opts)
		b.dial().mpub("t", "a", "b")
		c := b.dial()
		c.consume("t", "c", 1)
		a := c.wantMessage("a", 1)
		start := time.Now()
		c.req(a, 10*time.Second)
		c.fin(c.wantMessage("b", 1))
		wantDue(t, "the other one came", start, 0)
		c.wantMessage("a", 2)
		wantDue(t, "the requeued one came", start, 10*time.Second)
	})
}

func TestREQIsClampedToMaxReqTimeout(t *testing.T) {
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
		b := startInBubble(t, opts)
		b.dial().pub("t", "m")
		c := b.dial()
		c.consume("t", "c", 1)
		m := c.wantMessage("m", 1)
		start := time.Now()
		c.sendf("REQ %s 9223372036854775807\n", m.ID)
		c.wantMessage("m", 2)
		wantDue(t, "it came", start, time.Hour)
	})
}

func TestAfterCLSNothingIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		p := b.dial()
		p.mpub("t", bodies("m", 3)...)
		c := b.dial()
		c.consume("t", "c", 2)
		m := c.wantMessage("m0", 1)
		c.wantMessage("m1", 1)
		c.send(wire.AppendCls(nil))
		c.want(frame{wire.FrameResponse, wire.CloseWait})
		c.fin(m)
		p.pub("t", "m3")
		c.rdy(10)
		c.wantNothing(10 * time.Minute) // m1 times out, the connection stays
		b.wantCounts("t", "c", nsqd.Counts{Depth: 3})
	})
}

// One consumer sees what one publisher published in its order, wherever it
// waited.
func TestOrderIsKept(t *testing.T) {
	for _, memQueueSize := range []int64{0, 3, 100, 10000} {
		t.Run(fmt.Sprint("mem-queue-size ", memQueueSize), func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.MemQueueSize = memQueueSize
			opts.MaxBytesPerFile = 2000
			n := nsqtest.Start(t, opts)
			p, c := dialRaw(t, n), dialRaw(t, n)
			published := 0
			publish := func(count int) {
				t.Helper()
				for end := published + count; published < end; {
					batch := bodies("", published+min(20, end-published))[published:]
					published += len(batch)
					if rand.IntN(2) == 0 {
						p.mpub("t", batch...)
						continue
					}
					var commands []byte
					for _, body := range batch {
						commands = wire.AppendPub(commands, "t", []byte(body))
					}
					p.send(commands)
					for range batch {
						p.want(ok)
					}
				}
			}
			publish(300) // wait in the topic
			c.sub("t", "c")
			publish(300) // wait in the channel, or in the topic behind the others
			c.rdy(20)
			got := c.take(100)
			publish(300) // come while others are taken
			c.rdy(200)
			got = append(got, c.take(published-100)...)
			if want := bodies("", published); !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestMessageIDs(t *testing.T) {
	const publishers, messages = 8, 500
	opts := nsqtest.Options(t)
	opts.ID = 617
	n := nsqtest.Start(t, opts)
	c, copies := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 2500)
	copies.consume("t", "copies", 2500)
	var running sync.WaitGroup
	for i := range publishers {
		p := dialRaw(t, n)
		running.Go(func() {
			for j := 0; j < messages; j += 5 {
				commands := wire.AppendMPub(nil, "t", byteSlices(bodies("", 3)))
				commands = wire.AppendPub(commands, "t", []byte("a"))
				commands = wire.AppendDPub(commands, "t", 0, []byte{byte(i)})
				if err := p.trySend(commands); err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					if f, err := p.tryNext(); f != ok {
						t.Errorf("got %v, %v", f, err)
						return
					}
				}
			}
		})
	}
	ids := make(map[[wire.MessageIDLen]byte]bool)
	for range publishers * messages {
		m := c.message()
		c.fin(m)
		if ids[m.ID] {
			t.Fatalf("id %s came twice", m.ID)
		}
		ids[m.ID] = true
		id, valid := wire.ParseID(m.ID[:])
		if !valid {
			t.Fatalf("id %s is not one of ours", m.ID)
		}
		if node := id >> 12 & 1023; node != 617 {
			t.Fatalf("id %s has node %d, want 617", m.ID, node)
		}
		at := time.Unix(0, int64(id>>22+1288834974288)<<20)
		if off := at.Sub(time.Unix(0, m.Timestamp)).Abs(); off > 10*time.Second {
			t.Fatalf("id %s is of %v, its message of %v", m.ID, at, time.Unix(0, m.Timestamp))
		}
		if age := time.Since(time.Unix(0, m.Timestamp)); age < 0 || age > time.Minute {
			t.Fatalf("the timestamp is %v old", age)
		}
	}
	for range publishers * messages {
		m := copies.message()
		copies.fin(m)
		if !ids[m.ID] {
			t.Fatalf("id %s is on one channel only", m.ID)
		}
		delete(ids, m.ID)
	}
	running.Wait()
}

// What comes back while the disk fails is kept in memory, and the consumer is
// served on: by REQ, by a time-out, and by the end of the connection.
func TestReturnedMessagesSurviveAFailingDisk(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 0
	opts.MaxBytesPerFile = 1 // each message has a file, so that none is open already
	opts.Logger = slog.New(slog.DiscardHandler)
	n := nsqtest.Start(t, opts)
	c := dialRaw(t, n)
	c.identify(`{"msg_timeout":1000}`)
	c.consume("t", "c", 1)
	dialRaw(t, n).pub("t", "m")
	m := c.wantMessage("m", 1)
	inTheWay := filepath.Join(opts.DataPath, "t:c.diskqueue.000001.dat")
	makeDir(t, inTheWay)

	c.req(m, 0)
	c.wantMessage("m", 2) // and times out
	if health := newAPI(t, n).stats("").Health; health == "OK" {
		t.Fatal("the disk does not fail")
	}
	c.wantMessage("m", 3)
	c.close()
	c = dialRaw(t, n)
	c.consume("t", "c", 1)
	c.fin(c.wantMessage("m", 4))
	c.sync()
	if counts, _ := n.ChannelCounts("t", "c"); counts != (nsqd.Counts{}) {
		t.Errorf("after FIN the channel has %+v", counts)
	}
	if err := os.Remove(inTheWay); err != nil && !errors.Is(err, fs.ErrNotExist) { // a queue that is empty removes its files
		t.Fatal(err)
	}
}

// Replies to commands that came together leave together.
func TestRepliesToPipelinedCommandsShareWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		client, server := net.Pipe()
		recorder := &recordingConn{Conn: server}
		b.listener.Offer(recorder)
		c := newRawClient(t, client, bubblePatience)
		c.send([]byte(wire.MagicV2))
		var commands []byte
		const publishes = 500
		for range publishes {
			commands = wire.AppendPub(commands, "t", []byte("m"))
		}
		go c.trySend(commands) // a pipe has no buffer
		for range publishes {
			c.want(ok)
		}
		recorder.mu.Lock()
		defer recorder.mu.Unlock()
		if writes := len(recorder.writes); writes > publishes/50 {
			t.Errorf("%d replies took %d writes", publishes, writes)
		}
	})
}

func TestSampleRate(t *testing.T) {
	const messages = 4000
	for rate, bounds := range map[int][2]int{ // six standard deviations around what is expected
		0:  {messages, messages},
		1:  {2, 78},
		50: {1810, 2190},
		99: {3922, 3998},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, nil)
			b.dial().mpub("t", bodies("m", messages)...)
			c := b.dial()
			c.identify(fmt.Sprintf(`{"sample_rate":%d}`, rate))
			c.consume("t", "c", 100)
			got := 0
			for {
				f, err := c.tryFrame(time.Second)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				m, perr := wire.ParseMessage([]byte(f.data))
				if err := errors.Join(err, perr); err != nil {
					t.Fatal(err)
				}
				c.fin(m)
				got++
			}
			if got < bounds[0] || got > bounds[1] {
				t.Errorf("at rate %d %d of %d came, want %d to %d", rate, got, messages, bounds[0], bounds[1])
			}
			b.wantCounts("t", "c", nsqd.Counts{}) // the others are gone for the channel
		})
	}
}

// TestPipelinedPublishesOfEverySize lets commands end anywhere in the broker's
// read buffer: all sizes up to 4 KiB, all around that of the buffer and of two
// buffers, and of the others up to 40,000 one in eight, each time other ones.
func TestPipelinedPublishesOfEverySize(t *testing.T) {
	var sizes []int
	for size := 1; size <= 40000; size++ {
		if size <= 4096 || size > 16200 && size < 16500 || size > 32600 && size < 32900 || size == 40000 || rand.IntN(8) == 0 {
			sizes = append(sizes, size)
		}
	}
	rand.Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
	noise := make([]byte, 41000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	body := func(i int) []byte { return noise[i%1000:][:sizes[i]] }

	n := nsqtest.Start(t, nil)
	p, c := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 1000)
	var running sync.WaitGroup
	running.Go(func() {
		var buf []byte
		for i := range sizes {
			buf = wire.AppendPub(buf, "t", body(i))
			if len(buf) > 100_000 || i == len(sizes)-1 {
				if err := p.trySend(buf); err != nil {
					t.Error(err)
					return
				}
				buf = buf[:0]
			}
		}
	})
	running.Go(func() {
		for range sizes {
			if f, err := p.tryNext(); f != ok {
				t.Errorf("PUB was answered with %v, %v", f, err)
				return
			}
		}
	})
	for i := range sizes {
		m := c.message()
		if !bytes.Equal(m.Body, body(i)) {
			t.Fatalf("message %d of %d bytes arrived with %d and other content", i, sizes[i], len(m.Body))
		}
		c.fin(m)
	}
	running.Wait()
}

// What a topic takes whole, consumers get whole, up to the largest message.
func TestLargestMessage(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 1
	n := nsqtest.Start(t, opts)
	p, c := dialRaw(t, n), dialRaw(t, n)
	large := strings.Repeat("0123456789abcdef", int(opts.MaxMsgSize)/16)
	p.pub("t", large)
	p.dpub("t", 0, large)
	p.mpub("t", large, "small", large)
	c.consume("t", "c", 10)
	for _, want := range []string{large, large, large, "small", large} {
		if m := c.message(); string(m.Body) != want {
			t.Errorf("a message of %d bytes arrived with %d", len(want), len(m.Body))
		}
	}
	if _, err := io.WriteString(c.conn, "NOP\n"); err != nil {
		t.Error(err)
	}
}

// Mistakes of clients are routine: an error in the log is something that an
// operator should look into.
func TestMistakesOfClientsAreNoErrorsInTheLog(t *testing.T) {
	var log loggingtest.Buffer
	opts := nsqtest.Options(t)
	opts.Logger = log.Logger(slog.LevelWarn)
	n := nsqtest.Start(t, opts)
	connect(t, n.RealTCPAddr()).close() // a port probe
	dialRaw(t, n).close()
	cut := dialRaw(t, n)
	cut.sendf("PUB t\n")
	cut.close()
	c := dialRaw(t, n)
	c.consume("t", "c", 1)
	c.sendf("FIN 0123456789abcdef\n") // late
	c.wantError("E_FIN_FAILED FIN 0123456789abcdef failed ID not in flight")
	if n.Stop(); strings.Contains(log.String(), "FIN") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says %s", log.String())
	}

	n = n.Restart()
	c = dialRaw(t, n)
	c.sendf("PUB $\n")
	c.wantError(`E_BAD_TOPIC PUB topic name "$" is not valid`)
	if n.Stop(); !strings.Contains(log.String(), "level=WARN") || strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("the log says %s", log.String())
	}
}

// A frame that says its cause is not followed by it in the log.
func TestCausesAreLoggedOnce(t *testing.T) {
	var log loggingtest.Buffer
	opts := nsqtest.Options(t)
	opts.MaxChannelConsumers = 1
	opts.Logger = log.Logger(slog.LevelWarn)
	n := nsqtest.Start(t, opts)
	dialRaw(t, n).sub("t", "c")
	c := dialRaw(t, n)
	c.sendf("SUB t c\n")
	c.wantError("E_SUB_FAILED SUB failed consumers for t:c exceeds limit of 1")
	c = dialRaw(t, n)
	c.sendf("IDENTIFY\n\x00\x00\x00\x01{")
	c.wantError("E_BAD_BODY IDENTIFY failed to decode JSON body")
	n.Stop()
	for _, line := range []string{
		`E_SUB_FAILED SUB failed consumers for t:c exceeds limit of 1"`,
		`E_BAD_BODY IDENTIFY failed to decode JSON body - unexpected end of JSON input"`,
	} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log has no line with %s: %s", line, log.String())
		}
	}
}
