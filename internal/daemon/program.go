// Package daemon is what the programs of the daemons have in common: command
// line and config file, the log, signals, and how they end. A daemon itself is
// what its package makes; here it is a Service with a name.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/judwhite/go-svc"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/heapfloor"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/version"
)

// A Program is one daemon as a program.
type Program struct {
	Name     string            // as in its usage, its version and its failures
	Options  Options           // with the defaults
	Obsolete map[string]string // flags that have no effect, and what does their work
	Notation string            // the end of the usage

	// Log returns what the options say of the log at present.
	Log func() logging.Settings

	// Complete changes options after flags and file are merged, before they are
	// checked; may be nil.
	Complete func(*config.Origins)

	// New makes the service from the options. It logs to log, whose level may be
	// changed at any time.
	New func(log *slog.Logger, level *slog.LevelVar) (Service, error)

	// ErrFull is the failure of New that says by itself what failed; before others
	// are the words "failed to instantiate". nil where there is none.
	ErrFull error
}

// Options is a pointer to the struct that package config fills.
type Options interface {
	Validate() error // each mistake is a *config.Mistake
}

// A Service runs in Main until it fails or Exit is called, from which Main then
// returns, too. Exit is called once Main is, or instead of it; it logs what does not stop
// cleanly.
type Service interface {
	Main() error
	Exit() error
}

// A HangupHandler is a Service that has an answer to SIGHUP, and logs it.
type HangupHandler interface {
	Service
	Hangup()
}

// A Drainer is a Service that has something to finish before it stops.
type Drainer interface {
	Service

	// StartDrain begins with that, and does not wait. It is the answer to SIGUSR1,
	// where there is such a signal.
	StartDrain()

	// Drain has that done, where it is to be done before SIGTERM stops the program,
	// and returns when it is, or ctx ends. Exit follows.
	Drain(ctx context.Context)
}

// heapFloor is how much memory a daemon may use before garbage is collected. On
// nsqd that saves a quarter of the CPU of a message where producers send batches and
// consumers keep up; four times as much gains a tenth of the rest there, and nothing elsewhere.
const heapFloor = 16 << 20

// Run is the whole of main but the exit, with the arguments after the program's
// name. It returns the exit code: 0 after a clean stop, 1 after a failure, 2 for
// wrong arguments.
func Run(p *Program, args []string, stdout, stderr io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // who reads stderr may go away; we stay

	cmd, err := Parse(p, args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case cmd.version:
		fmt.Fprintln(stdout, version.String(p.Name))
		return 0
	}

	defer heapfloor.Keep(heapFloor)()
	defer keepStandardLog()()
	s := newService(cmd, stderr)
	if err := svc.Run(s, os.Interrupt); err != nil {
		if s.exitErr == nil {
			s.fatal(err)
		}
		return 1
	}
	return 0
}
