// Package config fills a program's options struct from command line and TOML
// file. Each option is declared once, as a field of that struct:
//
//	MsgTimeout time.Duration `flag:"msg-timeout" usage:"time until an unanswered message is requeued"`
//
// The flag tag names the flag, the cfg tag the key in the file where that is
// not the flag with '_' for '-', and the field's value before is the default.
// Fields may be bool, int, int64, string, time.Duration, []string, []float64
// or a type whose pointer is a flag.Value. A flag goes before the file, the
// file before the default, and a list is never mixed from two of them.
package config

import (
	"flag"
	"fmt"
	"reflect"
	"strings"

	"github.com/mreiferson/go-options"
)

// Parse reads the arguments of a program, without its name. Every mistake,
// left-over arguments included, is printed to the output of fs with the usage
// and returned; -h returns flag.ErrHelp.
func Parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return nil
	}
	err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
	fmt.Fprintln(fs.Output(), err)
	fs.Usage()
	return err
}

// Resolve sets the fields of opts, a pointer to the struct that fs was
// Registered with, after fs was parsed. path names the TOML file, "" for none.
// The error tells everything that is wrong with the file, one line for each
// mistake; opts is then unchanged. Warnings name the keys that mean nothing.
func Resolve(opts any, fs *flag.FlagSet, path string) (warnings []string, err error) {
	var values map[string]any
	if path != "" {
		if values, warnings, err = load(path, fieldsOf(opts)); err != nil {
			return warnings, err
		}
	}
	options.Resolve(opts, fs, values)
	return warnings, nil
}

// field is one option.
type field struct {
	flag, key, usage string
	value            reflect.Value // in the options struct
}

func fieldsOf(opts any) []field {
	var fields []field
	v := reflect.ValueOf(opts).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name, ok := tag.Lookup("flag")
		if !ok {
			continue
		}
		key := tag.Get("cfg")
		if key == "" {
			key = keyOf(name)
		}
		fields = append(fields, field{name, key, tag.Get("usage"), v.Field(i)})
	}
	return fields
}

func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }
