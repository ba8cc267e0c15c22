package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
)

// options are what the command line says.
type options struct {
	a, b        string
	pattern     string
	rounds      int
	time        time.Duration
	size        int
	connections int
	topics      int
	backlog     int
	settle      time.Duration
	guard       bool
	list        bool

	jsonFile, svgFile, markdownFile string
	profiles                        string // directory
	tempDir                         string

	match *regexp.Regexp
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("nsq_bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.a, "a", "", "`command` of an nsqd, with flags separated by spaces (default the nsqd beside nsq_bench)")
	fs.StringVar(&o.b, "b", "", "`command` of another nsqd to compare with it")
	fs.StringVar(&o.pattern, "run", ".", "run the workloads that match this `regexp`")
	fs.IntVar(&o.rounds, "rounds", 5, "how often each workload runs with each server")
	fs.DurationVar(&o.time, "time", time.Second, "how long a round takes")
	fs.IntVar(&o.size, "msg-size", 200, "size of a message in bytes")
	fs.IntVar(&o.connections, "connections", 5000, "connections of the workload idle")
	fs.IntVar(&o.topics, "topics", 1000, "topics of the workload manytopics")
	fs.IntVar(&o.backlog, "backlog", 5_000_000, "messages that wait in the workloads backlog and behind")
	fs.DurationVar(&o.settle, "settle", 6*time.Second, "how long the channel of the workload defer exists before it is measured")
	fs.BoolVar(&o.guard, "guard", false, "fail if -b is worse than -a by more than the noise")
	fs.BoolVar(&o.list, "list", false, "tell what workloads there are, and exit")
	fs.StringVar(&o.jsonFile, "json", "", "`file` for all figures")
	fs.StringVar(&o.svgFile, "svg", "", "`file` for a picture")
	fs.StringVar(&o.markdownFile, "markdown", "", "`file` for the table in Markdown, like docs/performance.md: the rest of it stays")
	fs.StringVar(&o.profiles, "profiles", "", "`directory` for CPU profiles of nsqd, one for each workload; costs some CPU")
	fs.StringVar(&o.tempDir, "dir", "", "`directory` below which nsqd keeps its data (default that for temporary files)")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return o, o.complete(fs.Args())
}

// An optionsError is a mistake that flag did not find and so has not told of.
type optionsError struct{ error }

// complete checks the options and fills in what follows from them.
func (o *options) complete(leftOver []string) error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(leftOver) == 0, "unexpected arguments %q", leftOver)
	check(o.rounds > 0, "-rounds must be positive, is %d", o.rounds)
	check(o.time > 0, "-time must be positive, is %v", o.time)
	check(o.size >= load.MinSize && o.size <= 25_000, "-msg-size must be %d to 25000, is %d", load.MinSize, o.size)
	check(o.connections > 0, "-connections must be positive, is %d", o.connections)
	check(o.topics > 0, "-topics must be positive, is %d", o.topics)
	check(o.backlog >= perBatch, "-backlog must be %d at least, is %d", perBatch, o.backlog)
	check(o.settle >= 0, "-settle must not be negative, is %v", o.settle)
	check(!o.guard || o.b != "", "-guard compares two servers: -b is missing")
	var err error
	o.match, err = regexp.Compile(o.pattern)
	check(err == nil, "-run: %v", err)
	if err == nil {
		check(len(o.chosen()) > 0, "-run %s matches no workload; -list tells what there are", o.pattern)
	}
	if strings.TrimSpace(o.a) == "" {
		o.a, err = process.Beside("nsqd")
		check(err == nil, "-a is missing, and %v", err)
	}
	if err := errors.Join(errs...); err != nil {
		return optionsError{err}
	}
	return nil
}

// sides returns the commands of the servers: A and B. To guard, A runs once more,
// which shows how far the figures of one server can be apart.
func (o *options) sides() [][]string {
	all := [][]string{strings.Fields(o.a)}
	if b := strings.Fields(o.b); len(b) > 0 {
		all = append(all, b)
	}
	if o.guard {
		all = append(all, all[0])
	}
	return all
}

var sideNames = []string{"A", "B", "A again"}

// chosen returns the workloads that are to run.
func (o *options) chosen() (all []workload) {
	for _, w := range workloads {
		if o.match.MatchString(w.name) {
			all = append(all, w)
		}
	}
	return all
}
