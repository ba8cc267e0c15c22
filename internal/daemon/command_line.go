package daemon

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/config"
)

// A CommandLine is what the arguments say, before the config file is read.
type CommandLine struct {
	program *Program
	flags   *flag.FlagSet
	version bool
	file    config.File
}

// Parse reads the arguments, without the program's name. Mistakes and help are
// printed to stderr; help is the error flag.ErrHelp.
func Parse(p *Program, args []string, stderr io.Writer) (*CommandLine, error) {
	c := &CommandLine{program: p, flags: flag.NewFlagSet(p.Name, flag.ContinueOnError)}
	c.flags.SetOutput(stderr)
	c.flags.BoolVar(&c.version, "version", false, "print the version and exit")
	c.flags.StringVar(&c.file.Path, "config", "", "TOML file with options; what is given as a flag overrides it")
	c.flags.BoolVar(&c.file.Strict, "strict-config", false, "a key of the config file that means nothing is an error, not a warning")
	for name, instead := range p.Obsolete {
		c.flags.Bool(name, false, "no effect, kept for existing scripts; use --"+instead)
	}
	config.Register(c.flags, p.Options)
	c.flags.Usage = func() {
		fmt.Fprintf(c.flags.Output(), "Usage of %s:\n", p.Name)
		c.flags.PrintDefaults()
		fmt.Fprint(c.flags.Output(), p.Notation)
	}
	return c, config.Parse(c.flags, args)
}

// Flags are those of the program, parsed.
func (c *CommandLine) Flags() *flag.FlagSet { return c.flags }

// Resolve merges the config file into the program's options and checks them. The
// error tells everything that is wrong, one line each. What could be read is in
// the options even then.
func (c *CommandLine) Resolve() (warnings []string, err error) {
	p := c.program
	origins, warnings, err := config.Resolve(p.Options, c.flags, c.file)
	for _, name := range slices.Sorted(maps.Keys(p.Obsolete)) {
		if origins.Given(name) {
			warnings = append(warnings, fmt.Sprintf("--%s has no effect, use --%s", name, p.Obsolete[name]))
		}
	}
	if p.Complete != nil {
		p.Complete(origins)
	}
	return warnings, errors.Join(err, p.notInstantiated(origins.Explain(p.Options.Validate())))
}

// notInstantiated begins each line of an error with the words that scripts look for.
func (p *Program) notInstantiated(err error) error {
	if err == nil {
		return nil
	}
	prefix := "failed to instantiate " + p.Name + " - "
	return errors.New(prefix + strings.ReplaceAll(err.Error(), "\n", "\n"+prefix))
}
