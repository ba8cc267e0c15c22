// Package config fills a program's options struct from command line and TOML
// file. Each option is declared once, as a field of that struct:
//
//	MsgTimeout time.Duration `flag:"msg-timeout" usage:"time until an unanswered message is requeued"`
//
// The flag tag names the flag, the cfg tag the key in the file where that is
// not the flag with '_' for '-', and the field's value before is the default.
// Further tags are for documentation alone; see Option. Fields may be bool, int, int64, string, time.Duration, []string, []float64
// or a type whose pointer is a flag.Value. A flag goes before the file, the
// file before the default, and a list is never mixed from two of them.
//
// The options check themselves and report a Mistake for each value that is out
// of range; Origins.Explain then adds the line of the file that it came from.
package config

import (
	"flag"
	"reflect"
	"strings"

	"github.com/mreiferson/go-options"
)

// File is the config file of a program.
type File struct {
	Path   string // "" for none
	Strict bool   // a key that means nothing is an error, not a warning
}

// Resolve sets the fields of opts, a pointer to the struct that fs was
// Registered with, after fs was parsed. Warnings name the keys of the file that
// mean nothing. The error tells everything that is wrong with the file, one
// line for each mistake; the options concerned keep their defaults then, and
// the others can still be checked with the help of Origins, which is never nil.
func Resolve(opts any, fs *flag.FlagSet, file File) (origins *Origins, warnings []string, err error) {
	origins = newOrigins(fs, file.Path)
	var values map[string]any
	if file.Path != "" {
		values, warnings, err = load(file, fieldsOf(opts), origins)
	}
	options.Resolve(opts, fs, values)
	return origins, warnings, err
}

// field is one option.
type field struct {
	flag, key, usage string
	value            reflect.Value // in the options struct
	tag              reflect.StructTag
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
		fields = append(fields, field{name, key, tag.Get("usage"), v.Field(i), tag})
	}
	return fields
}

func keyOf(flag string) string { return strings.ReplaceAll(flag, "-", "_") }
