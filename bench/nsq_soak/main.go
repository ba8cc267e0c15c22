// Command nsq_soak loads an nsqd, which it starts, with everything at once for a
// while, and accounts for every message. docs/performance.md tells more.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed893f581e/nsq/internal/process"
)

// options are what the command line says.
type options struct {
	nsqd         string
	length       time.Duration
	rate         float64
	topics       int
	restarts     int
	memQueueSize int
	seed         uint64
	every        time.Duration
	tempDir      string
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the exit: 0 if nothing is wrong, 2 after a mistake in the flags'
// syntax, 1 after anything else.
func run(args []string, stdout, stderr io.Writer) int {
	o, leftOver, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // flag has said why
	}
	if err := o.complete(leftOver); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	// Whatever ends nsq_soak, a closed terminal or pipe too, ends its processes.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	fmt.Fprintf(stderr, "-seed=%d\n", o.seed)
	rep, err := (&soak{options: o, progress: stderr}).run(ctx)
	if rep != nil {
		rep.write(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "nsq_soak:", err)
	}
	if err != nil || !rep.ok() {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o options, leftOver []string, err error) {
	fs := flag.NewFlagSet("nsq_soak", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.nsqd, "nsqd", "", "`path` of nsqd (default the nsqd beside nsq_soak)")
	fs.DurationVar(&o.length, "for", 10*time.Minute, "how long to load nsqd")
	fs.Float64Var(&o.rate, "rate", 20_000, "messages to publish per second")
	fs.IntVar(&o.topics, "topics", 3, "how many topics to publish to; each has three channels that are accounted for")
	fs.IntVar(&o.restarts, "restarts", 3, "how often to restart nsqd in the first third of the time")
	fs.IntVar(&o.memQueueSize, "mem-queue-size", 1000, "that of nsqd: what is more goes through the disk")
	fs.Uint64Var(&o.seed, "seed", 0, "what all that is left to chance follows from, as far as two programs at once can (default another one each time)")
	fs.DurationVar(&o.every, "progress", 10*time.Second, "how often to tell how far things are")
	fs.StringVar(&o.tempDir, "dir", "", "`directory` below which nsqd keeps its data (default that for temporary files)")
	err = fs.Parse(args)
	return o, fs.Args(), err
}

// complete checks the options and fills in what follows from them.
func (o *options) complete(leftOver []string) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(leftOver) == 0, "unexpected arguments %q", leftOver)
	check(o.length > 0, "-for must be positive, is %v", o.length)
	check(o.rate > 0, "-rate must be positive, is %v", o.rate)
	check(o.topics > 0, "-topics must be positive, is %d", o.topics)
	check(o.restarts >= 0, "-restarts must not be negative, is %d", o.restarts)
	check(o.memQueueSize >= 0, "-mem-queue-size must not be negative, is %d", o.memQueueSize)
	check(o.every > 0, "-progress must be positive, is %v", o.every)
	for o.seed == 0 {
		o.seed = rand.Uint64()
	}
	if o.nsqd == "" {
		var err error
		o.nsqd, err = process.Beside("nsqd")
		check(err == nil, "-nsqd is missing, and %v", err)
	}
	return errors.Join(errs...)
}
