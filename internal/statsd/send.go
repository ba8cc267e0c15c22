package statsd

import (
	"cmp"
	"context"
	"io"
	"time"
)

// Send writes packets to w, each with one call, spread evenly over the given
// time: the first at once. A packet that fails does not keep back the others;
// the first error is returned. It ends early, with the context's error, when
// that ends.
func Send(ctx context.Context, w io.Writer, packets [][]byte, over time.Duration) (err error) {
	start := time.Now()
	for i, p := range packets {
		due := start.Add(time.Duration(int64(over) / int64(len(packets)) * int64(i)))
		if err := waitUntil(ctx, due); err != nil {
			return err
		}
		_, failed := w.Write(p)
		err = cmp.Or(err, failed)
	}
	return err
}

func waitUntil(ctx context.Context, due time.Time) error {
	d := time.Until(due)
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
