package nsqtest

import (
	"log/slog"
	"testing"

	"github.com/seed893f581e/nsq/nsqlookupd"
)

// A Lookupd is an nsqlookupd inside a test, on ports of its own.
type Lookupd struct {
	*nsqlookupd.NSQLookupd
	TB   testing.TB
	Opts *nsqlookupd.Options // to start another with the same

	main    chan error
	stopped bool
}

// LookupdOptions returns options for an nsqlookupd inside a test: loopback
// addresses on free ports, logs that show with the test's output when it fails.
func LookupdOptions(tb testing.TB) *nsqlookupd.Options {
	opts := nsqlookupd.NewOptions()
	opts.TCPAddress = "127.0.0.1:0"
	opts.HTTPAddress = "127.0.0.1:0"
	opts.BroadcastAddress = "127.0.0.1"
	opts.Logger = slog.New(slog.NewTextHandler(testWriter{tb}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return opts
}

// StartLookupd runs an nsqlookupd until the end of the test, or until Stop. At
// the end it checks that the daemons of the test stopped cleanly and left no
// goroutine behind. nil options mean LookupdOptions(tb).
func StartLookupd(tb testing.TB, opts *nsqlookupd.Options) *Lookupd {
	tb.Helper()
	checkLeaks(tb)
	if opts == nil {
		opts = LookupdOptions(tb)
	}
	l, err := nsqlookupd.New(opts)
	if err != nil {
		tb.Fatalf("nsqlookupd.New: %v", err)
	}
	d := &Lookupd{NSQLookupd: l, TB: tb, Opts: opts, main: make(chan error, 1)}
	go func() { d.main <- l.Main() }()
	tb.Cleanup(d.Stop)
	return d
}

// Stop stops the nsqlookupd and waits. Calling it again does nothing.
func (d *Lookupd) Stop() {
	d.TB.Helper()
	if d.stopped {
		return
	}
	d.stopped = true
	if err := d.Exit(); err != nil {
		d.TB.Errorf("nsqlookupd.Exit: %v", err)
	}
	if err := <-d.main; err != nil {
		d.TB.Errorf("nsqlookupd.Main: %v", err)
	}
}

// Restart stops the nsqlookupd, if it is not yet stopped, and starts another with
// the same options and on the same ports. Like a restarted process, it knows
// nothing of what the first had been told.
func (d *Lookupd) Restart() *Lookupd {
	d.TB.Helper()
	d.Stop()
	opts := *d.Opts
	opts.TCPAddress, opts.HTTPAddress = d.TCPAddr(), d.HTTPAddr()
	return StartLookupd(d.TB, &opts)
}

// TCPAddr returns the address at which nsqds register.
func (d *Lookupd) TCPAddr() string { return d.RealTCPAddr().String() }

// HTTPAddr returns the address at which consumers ask.
func (d *Lookupd) HTTPAddr() string { return d.RealHTTPAddr().String() }

// HTTPURL returns the URL of the HTTP API, without a slash at the end.
func (d *Lookupd) HTTPURL() string { return "http://" + d.HTTPAddr() }
