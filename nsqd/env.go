package nsqd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/histogram"
	"github.com/seed893f581e/nsq/internal/wire"
)

// env is what topics, channels and connections need of the daemon around them.
type env struct {
	opts      *Options
	log       *slog.Logger
	start     time.Time
	scan      *queueScan
	disk      *diskq.Store                // the disk queues of the data path
	durable   durableStore                // the logs of durable topics
	changed   func()                      // what nsqd.dat holds has changed: it must be written
	saved     func(context.Context) error // waits until it is
	lookups   *lookups                    // is told of topics and channels that appear and go
	stale     staleFiles
	foldsCase atomic.Bool  // the data path's file system takes "a" and "A" for one name
	auth      *auth.Client // nil without auth servers
	health    health
	panics    atomic.Uint64
	reserve   int64         // bytes that disk queues leave free
	phase     atomic.Int32  // a phase: whether messages are taken from publishers
	flushed   atomic.Int64  // writes to disk that a stop has made
	accepted  atomic.Uint64 // connections that speak the protocol, since the start
	stopping  atomic.Bool   // connections are about to be closed: nothing is delivered any more

	publishLatency  *histogram.Striped
	publishFailures atomic.Uint64 // PUBs, MPUBs, DPUBs and requests that could not be kept
}

// A phase says whether messages are taken from publishers, and why not.
type phase int32

const (
	phaseServing phase = iota
	phaseLoading
	phaseDraining
)

var (
	errLoading  = errors.New("loading")
	errDraining = errors.New(wire.Draining)
)

func (e *env) setPhase(p phase) { e.phase.Store(int32(p)) }
func (e *env) phaseNow() phase  { return phase(e.phase.Load()) }

// refusal is the error that publishers are given.
func (p phase) refusal() error {
	switch p {
	case phaseLoading:
		return errLoading
	case phaseDraining:
		return errDraining
	}
	return nil
}

// publishFailed counts what could not be kept, unless nothing was to be.
func (e *env) publishFailed(err error) {
	if !errors.Is(err, errDraining) && !errors.Is(err, errLoading) {
		e.publishFailures.Add(1)
	}
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
