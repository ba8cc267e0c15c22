package nsq

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// interrupted returns the error of a call whose ctx ended while it was doing what
// it says. It is ctx.Err() and the cause of that, if there is another.
func interrupted(ctx context.Context, doing string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	return fmt.Errorf("%s: %w: %w", doing, err, cause)
}

// wakeWhenEnded makes everybody who waits for cond look again when ctx ends. What
// it returns is to be called when that is of no use any more.
func wakeWhenEnded(ctx context.Context, cond *sync.Cond) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		cond.L.Lock()
		defer cond.L.Unlock()
		cond.Broadcast()
	})
}
