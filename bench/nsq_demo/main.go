// Command nsq_demo shows the broker at work: it runs nsqd, sends it the source
// code of Go line by line through to_nsq, reads the lines back through nsq_tail,
// and checks that none is missing or changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// deadline is when a job is given up.
const deadline = 2 * time.Minute

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the exit: 0 if every line arrived as it was sent, 2 after
// a mistake in the flags' syntax, 1 after anything else.
func run(args []string, stdout, stderr io.Writer) int {
	j, leftOver, err := parse(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flag has said why
	}
	if err := j.complete(leftOver); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	// Whatever ends the demo, a closed terminal or pipe too, ends its processes.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("not done after %v", deadline))
	defer cancel()

	ok, err := j.run(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "nsq_demo:", err)
	}
	if !ok || err != nil {
		return 1
	}
	return 0
}

func parse(args []string, stdout, stderr io.Writer) (j *job, leftOver []string, err error) {
	j = &job{out: stdout}
	fs := flag.NewFlagSet("nsq_demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&j.bin, "bin", "", "`directory` of the programs (default that of nsq_demo)")
	fs.IntVar(&j.lines, "lines", 100_000, "how many lines to send")
	fs.BoolVar(&j.restart, "restart", false, "stop nsqd halfway and start it again")
	fs.Func("nsqd-arg", "argument for nsqd, like --mem-queue-size=100 (may be given several times)", func(arg string) error {
		j.nsqdArgs = append(j.nsqdArgs, arg)
		return nil
	})
	err = fs.Parse(args)
	return j, fs.Args(), err
}

// complete checks the arguments and fills in what follows from them.
func (j *job) complete(leftOver []string) error {
	switch {
	case len(leftOver) > 0:
		return fmt.Errorf("unexpected argument %q", leftOver[0])
	case j.lines < 1:
		return fmt.Errorf("-lines must be positive, is %d", j.lines)
	}
	if j.bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		j.bin = filepath.Dir(self)
	}
	return nil
}
