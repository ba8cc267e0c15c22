package load

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Group is goroutines that do a part each. The first that fails ends all.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

// NewGroup returns a group that ends with ctx. It must be waited for or stopped.
func NewGroup(ctx context.Context) *Group {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Context returns what ends when a goroutine of the group has failed, or when the
// group is stopped.
func (g *Group) Context() context.Context { return g.ctx }

// Run runs f in a goroutine. f should end when the group's context does; what it
// returns then does not matter.
func (g *Group) Run(f func(ctx context.Context) error) {
	g.wg.Go(func() {
		if err := f(g.ctx); err != nil {
			g.cancel(err)
		}
	})
}

// Wait waits for all and returns the error of the first that failed.
func (g *Group) Wait() error {
	g.wg.Wait()
	err := context.Cause(g.ctx)
	g.cancel(nil)
	return err
}

var errStopped = errors.New("stopped")

// Stop ends what is still running and returns the error of the first that had
// failed before.
func (g *Group) Stop() error {
	g.cancel(errStopped)
	if err := g.Wait(); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// Sleep waits for a while, which may be over already, or until ctx ends: then it
// returns why.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
