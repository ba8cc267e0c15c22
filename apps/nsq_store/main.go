// Command nsq_store checks, describes and exports the durable topics in the data
// path of an nsqd that does not run. Its first argument is what to do: "check" reads
// all that is stored and tells what is damaged, "info" lists topics and channels,
// "export" writes a data path for an nsqd without durable topics. What it
// reads is never changed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/seed893f581e/nsq/internal/tool"
)

func main() { tool.MainWithCommand("nsq_store", define) }

// options are what the flags say.
type options struct {
	dataPath string
	to       string // of export
	json     bool   // of info
}

// commands are what can be done.
var commands = map[string]func(context.Context, *options, io.Writer) error{
	"check":  check,
	"info":   info,
	"export": export,
}

// notation is the end of the usage.
const notation = `
check reads all that is stored and says what is damaged, info lists topics and channels,
export writes a data path for an nsqd without durable topics. What they read is not
changed, and no nsqd may run on it.
The exit code is 0 if nothing failed; 1 if something did, with the reason on stderr, or if
check or export found damage, which they print: export has written all that is not
damaged then; 2 for flags that it does not have.
`

func define(fs *flag.FlagSet) func(context.Context, string) error {
	name := fs.Name() + " check|info|export"
	fs.Init(name, fs.ErrorHandling())
	o := newOptions(fs)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "Usage of %s:\n", name)
		fs.PrintDefaults()
		fmt.Fprint(fs.Output(), notation)
	}
	return func(ctx context.Context, command string) error {
		if err := o.validate(command); err != nil {
			return err
		}
		return commands[command](ctx, o, os.Stdout)
	}
}

func newOptions(fs *flag.FlagSet) *options {
	o := &options{}
	fs.StringVar(&o.dataPath, "data-path", "", "`directory` that is the --data-path of the nsqd (default the working directory)")
	fs.StringVar(&o.to, "to", "", "new `directory` for what export writes")
	fs.BoolVar(&o.json, "json", false, "print what info tells as JSON")
	return o
}

func (o *options) validate(command string) error {
	switch {
	case command == "":
		return errors.New("what to do is missing: check, info or export, before all flags")
	case commands[command] == nil:
		return fmt.Errorf("unknown command %q: check, info and export are known", command)
	case command == "export" && o.to == "":
		return errors.New("--to is required: the directory for what is exported")
	case command != "export" && o.to != "":
		return fmt.Errorf("--to is for export, not %s", command)
	case command != "info" && o.json:
		return fmt.Errorf("--json is for info, not %s", command)
	}
	return nil
}
