package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// run publishes the records of stdin until its end, or until ctx ends. It
// returns nil if every nsqd has every record that was read.
func run(ctx context.Context, o *options, stdin *os.File) error {
	out, err := newFanOut(o)
	if err != nil {
		return err
	}
	defer out.stop()
	if o.progress {
		out.show(startProgress(stdin, os.Stderr))
		defer out.progress.stop()
	}
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
		out.logger.Printf("Throttling messages rate to max:%d/second", o.rate)
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
			return out.publish(&b) // empty records that came last
		case err != nil:
			return fmt.Errorf("failed to read record %d - %w", number, err)
		case len(record) == 0:
			b.end = in.offset
			continue
		}
		if wait := limit.take(time.Now()); wait > 0 {
			if err := out.publish(&b); err != nil {
				return err
			}
			sleep(ctx, wait)
		}
		b.end = in.offset
		b.add(record, number) // even if ctx has ended: it was read
	}
}
