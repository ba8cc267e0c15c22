package nsqd

import (
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/histogram"
)

// env is what topics, channels and connections need of the daemon around them.
type env struct {
	opts      *Options
	log       *slog.Logger
	start     time.Time
	scan      *queueScan
	disk      *diskq.Store                // the disk queues of the data path
	changed   func()                      // what nsqd.dat holds has changed: it must be written
	saved     func(context.Context) error // waits until it is
	lookups   *lookups                    // is told of topics and channels that appear and go
	stale     staleFiles
	foldsCase atomic.Bool  // the data path's file system takes "a" and "A" for one name
	auth      *auth.Client // nil without auth servers
	health    health
	panics    atomic.Uint64
	flushed   atomic.Int64  // writes to disk that a stop has made
	accepted  atomic.Uint64 // connections that speak the protocol, since the start
	stopping  atomic.Bool   // connections are about to be closed: nothing is delivered any more

	publishLatency  *histogram.Striped
	publishFailures atomic.Uint64 // PUBs, MPUBs, DPUBs and requests that could not be kept
}

// now returns the daemon's monotonic clock in nanoseconds; it never is 0.
func (e *env) now() int64 { return int64(time.Since(e.start)) + 1 }

// recoverPanic is deferred by every goroutine of a connection: it ends the
// connection, is counted, and the daemon goes on.
func (e *env) recoverPanic(what string, client net.Addr) {
	if r := recover(); r != nil {
		e.logPanic(what, client, r)
	}
}

func (e *env) logPanic(what string, client net.Addr, panicked any) {
	e.panics.Add(1)
	e.log.Error(what+": panic, the connection is closed", "client", client, "panic", panicked, "stack", string(debug.Stack()))
}
