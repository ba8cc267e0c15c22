package main

import (
	"context"
	"errors"
	"sync"
)

// A group is goroutines that do a part each. The first that fails ends all.
type group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// run runs f in a goroutine. f ends when its context does; what it returns then does
// not matter.
func (g *group) run(f func(ctx context.Context) error) {
	g.wg.Go(func() {
		if err := f(g.ctx); err != nil {
			g.cancel(err)
		}
	})
}

var errStopped = errors.New("stopped")

// stop ends what is still running and returns the error of the first that had failed
// before.
func (g *group) stop() error {
	g.cancel(errStopped)
	g.wg.Wait()
	if err := context.Cause(g.ctx); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}
