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

	// Asked for before anything is opened: what comes while we start is obeyed once we run.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := newProgram(ctx, cmd, stderr)
	if err := svc.Run(p, os.Interrupt, syscall.SIGTERM); err != nil {
		p.fatal(err)
		return 1
	}
	return 0
}

// program is the broker as the service that go-svc runs: Init, Start, Stop.
type program struct {
	cmd    *commandLine
	stderr io.Writer
	log    *slog.Logger
	nsqd   *nsqd.NSQD

	ctx    context.Context // done when it is time to stop
	failed context.CancelFunc
	hangup chan os.Signal

	running sync.WaitGroup
	mainErr error // why Main returned; written before running is done
}

func newProgram(ctx context.Context, cmd *commandLine, stderr io.Writer) *program {
	p := &program{cmd: cmd, stderr: stderr, hangup: make(chan os.Signal, 1)}
	p.ctx, p.failed = context.WithCancel(ctx)
	signal.Notify(p.hangup, syscall.SIGHUP)
	p.openLog()
	return p
}

// openLog makes the log as the options say at present.
func (p *program) openLog() {
	o := p.cmd.options
	p.log = slog.New(logging.NewHandler(p.stderr, o.LogPrefix, o.LogLevel))
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
	p.cmd.options.Logger = p.log
	if p.nsqd, err = nsqd.New(p.cmd.options); err != nil && !errors.Is(err, nsqd.ErrLoad) {
		const prefix = "failed to instantiate nsqd - "
		return errors.New(prefix + strings.ReplaceAll(err.Error(), "\n", "\n"+prefix))
	}
	return err
}

// Start runs the broker in the background.
func (p *program) Start() error {
	p.running.Go(func() {
		defer p.failed()
		p.mainErr = p.nsqd.Main()
	})
	p.running.Go(p.watchHangup)
	return nil
}

// watchHangup keeps a closed terminal or a log rotation from killing the broker.
func (p *program) watchHangup() {
	for {
		select {
		case <-p.hangup:
			p.log.Info("SIGHUP: ignored, there is nothing to reload")
		case <-p.ctx.Done():
			return
		}
	}
}

// Stop stops the broker and returns its first failure.
func (p *program) Stop() error {
	err := p.nsqd.Exit()
	p.running.Wait()
	return cmp.Or(p.mainErr, err)
}

// fatal logs what ends the program. Joined errors are one line each.
func (p *program) fatal(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		p.log.Log(context.Background(), logging.LevelFatal, line)
	}
}
