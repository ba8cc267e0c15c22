package nsqd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What one round of a topic's pump takes at most.
const pumpBytes = 1 << 20

// messagePump gives every message of the topic to every channel, until ctx
// ends. It is the only one that takes from the topic's queue.
func (t *topic) messagePump(ctx context.Context) {
	var spans []span
	for ctx.Err() == nil { // with a large backlog, too, a stop is not late
		spans, _ = t.queue.take(spans[:0], maxBatch, pumpBytes)
		if len(spans) == 0 {
			select {
			case <-t.queue.ready:
				continue
			case <-ctx.Done():
				return
			}
		}
		chans := *t.fanout.Load()
		if len(chans) == 0 { // the last channel went between the two
			t.queue.putBack(spans)
			continue
		}
		for i, s := range spans {
			if !t.deliver(ctx, s, chans) {
				t.queue.putBack(spans[i:])
				return
			}
		}
		clear(spans) // let go of the batches
	}
}

// deliver gives s to every channel. A channel that cannot take it, because its
// disk fails, is tried again until it can; false means that ctx ended first.
func (t *topic) deliver(ctx context.Context, s span, chans []*channel) bool {
	for _, ch := range chans {
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
			err := ch.put(s)
			if err == nil || errors.Is(err, errExiting) {
				break
			}
			t.env.log.Error(fmt.Sprintf("TOPIC(%s): channel(%s) cannot take messages, will try again", t.name, ch.name),
				"messages", s.count, "in", wait, "error", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return false
			}
		}
	}
	return true
}
