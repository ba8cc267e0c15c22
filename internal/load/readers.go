package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Readers are consumers that take whatever comes until they are stopped.
type Readers struct {
	Messages atomic.Int64
	bytes    atomic.Int64

	parent  context.Context
	ctx     context.Context
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
}

// NewReaders returns readers that stop when ctx ends, if not earlier.
func NewReaders(ctx context.Context) *Readers {
	r := &Readers{parent: ctx}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	return r
}

// Subscribe adds a connection that takes the messages of a channel. took, if it is
// not nil, is told of what each read brought. It is no error if ctx ends meanwhile.
func (r *Readers) Subscribe(addr, topic, channel string, rdy int, took func(n int)) error {
	c, err := Subscribe(r.ctx, addr, Settings{}, topic, channel, rdy)
	switch {
	case r.ctx.Err() != nil: // the error, if any, is only that
		return r.Err()
	case err != nil:
		return err
	}
	var counted int64
	c.Took = func(n int) {
		r.Messages.Add(int64(n))
		r.bytes.Add(c.Bytes - counted)
		counted = c.Bytes
		if took != nil {
			took(n)
		}
	}
	r.running.Go(func() {
		if err := c.Run(); r.ctx.Err() == nil {
			r.cancel(err)
		}
	})
	return nil
}

// Wait waits for a time, or less if ctx ends, which is no error, or a reader fails.
func (r *Readers) Wait(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-r.ctx.Done():
		return r.Err()
	}
}

// Err returns why a reader has failed, if one has.
func (r *Readers) Err() error {
	if r.parent.Err() != nil {
		return nil
	}
	return context.Cause(r.ctx)
}

// Context ends when the readers do.
func (r *Readers) Context() context.Context { return r.ctx }

// Stop ends all connections and waits for the readers.
func (r *Readers) Stop() {
	r.cancel(nil)
	r.running.Wait()
}

// MeanSize returns the mean size of the messages so far.
func (r *Readers) MeanSize() int { return int(r.bytes.Load() / max(1, r.Messages.Load())) }
