package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Parse reads the arguments of a program, without its name, into a set of flags
// that is to continue on errors. All mistakes, left-over arguments included,
// are printed to the output of fs, before and after the usage, and returned,
// one line each; -h returns flag.ErrHelp.
func Parse(fs *flag.FlagSet, args []string) error {
	err := parseAll(fs, args)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flag.ErrHelp):
		fs.Usage()
		return err
	}
	fmt.Fprintln(fs.Output(), err) // first, as scripts expect it
	fs.Usage()
	fmt.Fprintf(fs.Output(), "\n%v\n", err) // last, where it is seen: the usage is longer than a screen
	return err
}

// parseAll goes on after each mistake, where fs alone would stop.
func parseAll(fs *flag.FlagSet, args []string) error {
	out := fs.Output()
	fs.SetOutput(io.Discard) // else each mistake prints the usage
	defer fs.SetOutput(out)

	var errs []error
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			return flag.ErrHelp
		}
		if err == nil {
			break
		}
		errs = append(errs, err)
		rest := fs.Args()
		if len(rest) == len(args) { // bad syntax is not taken off
			rest = rest[1:]
		}
		if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") { // the value of what nobody knows
			rest = rest[1:]
		}
		args = rest
	}
	if fs.NArg() > 0 {
		errs = append(errs, unexpected(fs.Arg(0)))
	}
	return errors.Join(errs...)
}

// unexpected says that an argument is left over. After "--snappy false" it is
// the value.
func unexpected(arg string) error {
	if _, err := strconv.ParseBool(arg); err == nil {
		return fmt.Errorf(`unexpected argument %q (booleans need "=" for a value)`, arg)
	}
	return fmt.Errorf("unexpected argument %q", arg)
}

// Register defines the flags of an options struct, with its present values as
// the defaults. opts points to the struct; nothing is stored in it before
// Resolve. A field of a type that cannot be a flag is a programming error.
func Register(fs *flag.FlagSet, opts any) {
	for _, f := range fieldsOf(opts) {
		switch def := f.value.Interface().(type) {
		case bool:
			fs.Bool(f.flag, def, f.usage)
		case int:
			fs.Int(f.flag, def, f.usage)
		case int64:
			fs.Int64(f.flag, def, f.usage)
		case string:
			fs.String(f.flag, def, f.usage)
		case time.Duration:
			fs.Duration(f.flag, def, f.usage)
		case []string:
			fs.Var(&listFlag[string]{list: def, parse: parseStrings}, f.flag, f.usage+"; may be given several times")
		case []float64:
			fs.Var(&listFlag[float64]{list: def, parse: parseFloats}, f.flag, f.usage+", with commas or given several times")
		default:
			fs.Var(wordFlag{newWord(f.value)}, f.flag, f.usage)
		}
	}
}

// listFlag collects the values of a flag that may be repeated.
type listFlag[T any] struct {
	list  []T
	given bool // list is no longer the default
	parse func(string) ([]T, error)
}

func (l *listFlag[T]) Set(s string) error {
	more, err := l.parse(s)
	if err != nil {
		return err
	}
	if !l.given {
		l.list, l.given = nil, true
	}
	l.list = append(l.list, more...)
	return nil
}

func (l *listFlag[T]) Get() any { return l.list }

func (l *listFlag[T]) String() string {
	words := make([]string, len(l.list))
	for i, v := range l.list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ",")
}

func parseStrings(s string) ([]string, error) { return []string{s}, nil }

func parseFloats(s string) ([]float64, error) {
	var list []float64
	for word := range strings.SplitSeq(s, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", word)
		}
		list = append(list, v)
	}
	return list, nil
}

// newWord returns a copy of an option that has a type of its own.
func newWord(option reflect.Value) flag.Value {
	word := reflect.New(option.Type())
	word.Elem().Set(option)
	return word.Interface().(flag.Value)
}

// wordFlag gives go-options the value itself, not the pointer that parses it.
type wordFlag struct{ flag.Value }

func (w wordFlag) Get() any { return reflect.ValueOf(w.Value).Elem().Interface() }

func (w wordFlag) IsBoolFlag() bool { return isBool(w.Value) }

// String also serves the zero wordFlag that package flag makes to learn whether a default is worth printing.
func (w wordFlag) String() string {
	if w.Value == nil {
		return ""
	}
	return w.Value.String()
}

func isBool(v flag.Value) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}
