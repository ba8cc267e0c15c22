package nsqd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	pumpBytes = 1 << 20 // what one round of a topic's pump takes at most
	idleSpans = 64      // room for as many spans is what the pump of an idle topic keeps
)

// messagePump gives every message of the topic to every channel, until ctx
// ends. It is the only one that takes from the topic's queue.
func (t *topic) messagePump(ctx context.Context) {
	var spans []span
	for ctx.Err() == nil { // with a large backlog, too, a stop is not late
		spans, _ = t.queue.take(spans[:0], maxBatch, pumpBytes)
		if len(spans) == 0 {
			if cap(spans) > idleSpans {
				spans = nil
			}
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
			if ctx.Err() != nil {
				t.queue.putBack(spans[i:])
				return
			}
			t.deliver(ctx, s, chans)
		}
		clear(spans) // let go of the batches
	}
}

// deliverReminder is how often a channel that cannot take messages is logged.
const deliverReminder = time.Minute

// deliver gives s to every channel. One that cannot take it, because its disk
// fails, is tried again until it can, after the others have got theirs: the
// topic holds what follows. When ctx ends first, its memory takes it, whatever
// its bound, for its own last attempt to write it down: given back to the topic
// it would go to the others twice.
func (t *topic) deliver(ctx context.Context, s span, chans []*channel) {
	var failing []*channel
	var quiet time.Duration // until a failure is logged again
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		for _, ch := range chans {
			err := ch.put(s)
			if err == nil || errors.Is(err, errExiting) {
				continue
			}
			failing = append(failing, ch)
			if quiet <= 0 {
				t.env.log.Error(fmt.Sprintf("TOPIC(%s): channel(%s) cannot take messages, the topic keeps them and tries again", t.name, ch.name), "error", err)
			}
		}
		if len(failing) == 0 {
			return
		}
		if quiet <= 0 {
			quiet = deliverReminder
		}
		quiet -= wait
		chans, failing = failing, nil
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			for _, ch := range chans {
				ch.keep(s)
			}
			return
		}
	}
}
