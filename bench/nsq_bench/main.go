// Command nsq_bench measures nsqd: it starts one nsqd or two for every round of
// every workload, and prints what messages cost, how many there were per second,
// and how the two compare. docs/performance.md tells more.
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
)

func main() {
	if _, ok := os.LookupEnv(relayVariable); ok {
		if err := serveRelay(os.Stdin, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "nsq_bench:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the exit: 0 if all was measured and nothing is worse than it
// may be, 2 after a mistake in the flags' syntax, 1 after anything else.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch _, ours := errors.AsType[optionsError](err); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case ours:
		fmt.Fprintln(stderr, err)
		return 1
	case err != nil:
		return 2 // flag has said why
	}
	if o.list {
		for _, w := range workloads {
			fmt.Fprintf(stdout, "%-15s %s\n", w.name, w.about)
		}
		return 0
	}
	// Whatever ends nsq_bench, a closed terminal or pipe too, ends its processes.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := measure(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "nsq_bench:", err)
		return 1
	}
	return 0
}

// measure runs the workloads and writes what they measured to where it belongs.
func measure(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	rep, err := (&bench{options: *o, log: stderr}).run(ctx)
	if err != nil {
		return err
	}
	if err := rep.writeText(stdout); err != nil {
		return err
	}
	if err := rep.writeFiles(o); err != nil {
		return err
	}
	if o.guard {
		return rep.regressions()
	}
	return nil
}

func (rep *report) writeFiles(o *options) error {
	if o.jsonFile != "" {
		b, err := rep.json()
		if err == nil {
			err = writeFile(o.jsonFile, b)
		}
		if err != nil {
			return err
		}
	}
	if o.svgFile != "" {
		if err := writeFile(o.svgFile, rep.svg()); err != nil {
			return err
		}
	}
	if o.markdownFile != "" {
		return rep.updateMarkdown(o.markdownFile)
	}
	return nil
}

func makeParent(file string) error { return os.MkdirAll(filepath.Dir(file), 0o755) }
