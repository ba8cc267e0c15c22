package nsqd_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Four producers, four consumers on each of two channels that die at random:
// every message arrives on each channel, unaltered.
func TestNothingIsLostWhileConsumersDie(t *testing.T) {
	for name, memQueueSize := range map[string]int64{"in memory": 10000, "through the disk": 100} {
		t.Run(name, func(t *testing.T) {
			messages := 200_000
			if memQueueSize < 10000 {
				messages = 40_000
			}
			opts := nsqtest.Options(t)
			opts.MemQueueSize = memQueueSize
			stress(t, nsqtest.Start(t, opts), messages)
		})
	}
	t.Run("durable", func(t *testing.T) {
		stress(t, nsqtest.Start(t, durableOptions(t)), 100_000)
	})
}

func stress(t *testing.T, d *nsqtest.NSQD, messages int) {
	const producers, consumers = 4, 4
	channels := []*receipts{newReceipts("a", messages), newReceipts("b", messages)}
	var wg sync.WaitGroup
	for _, r := range channels {
		// The channel exists before anything is published.
		conn := mustDial(t, d)
		conn.Write(wire.AppendSub([]byte(wire.MagicV2), "stress", r.channel))
		if _, data, err := wire.ReadFrame(conn, nil, 0); err != nil || string(data) != wire.OK {
			t.Fatalf("SUB answered %q, %v", data, err)
		}
		conn.Close()
		for range consumers {
			wg.Go(func() {
				for !r.complete() {
					if err := r.consume(d.TCPAddr(), 1+rand.IntN(messages/20)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	for p := range producers {
		wg.Go(func() {
			if err := produce(d.TCPAddr(), p*messages/producers, (p+1)*messages/producers); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, r := range channels {
		t.Logf("channel %s: %d distinct of %d messages, %d deliveries", r.channel, r.distinct.Load(), messages, r.deliveries.Load())
	}
}

// produce publishes the numbered messages from up to to, in pipelined PUBs and
// MPUBs, and waits for every answer.
func produce(addr string, from, to int) error {
	conn, err := dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.Write([]byte(wire.MagicV2))
	br := bufio.NewReader(conn)
	for from < to {
		n := min(1+rand.IntN(200), to-from)
		var bodies [][]byte
		for i := range n {
			bodies = append(bodies, numberedBody(from+i))
		}
		from += n
		var b []byte
		answers := 1
		if rand.IntN(2) == 0 {
			b = wire.AppendMPub(nil, "stress", bodies)
		} else {
			answers = n
			for _, body := range bodies {
				b = wire.AppendPub(b, "stress", body)
			}
		}
		if _, err := conn.Write(b); err != nil {
			return err
		}
		for answers > 0 {
			_, data, err := wire.ReadFrame(br, nil, 0)
			switch {
			case err != nil || string(data) != wire.OK && string(data) != wire.Heartbeat:
				return fmt.Errorf("publish answered %q, %v", data, err)
			case string(data) == wire.OK:
				answers--
			default: // a slow machine takes longer than a heartbeat's interval
				conn.Write(wire.AppendNop(nil))
			}
		}
	}
	return nil
}

// numberedBody returns a body of random length that carries its number and a
// checksum.
func numberedBody(n int) []byte {
	b := make([]byte, 8+rand.IntN(200))
	binary.BigEndian.PutUint64(b, uint64(n))
	for i := 8; i < len(b); i++ {
		b[i] = byte(rand.Uint32())
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// receipts notes what arrived on one channel.
type receipts struct {
	channel    string
	seen       []atomic.Bool
	distinct   atomic.Int64
	deliveries atomic.Int64
}

func newReceipts(channel string, messages int) *receipts {
	return &receipts{channel: channel, seen: make([]atomic.Bool, messages)}
}

func (r *receipts) complete() bool { return r.distinct.Load() == int64(len(r.seen)) }

// note checks a body and reports whether it is intact.
func (r *receipts) note(body []byte) error {
	sum := len(body) - 4
	if sum < 8 || crc32.ChecksumIEEE(body[:sum]) != binary.BigEndian.Uint32(body[sum:]) {
		return fmt.Errorf("corrupt message of %d bytes on channel %s", len(body), r.channel)
	}
	r.deliveries.Add(1)
	if !r.seen[binary.BigEndian.Uint64(body)].Swap(true) {
		r.distinct.Add(1)
	}
	return nil
}

// consume is the life of one consumer: it finishes what it gets, up to a
// number of messages, and then dies with whatever it has in flight.
func (r *receipts) consume(addr string, until int) error {
	conn, err := dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	b := wire.AppendSub([]byte(wire.MagicV2), "stress", r.channel)
	conn.Write(wire.AppendRdy(b, 1+rand.IntN(500)))
	br := bufio.NewReaderSize(conn, 64<<10)
	var buf, fins []byte
	for n := 0; n < until && !r.complete(); {
		if br.Buffered() == 0 {
			if _, err := conn.Write(fins); err != nil {
				return err
			}
			fins = fins[:0]
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // to see that all is complete
		}
		if _, err := br.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		typ, data, err := wire.ReadFrame(br, buf, 0)
		if err != nil {
			return err
		}
		if typ != wire.FrameMessage {
			if s := string(data); s != wire.OK && s != wire.Heartbeat {
				return fmt.Errorf("consumer on %s got %q", r.channel, s)
			}
			continue
		}
		m, err := wire.ParseMessage(data)
		if err != nil {
			return err
		}
		if err := r.note(m.Body); err != nil {
			return err
		}
		fins = wire.AppendFin(fins, m.ID)
		n++
	}
	return nil
}

func dial(addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(time.Minute))
	}
	return conn, err
}

func mustDial(t *testing.T, d *nsqtest.NSQD) net.Conn {
	t.Helper()
	conn, err := dial(d.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
