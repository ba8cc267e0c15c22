package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"
)

// run publishes the records of stdin until its end, or until ctx ends. It
// returns nil if every nsqd has every record that was read.
func run(ctx context.Context, o *options, stdin io.Reader) error {
	out, err := newFanOut(o)
	if err != nil {
		return err
	}
	defer out.stop()
	err = out.connect(ctx)
	switch {
	case ctx.Err() != nil:
		return nil // nothing was read yet
	case err != nil:
		return err
	}
	defer context.AfterFunc(ctx, out.hurry)()

	var limit *bucket
	if o.rate > 0 {
		log.Printf("Throttling messages rate to max:%d/second", o.rate)
		limit = newBucket(o.rate, time.Now())
	}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	return publishAll(ctx, newRecords(interruptible(reading, stdin), o.delimiter[0]), limit, out)
}

// publishAll publishes until the end of the input or of ctx. Records that are
// there at the same time are published together.
func publishAll(ctx context.Context, in *records, limit *bucket, out *fanOut) error {
	var b batch
	for number := 1; ; number++ {
		if !in.ready() || b.full() {
			if err := out.publish(&b); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return out.publish(&b)
		}
		record, err := in.next() // if it was not ready, the batch is empty
		switch {
		case errors.Is(err, io.EOF), err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("failed to read record %d - %w", number, err)
		case len(record) == 0:
			continue
		}
		if wait := limit.take(time.Now()); wait > 0 {
			if err := out.publish(&b); err != nil {
				return err
			}
			sleep(ctx, wait)
		}
		b.add(record, number) // even if ctx has ended: it was read
	}
}
