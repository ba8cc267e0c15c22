package nsqd

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/diskspace"
)

// diskReserve watches whether less is free on the disk than queues leave free: they
// find out with the next write, of which there may be none for long. It is safe for
// concurrent use.
type diskReserve struct {
	ask   func() (free int64, err error)
	least int64        // bytes; 0 for nothing
	free  atomic.Int64 // bytes when it last looked
}

// reserveLook is the time between two looks.
const reserveLook = 2 * time.Second

func (r *diskReserve) init(dir string, least int64) {
	r.least = least
	r.ask = func() (int64, error) {
		free, _, err := diskspace.Free(dir)
		return free, err
	}
	r.look()
}

// look notes how much is free. Where that cannot be told, it is enough.
func (r *diskReserve) look() {
	free, err := r.ask()
	if err != nil {
		free = r.least
	}
	r.free.Store(free)
}

// watch looks again and again, until ctx ends.
func (r *diskReserve) watch(ctx context.Context) {
	ticker := time.NewTicker(reserveLook)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.look()
		case <-ctx.Done():
			return
		}
	}
}

// Err returns an error if the reserve is not free any more.
func (r *diskReserve) Err() error {
	if free := r.free.Load(); free < r.least {
		return fmt.Errorf("disk full: %d bytes are free, fewer than the %d of --min-free-disk", free, r.least)
	}
	return nil
}
