package nsqd

import (
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/wire"
)

// What a channel reads on just when it is emptied was there before, and is dropped, too.
func TestNothingThatWasThereComesAfterAnEmpty(t *testing.T) {
	e := testEnv(t, 1)
	e.durable.init(e)
	defer e.durable.close()
	var ts topics
	ts.init(e)
	orders, err := ts.create("orders", Disk, true)
	if err != nil {
		t.Fatal(err)
	}
	defer orders.stopPump()
	ch, err := orders.channel("billing")
	if err != nil {
		t.Fatal(err)
	}
	const count = 1000
	var payload []byte
	for range count {
		payload = append(wire.AppendSize(payload, 4), "body"...)
	}
	for range 100 {
		if err := orders.publish(payload, count, 0); err != nil {
			t.Fatal(err)
		}
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
