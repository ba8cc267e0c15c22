// Command nsqd is the broker: it receives, queues and delivers messages.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/judwhite/go-svc"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/nsqd"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the exit: 0 after a clean stop, 1 after a failure, 2 for
// wrong arguments.
func run(args []string, stdout, stderr io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // who reads stderr may go away; we stay

	cmd, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case cmd.version:
		fmt.Fprintln(stdout, version.String("nsqd"))
		return 0
	}

	p := newProgram(cmd, stderr)
	if err := svc.Run(p, stopSignals...); err != nil {
		p.fatal(err)
		return 1
	}
	return 0
}

// stopSignals end the program. go-svc acts on them once it runs, and the
// program itself on those that come earlier.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// broker is what the program runs: an *nsqd.NSQD.
type broker interface {
	Main() error
	Exit() error
	Reload() error
}

// program is the broker as the service that go-svc runs: Init, Start, Stop.
type program struct {
	cmd    *commandLine
	stderr io.Writer
	level  slog.LevelVar // of the log; PUT /config/log_level changes it
	log    *slog.Logger
	broker broker

	ctx  context.Context // done when it is time to stop
	stop context.CancelFunc

	interrupt chan os.Signal // stopSignals
	hangup    chan os.Signal

	running sync.WaitGroup // Main
	mainErr error          // why Main returned; written before running is done

	watching sync.WaitGroup // watchSignals
	stopped  chan struct{}  // closed when the broker has stopped
}

// newProgram catches signals from now on: what comes while the program starts
// is obeyed once it runs.
func newProgram(cmd *commandLine, stderr io.Writer) *program {
	p := &program{
		cmd:       cmd,
		stderr:    stderr,
		interrupt: make(chan os.Signal, 1),
		hangup:    make(chan os.Signal, 1),
		stopped:   make(chan struct{}),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	signal.Notify(p.interrupt, stopSignals...)
	signal.Notify(p.hangup, syscall.SIGHUP)
	p.openLog()
	return p
}

// openLog makes the log as the options say at present.
func (p *program) openLog() {
	o := p.cmd.options
	p.level.Set(o.LogLevel.Level())
	p.log = slog.New(logging.NewHandler(p.stderr, o.LogPrefix, &p.level))
}

// Context tells go-svc when to stop, besides the signals it gets itself.
func (p *program) Context() context.Context { return p.ctx }

// Init reads the config file only now, because on Windows go-svc has changed
// to the directory of the program, where relative paths of a service begin.
func (p *program) Init(svc.Environment) error {
	warnings, err := p.cmd.resolve()
	p.openLog()
	for _, w := range warnings {
		p.log.Warn(w)
	}
	if err != nil {
		return err
	}
	p.cmd.options.Logger, p.cmd.options.LevelVar = p.log, &p.level
	n, err := nsqd.New(p.cmd.options)
	switch {
	case errors.Is(err, nsqd.ErrLoad):
		return err
	case err != nil:
		return notInstantiated(err)
	}
	p.broker = n
	return nil
}

// Start runs the broker in the background.
func (p *program) Start() error {
	p.running.Go(func() {
		defer p.stop()
		p.mainErr = p.broker.Main()
	})
	p.watching.Go(p.watchSignals)
	return nil
}

// watchSignals answers signals until the broker has stopped.
func (p *program) watchSignals() {
	stopping := false
	for {
		select {
		case s := <-p.interrupt:
			if stopping {
				p.log.Info("already stopping", "signal", s)
				continue
			}
			stopping = true
			p.log.Info("stopping", "signal", s)
			p.stop()
		case <-p.hangup:
			p.reload()
		case <-p.stopped:
			return
		}
	}
}

// reload is the answer to SIGHUP, which also comes when a terminal is closed or
// a script rotates logs, and must never end the broker.
func (p *program) reload() {
	if o := p.cmd.options; o.TLSCert == "" && o.TLSRootCAFile == "" {
		p.log.Info("SIGHUP: nothing to reload, there are no certificates")
		return
	}
	if err := p.broker.Reload(); err != nil {
		p.log.Error("SIGHUP: certificates cannot be reloaded, the old ones stay in force", "error", err)
		return
	}
	p.log.Info("SIGHUP: certificates reloaded, in force for new connections")
}

// Stop stops the broker and returns its first failure. Signals that come after
// it change nothing any more.
func (p *program) Stop() error {
	err := p.broker.Exit()
	p.running.Wait()
	close(p.stopped)
	p.watching.Wait()
	return cmp.Or(p.mainErr, err)
}

// fatal logs what ends the program. Joined errors are one line each.
func (p *program) fatal(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		p.log.Log(context.Background(), logging.LevelFatal, line)
	}
}
