package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/nsqd"
)

// notation is the end of the usage.
const notation = `
Durations are like 250ms, 5s or 1h30m. Booleans need "=" for a value, as in --snappy=false.
All but -config, -strict-config, -verbose, -version and -worker-id can also be set in the
config file, whose keys are the flags with "_" for "-", except id (-node-id),
nsqlookupd_tcp_addresses (-lookupd-tcp-address), auth_http_addresses (-auth-http-address)
and e2e_processing_latency_percentiles (-e2e-processing-latency-percentile).
SIGTERM and SIGINT stop nsqd, SIGHUP reloads its certificates.
`

// obsolete flags, and what does their work.
var obsolete = map[string]string{"verbose": "log-level", "worker-id": "node-id"}

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
	c.flags.StringVar(&c.file.Path, "config", "", "TOML file with options; what is given as a flag overrides it")
	c.flags.BoolVar(&c.file.Strict, "strict-config", false, "a key of the config file that means nothing is an error, not a warning")
	for name, instead := range obsolete {
		c.flags.Bool(name, false, "no effect, kept for existing scripts; use --"+instead)
	}
	config.Register(c.flags, c.options)
	c.flags.Usage = func() {
		fmt.Fprintln(c.flags.Output(), "Usage of nsqd:")
		c.flags.PrintDefaults()
		fmt.Fprint(c.flags.Output(), notation)
	}
	return c, config.Parse(c.flags, args)
}

// resolve merges the config file into the options and checks them. The error
// tells everything that is wrong, one line each. What could be read is in the
// options even then.
func (c *commandLine) resolve() (warnings []string, err error) {
	origins, warnings, err := config.Resolve(c.options, c.flags, c.file)
	for _, name := range slices.Sorted(maps.Keys(obsolete)) {
		if origins.Given(name) {
			warnings = append(warnings, fmt.Sprintf("--%s has no effect, use --%s", name, obsolete[name]))
		}
	}
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
