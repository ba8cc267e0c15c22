package nsqd_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	changeKills     = 8
	changeKillAfter = 400 * time.Millisecond // about, of changes
)

// TestKillWhileDurabilityChanges kills a broker again and again while topics get another durability and, at
// the same time, messages, or channels that are made, paused, emptied and deleted. What was
// answered is in force in the end; what was asked for and not answered is, or is not. What a
// durable topic has acknowledged is there, unless it was emptied.
func TestKillWhileDurabilityChanges(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	o := childOptions{DataPath: t.TempDir(), MemQueueSize: 2}
	var topics []*changedTopic
	for i := range 3 {
		topics = append(topics, newChangedTopic(t, fmt.Sprint("topic", i)))
	}
	check := func() *childBroker {
		b := startChild(t, o)
		s := readStats(t, b)
		for _, topic := range topics {
			topic.b = b
			topic.check(&s)
		}
		return b
	}
	for range changeKills {
		b := check()
		var clients sync.WaitGroup
		for _, topic := range topics {
			clients.Go(topic.work)
		}
		time.Sleep(changeKillAfter/2 + rand.N(changeKillAfter)) // the moment of the kill is what is tried
		b.kill()
		clients.Wait()
	}
	check()
	for _, topic := range topics {
		topic.consume()
		t.Logf("%s: %d changes of its durability were answered, %d refused, %d messages acknowledged", topic.name, topic.changed, topic.refused, topic.acked)
	}
}

// A known is a property by what was answered last.
type known struct {
	value string
	asked string // what was asked for and perhaps not answered
	parts bool   // of what was asked for some may be done
}

func (k *known) ask(value string) { k.asked = value }
func (k *known) answered()        { *k = known{value: k.asked, asked: k.asked} }
func (k *known) refused()         { k.asked = k.value }

// settle takes got for what it is now, and reports whether that was possible.
func (k *known) settle(got string) bool {
	possible := got == k.value || got == k.asked || k.parts
	*k = known{value: got, asked: got}
	return possible
}

// A topic that is not there has this durability, and a channel this state.
const missing = ""

// later begins the bodies of messages that are deferred.
const later = "later"

// A changedTopic is what is known of a topic, which nobody else changes.
type changedTopic struct {
	t          *testing.T
	b          *childBroker
	name       string
	durability known
	channels   map[string]*changedChannel
	sent       []string // since it was made

	changed, refused, acked int
}

// A changedChannel is what is known of a channel.
type changedChannel struct {
	name  string
	state known    // "open" or "paused"
	has   []string // messages, by body
	maybe []string // that it has or has not
}

func newChangedTopic(t *testing.T, name string) *changedTopic {
	c := &changedTopic{t: t, name: name, channels: make(map[string]*changedChannel)}
	for _, name := range []string{"keep", "a", "b"} {
		c.channels[name] = &changedChannel{name: name}
	}
	return c
}

// unsure is for what may be gone.
func (ch *changedChannel) unsure() {
	ch.maybe = append(ch.maybe, ch.has...)
	ch.has = nil
}

func (t *changedTopic) work() {
	for t.step() {
	}
}

// step reports whether all that it asked for was answered.
func (t *changedTopic) step() bool {
	keep := t.channels["keep"]
	switch {
	case t.durability.value == missing:
		return t.change(anyDurability(), true)
	case keep.state.value == missing:
		return t.changeChannel(keep, "create", true)
	case rand.N(20) == 0:
		return t.delete()
	case rand.N(2) == 0:
		return t.changeWith(true, nil)
	}
	ops := make(map[*changedChannel]string)
	for _, ch := range t.channels {
		if rand.N(3) > 0 {
			ops[ch] = ch.anyChange()
		}
	}
	return t.changeWith(false, ops)
}

func anyDurability() string { return []string{"memory", "disk", "fsync"}[rand.N(3)] }

// anyChange returns something that can be done to the channel. The one that messages wait for stays.
func (ch *changedChannel) anyChange() string {
	switch {
	case ch.state.value == missing:
		return "create"
	case rand.N(3) > 0:
		return "empty"
	case ch.name != "keep" && rand.N(2) == 0:
		return "delete"
	case ch.state.value == "paused":
		return "unpause"
	}
	return "pause"
}

// changeWith has the durability changed while messages are published, or channels changed.
func (t *changedTopic) changeWith(publishing bool, ops map[*changedChannel]string) (answered bool) {
	from, wanted := t.durability.value, anyDurability()
	held, mayHold := t.held()
	durable := from != "memory" && wanted != "memory"
	var acked, tried []string
	calls := []func() bool{func() bool { return t.change(wanted, held+mayHold == 0 && !publishing) }}
	for ch, op := range ops {
		calls = append(calls, func() bool { return t.changeChannel(ch, op, durable) })
	}
	if publishing {
		calls = append(calls, func() bool {
			acked, tried = t.publish()
			return len(tried) == 0
		})
	}
	answered = together(calls)
	kept := t.durability.value != "memory"
	if t.durability.asked != t.durability.value { // which was not answered
		kept = durable || from != "memory" && held > 0
	}
	if held, _ := t.held(); held > 0 && !kept {
		t.t.Errorf("%s became %s with %d messages", t.name, wanted, held)
	}
	t.note(acked, tried, kept)
	return answered
}

// together does all of these at once, and reports whether everything was answered.
func together(calls []func() (answered bool)) bool {
	var running sync.WaitGroup
	var lost atomic.Bool
	for _, call := range calls {
		running.Go(func() {
			if !call() {
				lost.Store(true)
			}
		})
	}
	running.Wait()
	return !lost.Load()
}

// held returns how many messages the channels have, and how many more they may have.
func (t *changedTopic) held() (held, mayHold int) {
	for _, ch := range t.channels {
		held += len(ch.has)
		mayHold += len(ch.maybe)
	}
	return held, mayHold
}

// note enters messages that were published, and some of which may not have been acknowledged.
func (t *changedTopic) note(acked, tried []string, kept bool) {
	t.acked += len(acked)
	t.sent = slices.Concat(t.sent, acked, tried)
	for _, ch := range t.channels {
		switch {
		case ch.state.value == missing:
		case kept:
			ch.has = append(ch.has, acked...)
			ch.maybe = append(ch.maybe, tried...)
		default:
			ch.maybe = slices.Concat(ch.maybe, acked, tried)
		}
	}
}

// change asks for another durability, which must not be refused to an empty topic. It makes one that
// is not there.
func (t *changedTopic) change(wanted string, empty bool) (answered bool) {
	crosses := (t.durability.value == "memory") != (wanted == "memory")
	t.durability.ask(wanted)
	status := t.post("/topic/create?topic="+t.name+"&durability="+wanted, "")
	switch {
	case status == 200:
		t.durability.answered()
		t.changed++
	case status == 409:
		t.durability.refused()
		t.refused++
		if empty || !crosses {
			t.t.Errorf("%s, which is empty: %v, was not made %s of %s", t.name, empty, wanted, t.durability.value)
		}
	}
	return status != 0
}

// changeChannel does something to a channel; durable is whether the topic is and stays it.
func (t *changedTopic) changeChannel(ch *changedChannel, op string, durable bool) (answered bool) {
	switch op {
	case "create", "unpause":
		ch.state.ask("open")
	case "pause":
		ch.state.ask("paused")
	case "delete":
		ch.state.ask(missing)
		ch.state.parts = true
	}
	if op == "delete" || op == "empty" {
		ch.unsure()
	}
	if op == "create" && rand.N(2) == 0 {
		answered = t.sub(ch.name)
	} else {
		answered = t.post(fmt.Sprintf("/channel/%s?topic=%s&channel=%s", op, t.name, ch.name), "") == 200
	}
	if !answered {
		return false
	}
	ch.state.answered()
	switch {
	case op == "delete" || op == "empty" && durable:
		ch.maybe = nil
	case op == "create" && !durable: // what is on its way to the channels comes to this one, too
		ch.maybe = slices.Clone(t.sent)
	}
	return true
}

func (t *changedTopic) delete() bool {
	for _, ch := range t.channels {
		ch.unsure()
		ch.state.parts = true
	}
	t.durability.ask(missing)
	if t.post("/topic/delete?topic="+t.name, "") != 200 {
		return false
	}
	t.gone()
	return true
}

// gone is for a topic that is not there.
func (t *changedTopic) gone() {
	*t = changedTopic{t: t.t, b: t.b, name: t.name, channels: newChangedTopic(t.t, t.name).channels,
		changed: t.changed, refused: t.refused, acked: t.acked}
}

// publish publishes messages, some of them deferred, and returns those that were acknowledged,
// and those of which that is not known.
func (t *changedTopic) publish() (acked, tried []string) {
	for range 1 + rand.N(5) {
		path, list := "/pub?topic="+t.name, []string{fmt.Sprint(rand.Uint64())}
		switch rand.N(3) {
		case 0:
			path, list[0] = path+"&defer=3600000", later+list[0]
		case 1:
			path, list = "/mpub?topic="+t.name, append(list, fmt.Sprint(rand.Uint64()))
		}
		if t.post(path, strings.Join(list, "\n")) != 200 {
			return acked, list
		}
		acked = append(acked, list...)
	}
	return acked, nil
}

// post returns the status of the answer, 0 if there was none, as the broker is gone.
func (t *changedTopic) post(path, body string) (status int) {
	resp, err := http.Post("http://"+t.b.http.String()+path, "", strings.NewReader(body))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	if resp.StatusCode != 200 && string(text) != `{"message":"TOPIC_NOT_EMPTY"}` {
		t.t.Errorf("%s: %d %s", path, resp.StatusCode, text)
	}
	return resp.StatusCode
}

// sub makes a channel as consumers do, and reports whether that was answered.
func (t *changedTopic) sub(channel string) bool {
	conn, err := net.Dial(t.b.tcp.Network(), t.b.tcp.String())
	if err != nil {
		return false
	}
	c := newRawClient(t.t, conn, patience)
	defer c.close()
	if c.trySend(wire.AppendSub([]byte(wire.MagicV2), t.name, channel)) != nil {
		return false
	}
	f, err := c.tryNext()
	if err == nil && f != ok {
		t.t.Errorf("SUB %s %s: %v", t.name, channel, f)
	}
	return err == nil
}

// check compares what is there with what is known, and goes on from that.
func (t *changedTopic) check(s *stats.Stats) {
	t.t.Helper()
	i := slices.IndexFunc(s.Topics, func(s stats.Topic) bool { return s.Name == t.name })
	before := t.durability
	var there stats.Topic
	if i >= 0 {
		there = s.Topics[i]
	}
	if !t.durability.settle(there.Durability) {
		t.t.Errorf("%s has the durability %q, answered was %q, asked for %q", t.name, there.Durability, before.value, before.asked)
	}
	if i < 0 {
		t.gone()
		return
	}
	classic := before.value == "memory" || there.Durability == "memory"
	for _, ch := range t.channels {
		ch.check(t, there.Channels, classic)
	}
}

// check is changedTopic.check for a channel. Where the topic is, or was, in memory, messages may be on
// their way to it, or come twice.
func (ch *changedChannel) check(t *changedTopic, there []stats.Channel, classic bool) {
	t.t.Helper()
	state, depth := missing, 0
	for _, s := range there {
		switch {
		case s.Name != ch.name:
			continue
		case s.Paused:
			state = "paused"
		default:
			state = "open"
		}
		depth = int(s.Depth) + s.InFlight + s.Deferred
	}
	if before := ch.state; !ch.state.settle(state) {
		t.t.Errorf("channel %s of %s is %q, answered was %q, asked for %q", ch.name, t.name, state, before.value, before.asked)
	}
	if depth < len(ch.has) || !classic && depth > len(ch.has)+len(ch.maybe) {
		t.t.Errorf("channel %s of %s, %s, has %d messages, of %d and perhaps %d", ch.name, t.name, t.durability.value, depth, len(ch.has), len(ch.maybe))
	}
	for classic && depth > len(ch.has)+len(ch.maybe) {
		ch.maybe = append(ch.maybe, "again")
	}
	if depth == len(ch.has) && !classic {
		ch.maybe = nil
	}
}

// consume wants the messages that the topic must have, but for those that are deferred.
func (t *changedTopic) consume() {
	t.t.Helper()
	for _, ch := range t.channels {
		if len(ch.has) == 0 {
			continue
		}
		t.post("/channel/unpause?topic="+t.name+"&channel="+ch.name, "")
		c := t.b.dial()
		c.consume(t.name, ch.name, 100)
		waits := make(map[string]bool)
		for _, body := range ch.has {
			if !strings.HasPrefix(body, later) {
				waits[body] = true
			}
		}
		for len(waits) > 0 {
			m := c.message()
			delete(waits, string(m.Body))
			c.fin(m)
		}
		c.close()
	}
}
