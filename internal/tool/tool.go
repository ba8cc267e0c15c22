// Package tool holds what the command-line tools have in common: how they read
// their flags, are stopped, and report what went wrong.
package tool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed893f581e/nsq/internal/version"
)

// StopTimeout is how long a tool goes on after a signal with what others keep
// waiting: nsqd that does not answer, or a reader of stdout that does not read.
const StopTimeout = 5 * time.Second

// patience is how long after a signal more of them mean no more than the first.
const patience = time.Second

// ErrSilent is an error that needs no words: Main only exits with 1.
var ErrSilent = errors.New("failed, and nobody needs to be told")

// Main runs a tool and ends the process. define adds the tool's flags to a flag
// set and returns what to do once they are parsed; that is given a context
// which ends with SIGINT or SIGTERM, and should then come to an orderly end and
// return nil. Another signal kills the process, unless it comes within a second:
// timeout(1) sends SIGTERM twice, to the process and to its group.
//
// The exit code is 0, 2 after a mistake in the flags' syntax, and 1 after an
// error, which is logged. Arguments that belong to no flag are an error: what
// follows them, as in "-gzip true -rate 5", would be ignored otherwise.
func Main(name string, define func(*flag.FlagSet) func(context.Context) error) {
	os.Exit(run(name, define, os.Args[1:], os.Stdout, os.Stderr))
}

// MainWithCommand is Main for a tool whose first argument, before all flags, is a
// command. It is "" where that is missing.
func MainWithCommand(name string, define func(*flag.FlagSet) func(ctx context.Context, command string) error) {
	command, args := cutCommand(os.Args[1:])
	os.Exit(run(name, func(fs *flag.FlagSet) func(context.Context) error {
		do := define(fs)
		return func(ctx context.Context) error { return do(ctx, command) }
	}, args, os.Stdout, os.Stderr))
}

// cutCommand takes the command off the arguments.
func cutCommand(args []string) (command string, rest []string) {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return args[0], args[1:]
	}
	return "", args
}

func run(name string, define func(*flag.FlagSet) func(context.Context) error, args []string, stdout, stderr io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // writing fails then, as it does for other reasons

	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	do := define(fs)
	showVersion := fs.Bool("version", false, "print the version and exit")
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flag has said why
	}
	if *showVersion {
		fmt.Fprintf(stdout, "%s v%s\n", name, version.Binary)
		return 0
	}
	failed := func(err error) int {
		if !errors.Is(err, ErrSilent) {
			l := log.New(stderr, "", log.LstdFlags)
			for line := range strings.Lines(err.Error()) { // several errors may be joined
				l.Print(line)
			}
		}
		return 1
	}
	if fs.NArg() > 0 { // flags behind them were not looked at
		return failed(fmt.Errorf("unknown arguments: %s", fs.Args()))
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(patience, stop) })
	if err := do(ctx); err != nil {
		return failed(err)
	}
	return 0
}

// UserAgent is how a tool introduces itself to nsqd; library is the version of
// the client library it uses.
func UserAgent(name, library string) string {
	return fmt.Sprintf("%s/%s go-nsq/%s", name, version.Binary, library)
}
