// Package nsqtest runs daemons inside a test, and fakes of them that do what no
// healthy daemon does. It has what the tests of daemons and clients share:
// connections that never leave the process, transcripts, mutated streams, and
// waiting for what others do.
package nsqtest

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed893f581e/nsq/nsqd"
)

// An NSQD is a broker inside a test, on ports of its own.
type NSQD struct {
	*nsqd.NSQD
	TB   testing.TB
	Opts *nsqd.Options // to start another on the same data path

	main    chan error
	stopped bool
}

// Options returns options for a broker inside a test: loopback addresses on
// free ports, no HTTPS, a data path of its own, logs that show with the test's
// output when it fails.
func Options(tb testing.TB) *nsqd.Options {
	opts := nsqd.NewOptions()
	opts.TCPAddress = "127.0.0.1:0"
	opts.HTTPAddress = "127.0.0.1:0"
	opts.HTTPSAddress = ""
	opts.BroadcastAddress = "127.0.0.1"
	opts.DataPath = tb.TempDir()
	opts.Logger = slog.New(slog.NewTextHandler(testWriter{tb}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return opts
}

// Start runs a broker until the end of the test, or until Stop. At the end it
// checks that the brokers of the test stopped cleanly and left no goroutine
// behind. nil options mean Options(tb).
func Start(tb testing.TB, opts *nsqd.Options) *NSQD {
	tb.Helper()
	checkLeaks(tb)
	if opts == nil {
		opts = Options(tb)
	}
	n, err := nsqd.New(opts)
	if err != nil {
		tb.Fatalf("nsqd.New: %v", err)
	}
	d := &NSQD{NSQD: n, TB: tb, Opts: opts, main: make(chan error, 1)}
	go func() { d.main <- n.Main() }()
	tb.Cleanup(d.Stop)
	return d
}

// checked holds the tests whose goroutines are checked at their end.
var checked sync.Map // of testing.TB

// parallel counts the tests that called Parallel and have not ended.
var parallel atomic.Int64

// checkLeaks has the end of the test fail if it leaves goroutines behind that
// were not there when it was first called: after all other cleanups, so that
// the brokers of one test are not taken for leaks of each other.
func checkLeaks(tb testing.TB) {
	if parallel.Load() > 0 {
		return
	}
	if _, again := checked.LoadOrStore(tb, true); again {
		return
	}
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() {
		checked.Delete(tb)
		if !tb.Failed() {
			goleak.VerifyNone(tb, before)
		}
	})
}

// Parallel makes a test run beside others that call it or t.Parallel. Their
// goroutines are not told from its own, so that those that are left behind, also by
// its subtests, are for TestMain to find: it must look for them. It is called before
// Start.
func Parallel(t *testing.T) {
	t.Parallel()
	parallel.Add(1)
	t.Cleanup(func() { parallel.Add(-1) })
}

// Stop stops the broker and waits. Calling it again does nothing.
func (d *NSQD) Stop() {
	d.TB.Helper()
	if d.stopped {
		return
	}
	d.stopped = true
	if err := d.Exit(); err != nil {
		d.TB.Errorf("nsqd.Exit: %v", err)
	}
	if err := <-d.main; err != nil {
		d.TB.Errorf("nsqd.Main: %v", err)
	}
}

// Restart stops the broker and starts another with the same options, and so
// the same data path; ports change.
func (d *NSQD) Restart() *NSQD {
	d.TB.Helper()
	d.Stop()
	return Start(d.TB, d.Opts)
}

// TCPAddr returns the address to dial for the V2 protocol.
func (d *NSQD) TCPAddr() string { return d.RealTCPAddr().String() }

// HTTPURL returns the URL of the HTTP API, without a slash at the end.
func (d *NSQD) HTTPURL() string { return "http://" + d.RealHTTPAddr().String() }

// testWriter writes log lines to the test's output.
type testWriter struct{ tb testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.tb.Helper()
	w.tb.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
