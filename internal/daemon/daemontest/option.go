package daemontest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon"
)

// Option is one option with values that it takes and values that it does
// not, the same for the command line and for the config file.
type Option struct {
	Flag string
	Key  string // "" for the flag with "_" for "-"
	Kind *Kind
	Good []string // at least two different ones, so that precedence can be told
	Bad  Mistakes // of a right type; none if any value will do
	With []string // other flags that these values need

	Instead bool // is given in place of what the table needs
}

// Mistakes are the texts that follow "--flag " for wrong values; "=" stands for
// the whole text, without the flag.
type Mistakes map[string]string

// args gives a value on the command line.
func (o *Option) args(value string) []string {
	if o.Kind.Split == nil {
		return []string{"--" + o.Flag + "=" + value}
	}
	var args []string
	for _, element := range o.Kind.Split(value) {
		args = append(args, "--"+o.Flag+"="+element)
	}
	return args
}

// name is the option's key in the file.
func (o *Option) name() string {
	if o.Key != "" {
		return o.Key
	}
	return strings.ReplaceAll(o.Flag, "-", "_")
}

// mistake is the error of a program for a bad value, without where it comes from.
func (o *Option) mistake(p *daemon.Program, value string) string {
	text := "--" + o.Flag + " " + o.Bad[value]
	if whole, ok := strings.CutPrefix(o.Bad[value], "="); ok {
		text = whole
	}
	return "failed to instantiate " + p.Name + " - " + text
}

// value returns what the option is set to, integers as int64.
func (o *Option) value(t *testing.T, p *daemon.Program) any {
	t.Helper()
	for field, v := range reflect.ValueOf(p.Options).Elem().Fields() {
		if field.Tag.Get("flag") != o.Flag {
			continue
		}
		if n, ok := reflect.TypeAssert[int](v); ok {
			return int64(n)
		}
		return v.Interface()
	}
	t.Fatalf("no option has the flag %s", o.Flag)
	return nil
}
