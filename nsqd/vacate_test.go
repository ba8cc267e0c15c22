package nsqd

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has messages in hand while a channel is vacated to be replaced, they are in its
// files afterwards: consumers that leave just then or requeue, time-outs, deferrals.
func TestVacatedChannelHasEveryMessage(t *testing.T) {
	const messages = 5_000
	leave := func(ch *channel, c *client, _ []guid) { ch.removeClient(c) }
	timeOut := func(ch *channel, c *client, _ []guid) { ch.timeOut(c, everything) }
	releaseDue := func(ch *channel, _ *client, _ []guid) { ch.releaseDue(everything) }
	requeue := func(delay time.Duration) giveBack {
		return func(_ *channel, c *client, ids []guid) {
			for _, id := range ids {
				c.requeue(id, delay)
			}
		}
	}
	for name, way := range map[string]struct {
		deferred bool // the messages are deferred, not in flight
		giveBack giveBack
	}{
		"a consumer leaves":   {giveBack: leave},
		"time-outs":           {giveBack: timeOut},
		"deferrals are due":   {deferred: true, giveBack: releaseDue},
		"a consumer requeues": {giveBack: requeue(0)},
		"a consumer defers":   {giveBack: requeue(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			for range 5 {
				vacateWhile(t, messages, way.deferred, way.giveBack)
			}
		})
	}
}

// A giveBack gives messages of a channel that a consumer has in flight, or that are
// deferred, back to the channel.
type giveBack func(ch *channel, c *client, ids []guid)

// vacateWhile vacates a channel of which a consumer has messages in flight, while they
// are given back, and wants each of them in the channel's files.
func vacateWhile(t *testing.T, messages int, deferred bool, way giveBack) {
	e := testEnv(t, int64(messages))
	top := newTopic(e, "t", nil)
	ch, err := top.channel("c")
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer far.Close()
	c := &client{env: e, conn: near, wake: make(chan struct{}, 1), stop: func(error) {}}
	if err := ch.addClient(c); err != nil {
		t.Fatal(err)
	}
	c.channel.Store(ch)
	var ids []guid
	for range messages {
		m := batchOf(1, "m").all()
		m.b.first = top.newID()
		ids = append(ids, m.id())
		if deferred {
			ch.deferUntil(m, 1)
		} else {
			c.inflight.add([]span{m}, 1, 1)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		way(ch, c, ids)
	}()
	begun := func() bool {
		depth, _ := ch.queue.depth()
		return depth > 0 || !deferred && ch.deferred.len() > 0
	}
	for late := time.After(10 * time.Second); !begun(); {
		select {
		case <-late:
			t.Fatal("nothing was given back")
		default:
		}
	}
	ch.vacate()
	if err := ch.flush(); err != nil {
		t.Fatal(err)
	}
	<-done
	again := newChannel(top, "c", nil)
	if err := again.load(); err != nil {
		t.Fatal(err)
	}
	depth, _ := again.queue.depth()
	if got := int(depth) + again.deferred.len(); got != messages {
		t.Fatalf("%d of %d messages are in the channel's files", got, messages)
	}
}

// A channel that somebody deletes while it is vacated is deleted, once.
func TestVacatedChannelThatIsBeingDeleted(t *testing.T) {
	top := newTopic(testEnv(t, 1), "t", nil)
	ch, err := top.channel("c")
	if err != nil {
		t.Fatal(err)
	}
	if !ch.exit(false) {
		t.Fatal("the deletion did not begin")
	}
	vacated := make(chan struct{})
	go func() {
		defer close(vacated)
		ch.vacate()
	}()
	if _, err := top.deleteChannel(ch); err != nil {
		t.Error(err)
	}
	<-vacated
}

// A message that the topic's pump has in hand is looked for where it goes: a topic is empty where that
// is nowhere, and not where it arrives, or stays.
func TestEmptyTopicWhosePumpHasAMessageInHand(t *testing.T) {
	for name, way := range map[string]struct {
		ends func(top *topic, ch *channel)
		want bool
	}{
		"it is finished already": {func(top *topic, _ *channel) { top.inHand.Store(0) }, true},
		"it arrives": {func(top *topic, ch *channel) {
			ch.put([]span{batchOf(1, "m").all()})
			top.inHand.Store(0)
		}, false},
		"it stays": {func(*topic, *channel) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				top := newTopic(testEnv(t, 1), "t", nil)
				ch, err := top.channel("c")
				if err != nil {
					t.Fatal(err)
				}
				top.inHand.Store(1)
				time.AfterFunc(emptyTime/2, func() { way.ends(top, ch) })
				if got := top.isEmpty(0); got != way.want {
					t.Errorf("isEmpty() = %v", got)
				}
			})
		})
	}
}
