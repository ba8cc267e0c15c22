package nsqd_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

const (
	kills     = 30
	killAfter = 350 * time.Millisecond // about, of load
	noteTime  = 200 * time.Millisecond // of finishes that a kill may cost
	mpubSize  = 5
)

// TestKill kills a broker again and again while messages are published in every way
// and consumed. Every message that was acknowledged is there in the end, of an MPUB
// all messages or none, nothing comes before it is due, and what was answered of
// topics, channels and pauses is in force.
func TestKill(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	for _, d := range []nsqd.Durability{nsqd.Disk, nsqd.Fsync} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			k := newKilling(t, noteTime)
			o := childOptions{DataPath: t.TempDir(), MemQueueSize: 100, Durability: d}
			for range kills {
				b := startChild(t, o)
				k.round(b, b.kill)
			}
			last := startChild(t, o)
			defer k.judge()
			k.checkTopology(last)
			k.consumeRest(last)
		})
	}
}

// A killing is what clients know of the messages of all rounds, by body.
type killing struct {
	t     *testing.T
	costs time.Duration // of finishes, each time at most; 0 where that depends on how busy the disk is

	cut atomic.Bool // the disk may be gone: changes may be refused

	mu       sync.Mutex
	rounds   int
	next     int
	acked    map[string]bool
	due      map[string]time.Time       // of DPUBs: not before
	mpubs    [][]string                 // all that were sent, acknowledged or not
	got      map[string]map[string]bool // by channel
	finished map[string]bool            // on channel c, when FIN was sent
	redone   int                        // messages that came again after FIN
	busy     time.Duration              // of all rounds
	expected map[string]map[string]bool // topics with their channels and whether these are paused
	unsure   map[string]bool            // topics of which the last change was not answered
}

func newKilling(t *testing.T, costs time.Duration) *killing {
	return &killing{
		costs:    costs,
		t:        t,
		acked:    make(map[string]bool),
		due:      make(map[string]time.Time),
		got:      map[string]map[string]bool{"c": {}, "keep": {}},
		finished: make(map[string]bool),
		expected: make(map[string]map[string]bool),
		unsure:   make(map[string]bool),
	}
}

// round has clients work until the broker is killed, by kill.
func (k *killing) round(b *childBroker, kill func()) {
	k.t.Helper()
	k.rounds++
	k.checkTopology(b)
	keeper := b.dial() // has the channel made before anything is published
	keeper.sub("t", "keep")
	var clients sync.WaitGroup
	for range 2 {
		consumer, publisher, second := b.dial(), b.dial(), b.dial()
		consumer.sub("t", "c")
		clients.Go(func() { k.consume(consumer) })
		clients.Go(func() { k.publish(publisher) })
		clients.Go(func() { k.publish(second) })
	}
	clients.Go(func() { k.change(b) })
	began := time.Now()
	time.Sleep(killAfter/2 + rand.N(killAfter)) // the moment of the kill is what is tried
	kill()
	k.busy += time.Since(began)
	clients.Wait()
}

// bodies returns so many bodies that there have not been.
func (k *killing) bodies(n int) (list []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for range n {
		list = append(list, fmt.Sprintf("%d-%s", k.next, strings.Repeat("x", 100)))
		k.next++
	}
	return list
}

// publish publishes in all ways until the connection ends.
func (k *killing) publish(c *rawClient) {
	for i := 0; ; i++ {
		var list []string
		var command []byte
		switch i % 8 {
		case 0:
			list = k.bodies(mpubSize)
			k.mu.Lock()
			k.mpubs = append(k.mpubs, list)
			k.mu.Unlock()
			command = wire.AppendMPub(nil, "t", byteSlices(list))
		case 1:
			list = k.bodies(1)
			delay := rand.N(2 * time.Second).Truncate(time.Millisecond)
			k.mu.Lock()
			k.due[list[0]] = time.Now().Add(delay)
			k.mu.Unlock()
			command = wire.AppendDPub(nil, "t", delay, []byte(list[0]))
		default:
			list = k.bodies(1)
			command = wire.AppendPub(nil, "t", []byte(list[0]))
		}
		if c.trySend(command) != nil {
			return
		}
		if f, err := c.tryNext(); err != nil || f != ok {
			return
		}
		k.mu.Lock()
		for _, body := range list {
			k.acked[body] = true
		}
		k.mu.Unlock()
	}
}

// consume finishes most messages, requeues some and leaves some alone, until the
// connection ends.
func (k *killing) consume(c *rawClient) {
	if c.trySend(wire.AppendRdy(nil, 50)) != nil {
		return
	}
	for i := 1; ; i++ {
		f, err := c.tryNext()
		if err != nil || f.kind != wire.FrameMessage {
			return
		}
		m, err := wire.ParseMessage([]byte(f.data))
		if err != nil {
			k.t.Error(err)
			return
		}
		answer := wire.AppendFin(nil, m.ID)
		switch {
		case i%10 == 0:
			answer = wire.AppendReq(nil, m.ID, rand.N(time.Second))
		case i%37 == 0:
			answer = wire.AppendTouch(nil, m.ID)
		}
		k.note("c", string(m.Body), answer[0] == 'F')
		if c.trySend(answer) != nil {
			return
		}
	}
}

// note notes a message that came, and is finished.
func (k *killing) note(channel, body string, finishes bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if due, ok := k.due[body]; ok && now.Before(due) {
		k.t.Errorf("%s came %v before it was due", body, due.Sub(now))
	}
	k.got[channel][body] = true
	if channel != "c" {
		return
	}
	if _, ok := k.finished[body]; ok {
		k.redone++
	}
	if finishes {
		k.finished[body] = true
	}
}

// change makes topics and channels, pauses and deletes them, until the broker is
// gone.
func (k *killing) change(b *childBroker) {
	for i := 0; ; i++ {
		topic := fmt.Sprint("topic", rand.N(4))
		k.mu.Lock()
		channels := k.expected[topic]
		k.unsure[topic] = true
		k.mu.Unlock()
		var paths []string
		after := map[string]bool{"a": false, "b": false}
		switch {
		case channels == nil:
			paths = []string{"/topic/create?topic=" + topic, "/channel/create?channel=a&topic=" + topic, "/channel/create?channel=b&topic=" + topic}
		case i%3 == 0:
			paths, after = []string{"/topic/delete?topic=" + topic}, nil
		case len(channels) == 2 && i%3 == 1:
			paths, after = []string{"/channel/delete?channel=b&topic=" + topic}, map[string]bool{"a": channels["a"]}
		case channels["a"]:
			paths, after = []string{"/channel/unpause?channel=a&topic=" + topic}, with(channels, "a", false)
		default:
			paths, after = []string{"/channel/pause?channel=a&topic=" + topic}, with(channels, "a", true)
		}
		for _, path := range paths {
			resp, err := http.Post("http://"+b.http.String()+path, "", nil)
			if err != nil {
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK && k.cut.Load() {
				return
			}
			if resp.StatusCode != http.StatusOK {
				k.t.Errorf("%s: %s", path, resp.Status)
				return
			}
		}
		k.mu.Lock()
		k.expected[topic] = after
		delete(k.unsure, topic)
		k.mu.Unlock()
	}
}

func with(channels map[string]bool, name string, paused bool) map[string]bool {
	changed := map[string]bool{name: paused}
	for other, p := range channels {
		if other != name {
			changed[other] = p
		}
	}
	return changed
}

// checkTopology compares topics and channels with what was answered, and goes on
// from what is there.
func (k *killing) checkTopology(b *childBroker) {
	k.t.Helper()
	there := make(map[string]map[string]bool)
	for _, topic := range readStats(k.t, b).Topics {
		if topic.Name == "t" {
			continue
		}
		there[topic.Name] = make(map[string]bool)
		for _, ch := range topic.Channels {
			there[topic.Name][ch.Name] = ch.Paused
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range 4 {
		topic := fmt.Sprint("topic", i)
		if got, want := fmt.Sprint(there[topic]), fmt.Sprint(k.expected[topic]); got != want && !k.unsure[topic] {
			k.t.Errorf("%s has the channels %s, answered were %s", topic, got, want)
		}
		k.expected[topic] = there[topic]
		if len(there[topic]) == 0 || !hasChannel(there[topic], "a") { // it was being made, or deleted
			k.expected[topic] = nil
		}
	}
	k.unsure = make(map[string]bool)
}

func hasChannel(channels map[string]bool, name string) bool {
	_, ok := channels[name]
	return ok
}

// consumeRest takes everything that is left from both channels. That they hold nothing is
// not enough: a message on its way may be in no count, the longer the busier the machine is.
func (k *killing) consumeRest(b *childBroker) {
	k.t.Helper()
	var consumers sync.WaitGroup
	for channel := range k.got {
		c := b.dial()
		c.consume("t", channel, 100)
		consumers.Go(func() {
			for {
				f, err := c.tryNext()
				if err != nil || f.kind != wire.FrameMessage {
					return
				}
				m, err := wire.ParseMessage([]byte(f.data))
				if err != nil || c.trySend(wire.AppendFin(nil, m.ID)) != nil {
					return
				}
				k.note(channel, string(m.Body), true)
			}
		})
		nsqtest.Eventually(k.t, "channel "+channel+" has given all that was acknowledged, and is empty", func() bool {
			if !isDone(k.t, b, channel) { // else the next look is too long for the consumer, which waits for it
				return false
			}
			lost, halves := k.missing(channel)
			return lost == 0 && len(halves) == 0
		})
		c.close()
	}
	consumers.Wait()
}

// isDone reports whether a channel of topic t holds nothing any more.
func isDone(t *testing.T, b *childBroker, channel string) bool {
	for _, topic := range readStats(t, b).Topics {
		for _, ch := range topic.Channels {
			if topic.Name == "t" && ch.Name == channel {
				return ch.Depth == 0 && ch.InFlight == 0 && ch.Deferred == 0
			}
		}
	}
	return false
}

func readStats(t *testing.T, b *childBroker) (s stats.Stats) {
	t.Helper()
	resp, err := http.Get("http://" + b.http.String() + "/stats?format=json&include_clients=false")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// missing returns how many acknowledged messages did not come from a channel, and of the
// MPUBs that came in part how many messages did.
func (k *killing) missing(channel string) (lost int, halves []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	got := k.got[channel]
	for body := range k.acked {
		if !got[body] {
			lost++
		}
	}
	for _, list := range k.mpubs {
		n := 0
		for _, body := range list {
			if got[body] {
				n++
			}
		}
		if n != 0 && n != len(list) {
			halves = append(halves, n)
		}
	}
	return lost, halves
}

// judge looks at what the clients noted.
func (k *killing) judge() {
	for channel := range k.got {
		lost, halves := k.missing(channel)
		if lost > 0 {
			k.t.Errorf("channel %s: %d of %d acknowledged messages are lost", channel, lost, len(k.acked))
		}
		for _, n := range halves {
			k.t.Errorf("channel %s got %d of the %d messages of an MPUB", channel, n, mpubSize)
		}
	}
	k.mu.Lock() // a consumer may go on where not all came
	defer k.mu.Unlock()
	if most := int(float64(len(k.finished)) / k.busy.Seconds() * float64(k.rounds) * k.costs.Seconds()); k.costs > 0 && k.redone > most {
		k.t.Errorf("%d messages came again although they were finished; in %v before each of %d kills %d were", k.redone, k.costs, k.rounds, most)
	}
	k.t.Logf("%d kills: %d messages were acknowledged, %d DPUBs and %d MPUBs tried; %d messages came again after FIN",
		k.rounds, len(k.acked), len(k.due), len(k.mpubs), k.redone)
}
