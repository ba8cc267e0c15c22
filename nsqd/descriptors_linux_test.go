package nsqd_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// 600 clients come at once to a broker that may open 160 files, of which its
// queues need some, or the logs of its durable topics: all are served in the end, and
// nothing is lost.
func TestMoreClientsThanDescriptors(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	for d, c := range map[nsqd.Durability]struct{ topics, index int }{nsqd.Memory: {8, 0}, nsqd.Disk: {40, 16}} {
		t.Run(d.String(), func(t *testing.T) {
			o := childOptions{DataPath: t.TempDir(), MemQueueSize: 10, Durability: d}
			serveMoreClients(t, startChild(t, o, "sh", "-c", `ulimit -n 160 && exec "$0" "$@"`), c.topics, c.index)
		})
	}
}

// serveMoreClients has clients use a number of topics, for which the broker may in the
// end have so many files more open than before.
func serveMoreClients(t *testing.T, b *childBroker, topics, more int) {
	const (
		publishers = 540
		consumers  = 40 // of half the topics; the other half goes to disk meanwhile
		silent     = 20
		messages   = 20 // of each publisher
	)
	api := &http.Client{Timeout: patience}
	before := b.state()

	topic := func(i int) string { return fmt.Sprint("topic", i%topics) }
	var got collected
	var running sync.WaitGroup
	consume := func(i int) {
		c := connect(t, b.tcp)
		running.Go(func() { got.consume(c, topic(i)) })
	}
	for i := range consumers {
		consume(i % (topics / 2))
	}
	others := make([]*rawClient, silent+publishers) // most of them wait in the kernel
	for i := range others {
		others[i] = connect(t, b.tcp)
	}
	var published sync.WaitGroup
	start := time.Now()
	for i, c := range others[silent:] {
		published.Go(func() {
			if err := publishEach(c, topic(i), bodies(fmt.Sprint(i, "-"), messages)); err != nil {
				t.Errorf("publisher %d: %v", i, err)
			}
		})
	}
	var slowest time.Duration
	done := make(chan struct{})
	go func() { published.Wait(); close(done) }()
	for full := true; full; {
		asked := time.Now()
		fetch(t, api, b, "GET", "/ping")
		slowest = max(slowest, time.Since(asked))
		select {
		case <-done:
			full = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	var snapshot stats.Stats
	if err := json.Unmarshal(fetch(t, api, b, "GET", "/stats?format=json"), &snapshot); err != nil {
		t.Fatal(err)
	}
	onDisk := int64(0)
	for _, t := range snapshot.Topics {
		onDisk += t.BackendDepth
	}
	t.Logf("%d publishers were served in %v, /ping within %v; then %d messages are on disk and %d of %d files open",
		publishers, time.Since(start), slowest, onDisk, b.state().Files, 160)
	if onDisk < publishers*messages/4 {
		t.Errorf("%d messages are on disk", onDisk)
	}

	for i := range topics / 2 {
		consume(topics/2 + i)
	}
	nsqtest.Eventually(t, "every message that was acknowledged has come", func() bool {
		return got.len() == publishers*messages
	})
	for _, s := range snapshot.Topics {
		fetch(t, api, b, "POST", "/topic/delete?topic="+s.Name) // closes its consumers
	}
	running.Wait()
	for _, c := range others {
		c.close()
	}
	api.CloseIdleConnections()
	after := before
	nsqtest.Eventually(t, "descriptors are given back", func() bool {
		after = b.state()
		return after.Files <= before.Files+more
	})
	t.Logf("%d descriptors before, %d after", before.Files, after.Files)
	if after.Panics != 0 {
		t.Errorf("%d panics", after.Panics)
	}
}

// collected is the messages that several consumers have got.
type collected struct {
	mu     sync.Mutex // bodies
	bodies map[string]bool
}

func (s *collected) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

func (s *collected) add(body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bodies == nil {
		s.bodies = make(map[string]bool)
	}
	s.bodies[body] = true
}

// consume takes and finishes what a topic has until the connection ends.
func (s *collected) consume(c *rawClient, topic string) {
	c.trySend(wire.AppendRdy(wire.AppendSub([]byte(wire.MagicV2), topic, "c"), 10))
	for {
		f, err := c.tryNext()
		if err != nil {
			return
		}
		if f.kind != wire.FrameMessage {
			continue
		}
		m, err := wire.ParseMessage([]byte(f.data))
		if err != nil {
			return
		}
		s.add(string(m.Body))
		c.trySend(wire.AppendFin(nil, m.ID))
	}
}

// publishEach publishes message by message, each after the one before was
// acknowledged, and goes.
func publishEach(c *rawClient, topic string, bodies []string) error {
	defer c.close()
	if err := c.trySend([]byte(wire.MagicV2)); err != nil {
		return err
	}
	for _, body := range bodies {
		if err := c.trySend(wire.AppendPub(nil, topic, []byte(body))); err != nil {
			return err
		}
		if f, err := c.tryNext(); f != ok || err != nil {
			return fmt.Errorf("%v, %w", f, err)
		}
	}
	return nil
}

// fetch makes a request that must succeed and returns the answer.
func fetch(t *testing.T, client *http.Client, b *childBroker, method, path string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+b.http.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %s, %v", method, path, resp.Status, body, err)
	}
	return body
}
