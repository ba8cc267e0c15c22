package nsqd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
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
		t.inHand.Store(int64(messagesOf(spans)))
		t.deliver(ctx, spans, chans)
		t.inHand.Store(0)
		clear(spans) // let go of the batches
	}
}

// deliverReminder is how often a channel that cannot take messages is logged.
const deliverReminder = time.Minute

// An undelivered is a channel that could not take messages, and those.
type undelivered struct {
	ch    *channel
	spans []span
}

// deliver gives spans to every channel, all at once: a channel that puts them on
// disk does so in one write.
func (t *topic) deliver(ctx context.Context, spans []span, chans []*channel) {
	var failing []undelivered
	for _, ch := range chans {
		n, err := ch.put(spans)
		rest := spans[n:]
		if err != nil && !errors.Is(err, errExiting) { // one by one it may take some of them
			rest = single(rest)
			n, err = ch.put(rest)
			rest = rest[n:]
		}
		if err != nil && !errors.Is(err, errExiting) {
			t.logFailing(ch, err)
			failing = append(failing, undelivered{ch, rest})
		}
	}
	if len(failing) > 0 {
		t.deliverLate(ctx, failing)
	}
}

// single returns a span for each message of spans.
func single(spans []span) []span {
	all := make([]span, 0, messagesOf(spans))
	for _, s := range spans {
		for s.count > 0 {
			all = append(all, s.pop())
		}
	}
	return all
}

// deliverLate tries channels again that cannot take messages, because their disk
// fails, until they can; the others have got theirs, and the topic holds what
// follows. When ctx ends first, a channel's memory takes them, whatever its bound,
// for its own last attempt to write them down: given back to the topic they would
// go to the others twice.
func (t *topic) deliverLate(ctx context.Context, failing []undelivered) {
	quiet := deliverReminder // until failures are logged again
	for wait := 50 * time.Millisecond; len(failing) > 0; wait = min(2*wait, 2*time.Second) {
		t.inHand.Store(held(failing))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			for _, u := range failing {
				for _, s := range u.spans {
					u.ch.keep(s)
				}
			}
			return
		}
		quiet -= wait
		still := failing[:0]
		for _, u := range failing {
			n, err := u.ch.put(u.spans)
			if err == nil || errors.Is(err, errExiting) {
				continue
			}
			still = append(still, undelivered{u.ch, u.spans[n:]})
			if quiet <= 0 {
				t.logFailing(u.ch, err)
			}
		}
		if failing = still; quiet <= 0 {
			quiet = deliverReminder
		}
	}
}

func held(failing []undelivered) (n int64) {
	for _, u := range failing {
		n += int64(messagesOf(u.spans))
	}
	return n
}

func (t *topic) logFailing(ch *channel, err error) {
	t.env.log.Error(fmt.Sprintf("TOPIC(%s): channel(%s) cannot take messages, the topic keeps them and tries again", t.name, ch.name),
		"topic", logging.Said(t.name), "channel", logging.Said(ch.name), "error", err)
}
