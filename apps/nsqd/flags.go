package main

import (
	"cmp"
	"errors"
	"flag"
	"io"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/nsqd"
)

// commandLine is what the arguments say, before the config file is read.
type commandLine struct {
	flags   *flag.FlagSet
	options *nsqd.Options // defaults, until resolve
	version bool
	file    config.File
}

// parse reads the arguments, without the program's name. Mistakes and help are
// printed to stderr; help is the error flag.ErrHelp.
func parse(args []string, stderr io.Writer) (*commandLine, error) {
	c := &commandLine{
		flags:   flag.NewFlagSet("nsqd", flag.ContinueOnError),
		options: nsqd.NewOptions(),
	}
	c.flags.SetOutput(stderr)
	c.flags.BoolVar(&c.version, "version", false, "print the version and exit")
	c.flags.StringVar(&c.file.Path, "config", "", "TOML file with options; flags go before it")
	c.flags.BoolVar(&c.file.Strict, "strict-config", false, "a key of the config file that means nothing is an error, not a warning")
	c.flags.Bool("verbose", false, "no effect, kept for existing scripts (use --log-level)")
	c.flags.Bool("worker-id", false, "no effect, kept for existing scripts (use --node-id)")
	config.Register(c.flags, c.options)
	return c, config.Parse(c.flags, args)
}

// resolve merges the config file into the options and checks them. The error
// tells everything that is wrong, one line each. What could be read is in the
// options even then.
func (c *commandLine) resolve() (warnings []string, err error) {
	origins, warnings, err := config.Resolve(c.options, c.flags, c.file)
	if origins.Given("e2e-processing-latency-percentile") { // only those of a file keep their order
		slices.SortFunc(c.options.E2EProcessingLatencyPercentiles, func(a, b float64) int { return cmp.Compare(b, a) })
	}
	return warnings, errors.Join(err, notInstantiated(origins.Explain(c.options.Validate())))
}

// notInstantiated begins each line of an error with the words that scripts look for.
func notInstantiated(err error) error {
	if err == nil {
		return nil
	}
	const prefix = "failed to instantiate nsqd - "
	return errors.New(prefix + strings.ReplaceAll(err.Error(), "\n", "\n"+prefix))
}
