package load

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// A Pace publishes at a steady rate, whether or not what was published before is
// answered yet: the times of slow answers are not left out, as they would be if
// the next message waited for them.
type Pace struct {
	Batches  []*Batch // are sent in turn, of one message each
	Interval time.Duration

	// Stamp returns the time that message i bears, from when it was due and when
	// it is sent. Both are on the clock of Now.
	Stamp func(i int, due, now int64) int64
}

// Run publishes messages, the first one at the time start, until another one would
// be due at the time end, and returns when all are answered. Nobody else may use
// the connection.
func (p *Pace) Run(ctx context.Context, c *Conn, start, end int64) (sent Tally, err error) {
	messages := int((end - start + int64(p.Interval) - 1) / int64(p.Interval))
	var answers sync.WaitGroup
	var answersErr error
	answers.Go(func() {
		for missing := messages; missing > 0; {
			n, err := c.frames(nil)
			if err != nil {
				answersErr = err
				return
			}
			missing -= n
		}
	})
	err = p.send(ctx, c, start, messages, &sent)
	if err != nil {
		c.Close() // the answers are not all to come
	}
	answers.Wait()
	if err == nil {
		err = answersErr
	}
	if err != nil {
		err = fmt.Errorf("publishing: %w", err)
	}
	return sent, err
}

func (p *Pace) send(ctx context.Context, c *Conn, start int64, messages int, sent *Tally) error {
	runtime.LockOSThread() // which sleeps by itself
	defer runtime.UnlockOSThread()
	preciseSleeps()
	for i := range messages {
		due := start + int64(i)*int64(p.Interval)
		now := Now()
		for now < due {
			if err := ctx.Err(); err != nil {
				return err
			}
			sleep(time.Duration(due - now))
			now = Now()
		}
		b := p.Batches[i%len(p.Batches)]
		b.Number(uint64(i), sent)
		b.Stamp(p.Stamp(i, due, now))
		if err := c.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
