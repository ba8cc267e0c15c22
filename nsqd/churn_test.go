package nsqd_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// TestChurn has eight clients create, delete, pause, empty, publish to and
// subscribe to the same few topics and channels at random. Nothing but the
// answers of the table may come, nothing may get stuck, and what was taken for
// it is given back.
func TestChurn(t *testing.T) {
	const clients, operations = 8, 8_000
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 10
	opts.MaxReqTimeout = time.Second
	opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	n := nsqtest.Start(t, opts)

	var left, received atomic.Int64
	done := make([]atomic.Int64, len(churnOperations))
	run := func(operations int64) {
		left.Store(operations)
		var running sync.WaitGroup
		for range clients {
			running.Go(func() {
				if err := churn(t, n, &left, &received, done); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		deleteAll(t, n)
	}
	run(clients * 50) // so that what is kept for good is there
	before := usage(t, n)
	start := time.Now()
	run(operations)
	t.Logf("%d operations in %v", operations, time.Since(start))
	for i, op := range churnOperations {
		if done[i].Load() == 0 {
			t.Errorf("%q was never done", op.name)
		}
		t.Logf("%6d %s", done[i].Load(), op.name)
	}
	t.Logf("%d messages were consumed", received.Load())
	if received.Load() < clients {
		t.Errorf("only %d messages were consumed", received.Load())
	}
	nsqtest.Eventually(t, "goroutines, descriptors and files are back at the start's level", func() bool {
		now := usage(t, n)
		return now.goroutines <= before.goroutines && now.descriptors <= before.descriptors && now.files <= before.files
	})
	after := usage(t, n)
	t.Logf("before: %+v, after: %+v", before, after)
	if grown := after.heap - before.heap; grown > 2<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

var (
	churnTopics   = []string{"a", "b", "c#ephemeral"}
	churnChannels = []string{"x", "y", "z#ephemeral"}
)

// A churner is one client of TestChurn.
type churner struct {
	received *atomic.Int64 // messages, by all
	api      *api
	addr     string
	producer *rawClient
	topic    string // of this operation
	channel  string
}

var churnOperations = []struct {
	name string
	do   func(*churner) error
}{
	{"create topic", postTopic("create")},
	{"delete topic", postTopic("delete")},
	{"pause topic", postTopic("pause")},
	{"unpause topic", postTopic("unpause")},
	{"empty topic", postTopic("empty")},
	{"create channel", postChannel("create")},
	{"delete channel", postChannel("delete")},
	{"pause channel", postChannel("pause")},
	{"unpause channel", postChannel("unpause")},
	{"empty channel", postChannel("empty")},
	{"PUB", (*churner).pub},
	{"MPUB", (*churner).mpub},
	{"DPUB", (*churner).dpub},
	{"/pub", (*churner).httpPub},
	{"subscribe", (*churner).subscribe},
}

// churn does operations until none is left.
func churn(t *testing.T, n *nsqtest.NSQD, left, received *atomic.Int64, done []atomic.Int64) error {
	c := &churner{received: received, api: newAPI(t, n), addr: n.TCPAddr(), producer: dialRaw(t, n)}
	defer c.producer.close()
	defer c.api.client.CloseIdleConnections()
	for left.Add(-1) >= 0 {
		c.topic = churnTopics[rand.IntN(len(churnTopics))]
		c.channel = churnChannels[rand.IntN(len(churnChannels))]
		i := rand.IntN(len(churnOperations))
		if err := churnOperations[i].do(c); err != nil {
			return fmt.Errorf("%s, on %s:%s: %w", churnOperations[i].name, c.topic, c.channel, err)
		}
		done[i].Add(1)
	}
	return nil
}

func postTopic(what string) func(*churner) error {
	return func(c *churner) error {
		return c.post("/topic/"+what+"?topic="+url.QueryEscape(c.topic), "")
	}
}

func postChannel(what string) func(*churner) error {
	return func(c *churner) error {
		return c.post("/channel/"+what+"?topic="+url.QueryEscape(c.topic)+"&channel="+url.QueryEscape(c.channel), "")
	}
}

func (c *churner) httpPub() error {
	return c.post("/pub?topic="+url.QueryEscape(c.topic), "by HTTP")
}

// post makes a request, which may find that others have deleted its object.
func (c *churner) post(path, body string) error {
	resp, answer, err := c.api.try("POST", path, strings.NewReader(body))
	if err != nil {
		return err
	}
	switch answer {
	case `{"message":"TOPIC_NOT_FOUND"}`, `{"message":"CHANNEL_NOT_FOUND"}`:
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %d %s", resp.StatusCode, answer)
	}
	return nil
}

func (c *churner) pub() error {
	return c.publish(wire.AppendPub(nil, c.topic, []byte("by PUB")))
}

func (c *churner) mpub() error {
	return c.publish(wire.AppendMPub(nil, c.topic, byteSlices(bodies("m", 1+rand.IntN(30)))))
}

func (c *churner) dpub() error {
	return c.publish(wire.AppendDPub(nil, c.topic, rand.N(20*time.Millisecond), []byte("by DPUB")))
}

// publish must always succeed: what is deleted meanwhile is created again.
func (c *churner) publish(command []byte) error {
	if err := c.producer.trySend(command); err != nil {
		return err
	}
	f, err := c.producer.tryNext()
	if err == nil && f != ok {
		err = fmt.Errorf("answered %s", f)
	}
	return err
}

// subscribe is the life of one consumer: it answers some messages and goes, if
// its channel is not deleted before.
func (c *churner) subscribe() error {
	conn, err := dial(c.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = c.consumeSome(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) || nsqtest.IsClosed(err) {
		return nil // there was nothing more, or the channel is deleted
	}
	return err
}

func (c *churner) consumeSome(conn net.Conn) error {
	commands := wire.AppendRdy(wire.AppendSub([]byte(wire.MagicV2), c.topic, c.channel), 5)
	if _, err := conn.Write(commands); err != nil {
		return err
	}
	for range 1 + rand.IntN(10) {
		typ, data, err := wire.ReadFrame(conn, nil, 0)
		if err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond)) // of the answer to SUB it is the default
		if typ == wire.FrameMessage {
			m, err := wire.ParseMessage(data)
			if err != nil {
				return err
			}
			c.received.Add(1)
			answer := wire.AppendFin(nil, m.ID)
			if rand.IntN(3) == 0 {
				answer = wire.AppendReq(nil, m.ID, rand.N(20*time.Millisecond))
			}
			if _, err := conn.Write(answer); err != nil {
				return err
			}
			continue
		}
		switch text := string(data); {
		case text == wire.OK:
		case strings.HasPrefix(text, "E_FIN_FAILED "), strings.HasPrefix(text, "E_REQ_FAILED "): // it was emptied
		default:
			return fmt.Errorf("answered %s", text)
		}
	}
	return nil
}

// deleteAll deletes what the clients have left.
func deleteAll(t *testing.T, n *nsqtest.NSQD) {
	a := newAPI(t, n)
	defer a.client.CloseIdleConnections()
	for _, topic := range churnTopics {
		if err := (&churner{api: a}).post("/topic/delete?topic="+url.QueryEscape(topic), ""); err != nil {
			t.Error(err)
		}
	}
}

// resources is what a broker takes and must give back.
type resources struct {
	goroutines  int
	descriptors int // 0 where that is not known
	heap        int64
	files       int // in the data path
}

func usage(t *testing.T, n *nsqtest.NSQD) resources {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir(n.Opts.DataPath)
	if err != nil {
		t.Fatal(err)
	}
	descriptors, _ := os.ReadDir("/proc/self/fd") // only Linux has it
	return resources{runtime.NumGoroutine(), len(descriptors), int64(m.HeapAlloc), len(files)}
}
