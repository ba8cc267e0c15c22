package nsqd

import "testing"

// A topic that takes the place of another has all channels of that before any of them
// gets a message.
func TestHeldTopicKeepsMessagesUntilItIsReleased(t *testing.T) {
	for _, d := range []Durability{Memory, Disk} {
		t.Run(d.String(), func(t *testing.T) {
			e := testEnv(t, 10)
			t.Cleanup(func() { e.durable.close() })
			e.lookups = new(lookups)
			var ts topics
			ts.init(e)
			top, err := ts.make(newTopicWanted{name: "t", durability: d, chosen: true, held: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { top.stopPump(); top.pump.Wait() })
			if _, err := top.channel("first"); err != nil {
				t.Fatal(err)
			}
			if err := top.publish(batchOf(1, "m").payload, 1, 0); err != nil {
				t.Fatal(err)
			}
			if depth, _ := top.depth(); depth != 1 {
				t.Errorf("the topic holds %d messages, want 1", depth)
			}
		})
	}
}
