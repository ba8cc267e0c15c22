package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/wire"
)

// An exporter moves what is in a source, messages that wait or are deferred, to a
// target. What it has moved it finishes in the source, which so needs no more
// memory for more messages; the files of the source stay.
type exporter struct {
	dataPath string
	from     *source // of it
	to       *target
	now      int64 // what was due by then is not deferred
	sum      exported
}

// exported counts what an export wrote, and the topics whose files it copied.
type exported struct{ topics, channels, waiting, deferred, copied int }

// String is what is told of it.
func (n exported) String() string {
	text := fmt.Sprintf("%s, %s, %s waiting, %s deferred", chart.Several(n.topics, "topic"),
		chart.Several(n.channels, "channel"), chart.Several(n.waiting, "message"), chart.Several(n.deferred, "message"))
	switch n.copied {
	case 0:
		return text
	case 1:
		return text + "; 1 topic that is not durable, as it was"
	}
	return text + fmt.Sprintf("; %d topics that are not durable, as they were", n.copied)
}

func export(ctx context.Context, o *options, out io.Writer) (err error) {
	from, err := openSource(o.dataPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	if err := store.CheckFiles(vfs.Default, from.at.dir, from.add); err != nil {
		return err
	}
	if isWithin(o.to, orCurrent(o.dataPath)) {
		return fmt.Errorf("--to=%s: it is in the data path that is exported", o.to)
	}
	to, err := createTarget(o.to, logger())
	if err != nil {
		return err
	}
	e := &exporter{dataPath: o.dataPath, from: from, to: to, now: time.Now().UnixNano()}
	err = errors.Join(e.run(ctx), to.close())
	if err != nil {
		return fmt.Errorf("the export to %s is not complete: %w", o.to, err)
	}
	fmt.Fprintf(out, "%s: %s\n", o.to, e.sum)
	if from.tell(out) {
		return tool.ErrSilent
	}
	return nil
}

// run exports everything. nsqd.dat comes last: without it nobody takes a part for
// the whole.
func (e *exporter) run(ctx context.Context) error {
	if err := e.to.copyFiles(e.dataPath); err != nil {
		return err
	}
	for _, t := range e.from.Topics() {
		if err := e.topic(ctx, t); err != nil {
			return fmt.Errorf("topic %s: %w", t.Name(), err)
		}
	}
	m, err := readMetadata(e.dataPath)
	if err != nil {
		return err
	}
	m.add(e.from.Topics())
	e.sum.copied = len(m.Topics) - e.sum.topics
	return e.to.writeMetadata(m)
}

// topic exports the channels of a topic, and then what it holds itself: the
// channels must not have got that too.
func (e *exporter) topic(ctx context.Context, t *store.Topic) error {
	e.sum.topics++
	channels := t.Channels()
	for _, ch := range channels {
		e.sum.channels++
		if err := e.channel(ctx, ch, channelQueueName(t.Name(), ch.Name()), atTime); err != nil {
			return fmt.Errorf("channel %s: %w", ch.Name(), err)
		}
	}
	if t.Depth() == 0 {
		return nil
	}
	own, err := t.CreateChannel(unused(channels))
	if err != nil {
		return err
	}
	t.Release()
	return errors.Join(e.channel(ctx, own, t.Name(), e.asDelay), own.Delete())
}

// unused returns a name that no channel has.
func unused(channels []*store.Channel) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("export-%d", i)
		if !slices.ContainsFunc(channels, func(ch *store.Channel) bool { return ch.Name() == name }) {
			return name
		}
	}
}

// atTime and asDelay are what a file of deferred messages has of a channel and of a
// topic.
func atTime(due int64) int64                { return due }
func (e *exporter) asDelay(due int64) int64 { return due - e.now }

// channel exports what a channel has, to the queue of that name.
func (e *exporter) channel(ctx context.Context, ch *store.Channel, name string, deferral func(due int64) int64) error {
	q := e.to.queue(name)
	err := e.deferred(ctx, ch, q, deferral)
	if err == nil {
		err = e.waiting(ctx, ch, q)
	}
	return errors.Join(err, q.close())
}

// What is taken from the source at a time.
const (
	messagesAtOnce = 1000
	bytesAtOnce    = 1 << 20
)

// waiting exports what waits for consumers.
func (e *exporter) waiting(ctx context.Context, ch *store.Channel, q *queue) error {
	var messages []store.Message
	for {
		var err error
		if messages, err = ch.Next(messages[:0], messagesAtOnce, bytesAtOnce); err != nil || len(messages) == 0 {
			return err
		}
		n, err := move(ctx, ch, messages, q.put)
		e.sum.waiting += n
		if err != nil {
			return err
		}
	}
}

// deferred exports what is deferred: what is due by now to the queue, the rest to
// the file for it.
func (e *exporter) deferred(ctx context.Context, ch *store.Channel, q *queue, deferral func(due int64) int64) error {
	count, put, until := &e.sum.waiting, q.put, e.now
	var messages []store.Message
	for {
		var next int64
		var err error
		if messages, next, err = ch.Due(messages[:0], until, messagesAtOnce); err != nil {
			return err
		}
		switch {
		case len(messages) > 0:
		case next == 0:
			return nil
		case next <= until: // what there was is damaged
			continue
		default:
			until = next // when the earliest of the others is due
			count, put = &e.sum.deferred, func(m []message) error { return q.putDeferred(deferral(until), m) }
			continue
		}
		n, err := move(ctx, ch, messages, put)
		*count += n
		if err != nil {
			return err
		}
	}
}

// move gives messages to put and finishes them in the channel they came from.
func move(ctx context.Context, ch *store.Channel, runs []store.Message, put func([]message) error) (n int, err error) {
	var messages []message
	for i := range runs {
		messages = appendMessages(messages, &runs[i])
	}
	if err := put(messages); err != nil {
		return 0, err
	}
	finish(ch, runs)
	return len(messages), context.Cause(ctx)
}

func finish(ch *store.Channel, messages []store.Message) {
	runs := make([]store.Run, len(messages))
	for i := range messages {
		runs[i] = store.Run{First: messages[i].Seq(), Count: messages[i].Count}
	}
	ch.Finish(runs)
}

// appendMessages takes the messages of a run apart.
func appendMessages(dst []message, run *store.Message) []message {
	rest := run.Batch.Payload[run.Offset:]
	for i := range run.Count {
		size := wire.SizeLen + int(binary.BigEndian.Uint32(rest))
		dst = append(dst, message{run.Batch.Time, run.Attempts, run.Batch.ID + uint64(run.Index+i), rest[wire.SizeLen:size]})
		rest = rest[size:]
	}
	return dst
}
