package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// batch holds records that are published together.
type batch struct {
	data    []byte // what bodies are parts of
	bodies  [][]byte
	numbers []int // of the records in the input
	end     int64 // of what was read for it, empty records too
}

// add adds a copy of a record.
func (b *batch) add(record []byte, number int) {
	start := len(b.data)
	b.data = append(b.data, record...) // bodies in an array it outgrew stay there
	b.bodies = append(b.bodies, b.data[start:])
	b.numbers = append(b.numbers, number)
}

// full reports whether the batch is so large that nsqd might not take more of
// it in one command.
func (b *batch) full() bool { return len(b.data) >= readBufferSize }

// reset empties the batch.
func (b *batch) reset() {
	if cap(b.data) > maxKept {
		b.data = nil
	}
	b.data, b.bodies, b.numbers = b.data[:0], b.bodies[:0], b.numbers[:0]
}

// fanOut publishes to several nsqds. No more than one command is on its way to
// each of them: whatever becomes of it, nsqd has everything before the records it
// has not confirmed, and nothing after them.
type fanOut struct {
	topic        string
	destinations []*destination
	progress     *progress
	logger       *log.Logger
	hurry        func()      // gives nsqds tool.StopTimeout from now to answer, once
	gaveUp       atomic.Bool // that is over
}

// destination is one nsqd.
type destination struct {
	*nsq.Producer
	single bool // it refused a batch of records it takes one by one
}

func newFanOut(o *options) (*fanOut, error) {
	f := &fanOut{topic: o.topic, logger: log.Default()}
	f.hurry = sync.OnceFunc(func() {
		time.AfterFunc(tool.StopTimeout, func() {
			f.gaveUp.Store(true)
			f.stop()
		})
	})
	for _, addr := range *o.nsqds {
		producer, err := nsq.NewProducer(addr, o.producer)
		if err != nil {
			return nil, err // as for the first: nothing to stop yet
		}
		f.destinations = append(f.destinations, &destination{Producer: producer})
	}
	return f, nil
}

// connect makes sure that every nsqd is there before anything is published. It
// fails when ctx ends.
func (f *fanOut) connect(ctx context.Context) error {
	defer context.AfterFunc(ctx, f.stop)()
	for _, d := range f.destinations {
		if err := d.Ping(); err != nil {
			return fmt.Errorf("failed to connect to nsqd %s - %w", d, err)
		}
	}
	return nil
}

// show has what is published counted by p, and log lines go through it.
func (f *fanOut) show(p *progress) {
	if p == nil {
		return
	}
	f.progress, f.logger = p, log.New(p, "", log.Flags())
	for _, d := range f.destinations {
		d.SetLogger(f.logger, nsq.LogLevelInfo)
	}
}

// publish empties the batch and returns when every nsqd has its records, or has
// failed to take them; after an error it must not be called again.
func (f *fanOut) publish(b *batch) error {
	if len(b.bodies) > 0 {
		if err := f.publishToAll(b); err != nil {
			return err
		}
	}
	f.progress.done(len(b.bodies), b.end)
	b.reset()
	return nil
}

func (f *fanOut) publishToAll(b *batch) error {
	errs := make([]error, len(f.destinations))
	var all sync.WaitGroup
	for i, d := range f.destinations {
		all.Go(func() {
			if errs[i] = f.publishTo(d, b); errs[i] != nil {
				f.hurry()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (f *fanOut) publishTo(d *destination, b *batch) error {
	if len(b.bodies) > 1 && !d.single {
		err := d.MultiPublish(f.topic, b.bodies)
		if err == nil {
			return nil
		}
		if !refused(err) {
			return f.failure(d, b.numbers, err)
		}
		d.single = true // nsqd has none of them: find those it takes
	}
	for i, body := range b.bodies {
		if err := d.Publish(f.topic, body); err != nil {
			return f.failure(d, b.numbers[i:i+1], err)
		}
	}
	return nil
}

// refused reports whether nsqd did not like a command, and so did nothing.
func refused(err error) bool {
	answer, ok := errors.AsType[nsq.ErrProtocol](err)
	return ok && strings.HasPrefix(answer.Reason, "E_BAD_")
}

// failure says what is needed to publish the rest of the input later.
func (f *fanOut) failure(d *destination, numbers []int, err error) error {
	if f.gaveUp.Load() && (errors.Is(err, nsq.ErrNotConnected) || errors.Is(err, nsq.ErrStopped)) {
		err = fmt.Errorf("no answer, gave up after %v", tool.StopTimeout)
	}
	first, last := numbers[0], numbers[len(numbers)-1]
	which, were := fmt.Sprintf("record %d", first), "1 record was"
	if n := len(numbers); n > 1 {
		which, were = fmt.Sprintf("records %d to %d", first, last), fmt.Sprintf("%d records were", n)
	}
	return fmt.Errorf("failed to publish %s to nsqd %s - %w; %s not confirmed: nsqd has everything before record %d and nothing after record %d",
		which, d, err, were, first, last)
}

// stop ends the connections, within a few seconds.
func (f *fanOut) stop() {
	var all sync.WaitGroup
	for _, d := range f.destinations {
		all.Go(d.Stop)
	}
	all.Wait()
}
