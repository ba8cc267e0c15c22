package nsqd

import (
	"context"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/wire"
)

// env is what topics, channels and connections need of the daemon around them.
type env struct {
	opts      *Options
	log       *slog.Logger
	start     time.Time
	scan      *queueScan
	diskNames *diskq.Names                // the queues that the data path holds files of
	changed   func()                      // what nsqd.dat holds has changed: it must be written
	saved     func(context.Context) error // waits until it is
	stale     staleFiles
	foldsCase atomic.Bool // the data path's file system takes "a" and "A" for one name
	health    health
	panics    atomic.Uint64
	stopping  atomic.Bool // connections are about to be closed: nothing is delivered any more
}

// now returns the daemon's monotonic clock in nanoseconds; it never is 0.
func (e *env) now() int64 { return int64(time.Since(e.start)) + 1 }

// recoverPanic is deferred by every goroutine of a connection: it ends the
// connection, is counted, and the daemon goes on.
func (e *env) recoverPanic(what string, client net.Addr) {
	if r := recover(); r != nil {
		e.panics.Add(1)
		e.log.Error(what+": panic, the connection is closed", "client", client, "panic", r, "stack", string(debug.Stack()))
	}
}

func (e *env) diskOptions() diskq.Options {
	return diskq.Options{
		Dir:             e.opts.DataPath,
		Names:           e.diskNames,
		MaxBytesPerFile: e.opts.MaxBytesPerFile,
		MinRecord:       wire.MessageHeaderLen,
		MaxRecord:       int32(min(math.MaxInt32, max(maxStoredMessage, e.opts.MaxMsgSize)+wire.MessageHeaderLen)),
		SyncEvery:       e.opts.SyncEvery,
		SyncTimeout:     e.opts.SyncTimeout,
		Logger:          e.log,
	}
}

// maxStoredMessage is the size up to which a message is read back from disk
// even when today's --max-msg-size is smaller.
const maxStoredMessage = 64 << 20
