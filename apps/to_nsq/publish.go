package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// window is how many messages may be on their way to an nsqd without its
// answer.
const window = 1000

// run publishes the records of stdin until its end, or until ctx ends. It
// returns nil if every nsqd has every record that was read.
func run(ctx context.Context, o *options, stdin io.Reader) error {
	out, err := newFanOut(o)
	if err != nil {
		return err
	}
	defer out.stop()
	if err := out.connect(); err != nil {
		return err
	}

	var limit *bucket
	if o.rate >= 1 {
		log.Printf("Throttling messages rate to max:%d/second", o.rate)
		limit = newBucket(o.rate, time.Now())
	}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	defer context.AfterFunc(out.failed, stopReading)()
	in := newRecords(interruptible(reading, stdin), o.delimiter[0])

	readErr := publishAll(reading, in, limit, out)
	if err := out.wait(); err != nil {
		return err
	}
	return readErr
}

// publishAll publishes until the end of the input or of ctx, or until a
// publish failed, which out.wait reports. Its error is that of reading.
func publishAll(ctx context.Context, in *records, limit *bucket, out *fanOut) error {
	for number := 1; ; number++ {
		record, err := in.next()
		switch {
		case errors.Is(err, io.EOF), err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("failed to read record %d - %w", number, err)
		case len(record) == 0:
			continue
		}
		goOn := limit.wait(ctx)
		if !out.publish(record, number) || !goOn { // in any case: it was read
			return nil
		}
	}
}

// fanOut publishes to several nsqds. publish and wait must not be called at the
// same time.
type fanOut struct {
	topic        string
	destinations []*destination
	failed       context.Context // ends when a publish fails; its cause says how
	fail         context.CancelCauseFunc
	answers      sync.WaitGroup // goroutines, one for each destination
}

// destination is one nsqd.
type destination struct {
	producer *nsq.Producer
	done     chan *nsq.ProducerTransaction
	unsure   chan struct{} // holds one for each message nsqd has not answered
}

func newFanOut(o *options) (*fanOut, error) {
	f := &fanOut{topic: o.topic}
	f.failed, f.fail = context.WithCancelCause(context.Background())
	for _, addr := range *o.nsqds {
		producer, err := nsq.NewProducer(addr, o.producer)
		if err != nil {
			return nil, err // as for the first: nothing to stop yet
		}
		f.destinations = append(f.destinations, &destination{
			producer: producer,
			done:     make(chan *nsq.ProducerTransaction, window),
			unsure:   make(chan struct{}, window),
		})
	}
	for _, d := range f.destinations {
		f.answers.Go(func() { f.takeAnswers(d) })
	}
	return f, nil
}

// connect makes sure that every nsqd is there before anything is published.
func (f *fanOut) connect() error {
	for _, d := range f.destinations {
		if err := d.producer.Ping(); err != nil {
			return fmt.Errorf("failed to connect to nsqd %s - %w", d.producer, err)
		}
	}
	return nil
}

func (f *fanOut) takeAnswers(d *destination) {
	for t := range d.done {
		if t.Error != nil {
			f.fail(publishError(d, t.Args[0].(int), t.Error))
		}
		<-d.unsure
	}
}

func publishError(d *destination, number int, err error) error {
	return fmt.Errorf("failed to publish record %d to nsqd %s - %w", number, d.producer, err)
}

// publish sends a record to every nsqd. It waits while too many answers are
// missing and returns false once any publish has failed.
func (f *fanOut) publish(record []byte, number int) bool {
	for _, d := range f.destinations {
		select {
		case d.unsure <- struct{}{}:
		case <-f.failed.Done():
			return false
		}
		if err := d.producer.PublishAsync(f.topic, record, d.done, number); err != nil {
			f.fail(publishError(d, number, err))
			return false
		}
	}
	return f.failed.Err() == nil
}

// wait returns when all answers are there, or with the first failure.
func (f *fanOut) wait() error {
	for _, d := range f.destinations {
		for range window {
			select {
			case d.unsure <- struct{}{}:
			case <-f.failed.Done():
				return context.Cause(f.failed)
			}
		}
	}
	return context.Cause(f.failed)
}

// stop ends the connections.
func (f *fanOut) stop() {
	for _, d := range f.destinations {
		d.producer.Stop()
		close(d.done)
	}
	f.answers.Wait()
}
