package nsqd

import (
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// keptChannel returns a channel of a durable topic, and what publishes so many messages to it.
func keptChannel(t *testing.T) (ch *channel, publish func(count int)) {
	e := testEnv(t, 1)
	t.Cleanup(func() { e.durable.close() })
	var ts topics
	ts.init(e)
	orders, err := ts.create(newTopicWanted{name: "orders", durability: Disk, chosen: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(orders.stopPump)
	if ch, err = orders.channel("billing"); err != nil {
		t.Fatal(err)
	}
	return ch, func(count int) {
		t.Helper()
		var payload []byte
		for range count {
			payload = append(wire.AppendSize(payload, 4), "body"...)
		}
		if err := orders.publish(payload, count, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// What a channel reads on just when it is emptied was there before, and is dropped, too.
func TestNothingThatWasThereComesAfterAnEmpty(t *testing.T) {
	ch, publish := keptChannel(t)
	for range 100 {
		publish(1000)
		var reading sync.WaitGroup
		reading.Go(ch.queue.readAhead)
		if err := ch.empty(); err != nil {
			t.Fatal(err)
		}
		reading.Wait()
		if left, _ := ch.queue.depth(); left != 0 {
			t.Fatalf("%d messages are left", left)
		}
	}
}

// What somebody has in hand while the channel is emptied is finished: it is not in flight afterwards, and
// does not come back. What comes later is and does, and so is what was taken over when there was nothing else.
func TestWhatIsInHandDuringAnEmptyIsGone(t *testing.T) {
	ch, publish := keptChannel(t)
	if err := ch.queue.log.log.Adopt([]store.Adopted{{ID: 1, Time: 1, Body: []byte("body")}}); err != nil {
		t.Fatal(err)
	}
	ch.releaseDue(everything)
	for range 3 {
		before := ch.queue.log.emptyings()
		inHand, _ := ch.queue.take(nil, 10, pumpWrite)
		if messagesOf(inHand) == 0 {
			t.Fatal("there is nothing to take")
		}
		if err := ch.empty(); err != nil {
			t.Fatal(err)
		}
		ch.requeue(single(inHand))
		var table inflight
		for _, s := range inHand {
			table.enterKept(ch.queue.log, before, groupsOf(s), 1, 100)
		}
		if depth, _ := ch.queue.depth(); depth > 0 || table.len() > 0 {
			t.Fatalf("%d messages came back, and %d are in flight", depth, table.len())
		}
		publish(5)
		later, _ := ch.queue.take(nil, 10, pumpWrite)
		ch.requeue(single(later))
		for _, s := range later {
			table.enterKept(ch.queue.log, ch.queue.log.emptyings(), groupsOf(s), 1, 100)
		}
		if depth, _ := ch.queue.depth(); depth != 5 || table.len() != 5 {
			t.Fatalf("of 5 later messages %d came back, and %d are in flight", depth, table.len())
		}
	}
}

// Who takes what is due stops when it has taken much of it, and a consumer has it go on. The consumer may
// have taken all of that just before, and found nothing more.
func TestWhatIsDueDoesNotStayWhereAConsumerWasQuick(t *testing.T) {
	ch, _ := keptChannel(t)
	q := ch.queue
	body := make([]byte, dueBytes)
	for id := range uint64(2) {
		if err := q.log.log.Adopt([]store.Adopted{{ID: id + 1, Time: 1, Body: body}}); err != nil {
			t.Fatal(err)
		}
	}
	messages, _, err := q.log.log.Due(nil, everything, 1) // as takeDue, until it looks for room again
	if err != nil || len(messages) != 1 {
		t.Fatal(len(messages), err)
	}
	select {
	case <-q.ready: // the consumer
	default:
	}
	if room := q.roomForDue(len(body)); room != 0 {
		t.Fatalf("there is room for %d messages", room)
	}
	select {
	case <-q.ready:
	default:
		t.Fatal("no consumer looks again")
	}
	ch.env.scan.forget(&ch.release)
	if spans, _ := q.take(nil, 1, pumpWrite); len(spans) != 0 || ch.release.pos == 0 {
		t.Error("what is due is not taken")
	}
}

// A consumer that waited with messages in its hand for who empties the channel would send them
// afterwards.
func TestWhoHasTakenMessagesDoesNotWaitForAnEmpty(t *testing.T) {
	ch, publish := keptChannel(t)
	publish(1000)
	ch.queue.readAhead()
	if !ch.queue.log.enterAlone() { // as who empties it
		t.Fatal("the channel is closed")
	}
	defer ch.queue.log.leaveAlone()
	taken := make(chan int, 1)
	go func() {
		_, n := ch.queue.take(nil, 10, pumpWrite)
		taken <- n
	}()
	select {
	case n := <-taken:
		if n != 10 {
			t.Errorf("%d of 10 messages were taken", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("who takes messages waits, with them in its hand")
	}
}
