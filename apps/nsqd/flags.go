package main

import (
	"flag"
	"io"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/nsqd"
)

// commandLine is what the arguments say, before the config file is read.
type commandLine struct {
	flags   *flag.FlagSet
	options *nsqd.Options // defaults, until resolve
	version bool
	config  string
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
	c.flags.StringVar(&c.config, "config", "", "TOML file with options; flags go before it")
	c.flags.Bool("verbose", false, "no effect, kept for existing scripts")
	c.flags.Bool("worker-id", false, "no effect, kept for existing scripts (use --node-id)")
	config.Register(c.flags, c.options)
	return c, config.Parse(c.flags, args)
}

// resolve merges the config file into the options.
func (c *commandLine) resolve() (warnings []string, err error) {
	return config.Resolve(c.options, c.flags, c.config)
}
