package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A batch that is not what it says it is ends its publisher, and nobody else waits for a lock
// that this one had.
func TestAPanicOfWhoAppendsLeavesTheTopicUsable(t *testing.T) {
	s := mustOpen(t, testOptions(t, vfs.NewMem()))
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("nothing is wrong with it")
			}
		}()
		b := batch("later", "later")
		b.Due = hour(1)
		b.Payload[3] = 200 // as the size of the first message
		_ = topic.Append([]*Batch{b})
	}()
	if !topic.mu.TryLock() {
		t.Fatal("the topic is locked")
	}
	topic.mu.Unlock()
	mustAppend(t, topic, numbered(0, 3))
	if depth := channels[0].Depth(); depth < 3 {
		t.Errorf("the channel has %d messages", depth)
	}
}
