// Package daemontest tests what the programs of the daemons have in common: that
// each of their options works as flag and in the config file, and how they start,
// answer signals and end.
package daemontest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// Table is every option of a program.
type Table struct {
	Program func() *daemon.Program // with its defaults
	Options []Option

	// OfHost are the options, by flag, whose defaults depend on the host, and what
	// the example file has in their place.
	OfHost map[string]any

	// Needs are arguments without which the program's options are not valid, and
	// Set are the options that they set, by flag, as the example file has them. Both
	// are empty for a program that starts with its defaults.
	Needs []string
	Set   map[string]any
}

// with are the other flags that the values of an option need.
func (tb *Table) with(o Option) []string {
	if o.Instead {
		return o.With
	}
	return slices.Concat(o.With, tb.Needs)
}

// Run checks every option: on the command line, in the config file, which of
// them goes first, in the help, and in the example file.
func (tb *Table) Run(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"the table is complete":    tb.isComplete,
		"every option is told of":  tb.isToldOf,
		"every flag":               tb.everyFlag,
		"every key":                tb.everyKey,
		"flag before file":         tb.flagBeforeFile,
		"defaults":                 tb.defaults,
		"obsolete flags":           tb.obsoleteFlags,
		"help tells the keys":      tb.helpTellsTheKeys,
		"help names all":           tb.helpNamesAll,
		"example file is complete": tb.exampleIsComplete,
		"example file works":       tb.exampleWorks,
	} {
		t.Run(name, test)
	}
}

// programFlags are those that set no option.
func programFlags(p *daemon.Program) []string {
	return append([]string{"config", "strict-config", "version"}, slices.Collect(maps.Keys(p.Obsolete))...)
}

// A flag that is missing in the table would be missing in the tests.
func (tb *Table) isComplete(t *testing.T) {
	p := tb.Program()
	c, err := daemon.Parse(p, nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var got, tagged, want []string
	c.Flags().VisitAll(func(f *flag.Flag) {
		got = append(got, f.Name)
		if f.Usage == "" {
			t.Errorf("--%s has no usage text", f.Name)
		}
	})
	for field := range reflect.TypeOf(p.Options).Elem().Fields() {
		if name, ok := field.Tag.Lookup("flag"); ok {
			tagged = append(tagged, name)
		}
	}
	for _, o := range tb.Options {
		want = append(want, o.Flag)
		if len(o.Good) < 2 || reflect.DeepEqual(o.Kind.Parse(o.Good[0]), o.Kind.Parse(o.Good[1])) {
			t.Errorf("--%s: the table has not two different values", o.Flag)
		}
	}
	if slices.Sort(tagged); !slices.Equal(tagged, slices.Sorted(slices.Values(want))) {
		t.Errorf("options have the flags %q, the table has %q", tagged, want)
	}
	want = append(want, programFlags(p)...)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("flags are %q, want %q", got, want)
	}
}

// What documents are made of: a section, words that can be chosen, and texts that
// can be put together.
func (tb *Table) isToldOf(t *testing.T) {
	table := map[string]Option{}
	for _, o := range tb.Options {
		table[o.Flag] = o
	}
	sentences := regexp.MustCompile(`^([A-Z0-9].*\.)?$`)
	for _, o := range config.Describe(tb.Program().Options) {
		if o.Section == "" || strings.HasSuffix(o.Usage, ".") || !sentences.MatchString(o.More) {
			t.Errorf("--%s: section %q, usage %q, more %q", o.Flag, o.Section, o.Usage, o.More)
		}
		for _, word := range o.Words {
			if word == "file" || word == "directory" {
				continue
			}
			if err := FromFlags(t, tb.Program(), append(tb.with(table[o.Flag]), "--"+o.Flag+"="+word)...); err != nil {
				t.Errorf("--%s %s, which can be chosen: %v", o.Flag, word, err)
			}
		}
	}
}

func (tb *Table) everyFlag(t *testing.T) {
	for _, o := range tb.Options {
		for _, text := range o.Good {
			forms := [][]string{o.args(text)}
			if !o.Kind.Alone && o.Kind.Split == nil {
				forms = append(forms, []string{"-" + o.Flag, text})
			}
			for _, args := range forms {
				p := tb.Program()
				err := FromFlags(t, p, append(args, tb.with(o)...)...)
				if want := o.Kind.Parse(text); err != nil || !reflect.DeepEqual(o.value(t, p), want) {
					t.Errorf("%q: got %#v, %v, want %#v", args, o.value(t, p), err, want)
				}
			}
		}
		for text := range o.Bad {
			p := tb.Program()
			args := append(o.args(text), tb.with(o)...)
			want := o.mistake(p, text)
			if !strings.Contains(want, "--"+o.Flag) {
				want += " (--" + o.Flag + ")"
			}
			if err := FromFlags(t, p, args...); err == nil || err.Error() != want {
				t.Errorf("%q: got %v, want %s", args, err, want)
			}
		}
		for text, want := range o.Kind.FlagType {
			form := "invalid value %q for flag -%s: %s"
			if o.Kind.Alone {
				form = "invalid boolean value %q for -%s: %s"
			}
			CheckWrongArguments(t, tb.Program(), o.args(text), fmt.Sprintf(form, text, o.Flag, want))
		}
	}
}

func (tb *Table) everyKey(t *testing.T) {
	good := func(o Option, toml string, want any) {
		p := tb.Program()
		warnings, err := FromFile(t, p, o.name()+" = "+toml, tb.with(o)...)
		if err != nil || warnings != nil || !reflect.DeepEqual(o.value(t, p), want) {
			t.Errorf("%s = %s: got %#v, %q, %v, want %#v", o.name(), toml, o.value(t, p), warnings, err, want)
		}
	}
	bad := func(o Option, toml, want string) {
		warnings, err := FromFile(t, tb.Program(), "\n"+o.name()+" = "+toml, tb.with(o)...)
		if err == nil || warnings != nil || err.Error() != want {
			t.Errorf("%s = %s: got %q, %v, want %s", o.name(), toml, warnings, err, want)
		}
	}
	p := tb.Program()
	file := p.Name + ".cfg"
	for _, o := range tb.Options {
		for _, text := range o.Good {
			good(o, o.Kind.TOML(text), o.Kind.Parse(text))
			if o.Kind == Ints {
				good(o, `"`+text+`"`, o.Kind.Parse(text))
			}
		}
		for text := range o.Bad {
			bad(o, o.Kind.TOML(text), o.mistake(p, text)+" (config file "+file+" - line 2: "+o.name()+")")
		}
		for toml, want := range o.Kind.FileType {
			bad(o, toml, "failed to load config file "+file+" - line 2: failed parsing "+o.name()+" "+want)
		}
		for toml, want := range o.Kind.Also {
			good(o, toml, want)
		}
	}
}

func (tb *Table) flagBeforeFile(t *testing.T) {
	for _, o := range tb.Options {
		p := tb.Program()
		args := append(o.args(o.Good[0]), tb.with(o)...)
		_, err := FromFile(t, p, o.name()+" = "+o.Kind.TOML(o.Good[1]), args...)
		if want := o.Kind.Parse(o.Good[0]); err != nil || !reflect.DeepEqual(o.value(t, p), want) {
			t.Errorf("%s: got %v, %v, want %v", o.Flag, o.value(t, p), err, want)
		}
		for text := range o.Bad { // is not in force, so it is no mistake
			if _, err := FromFile(t, tb.Program(), o.name()+" = "+o.Kind.TOML(text), args...); err != nil {
				t.Errorf("%s = %s, but %q: %v", o.name(), text, args, err)
			}
		}
	}
}

func (tb *Table) defaults(t *testing.T) {
	p := tb.Program()
	if err := FromFlags(t, p, tb.Needs...); err != nil {
		t.Error(err)
	}
	tb.checkValues(t, p, tb.Set)
}

func (tb *Table) obsoleteFlags(t *testing.T) {
	p := tb.Program()
	var args, want []string
	for _, name := range slices.Sorted(maps.Keys(p.Obsolete)) {
		args = append(args, "--"+name, "--"+name+"=false")
		want = append(want, "--"+name+" has no effect, use --"+p.Obsolete[name])
	}
	warnings, err := FromFile(t, p, "", append(args, tb.Needs...)...)
	if err != nil || !slices.Equal(warnings, want) {
		t.Errorf("got %q, %v, want %q", warnings, err, want)
	}
	tb.checkValues(t, p, tb.Set)
}

// checkValues expects the defaults but for some options.
func (tb *Table) checkValues(t *testing.T, p *daemon.Program, but ...map[string]any) {
	t.Helper()
	defaults := tb.Program()
	for _, o := range tb.Options {
		want := o.value(t, defaults)
		for _, values := range but {
			if v, ok := values[o.Flag]; ok {
				want = v
			}
		}
		if got := o.value(t, p); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, want %#v", o.name(), got, want)
		}
	}
}

// The list of those that have a key of another name, or none, is written by hand.
func (tb *Table) helpTellsTheKeys(t *testing.T) {
	p := tb.Program()
	text := strings.Join(strings.Fields(p.Notation), " ")
	for _, name := range programFlags(p) {
		if !strings.Contains(text, "-"+name) {
			t.Errorf("the help does not say that -%s has no key", name)
		}
	}
	renamed := 0
	for _, o := range tb.Options {
		if o.Key != "" {
			renamed++
			if !strings.Contains(text, o.Key+" (-"+o.Flag+")") {
				t.Errorf("the help does not say that -%s has the key %s", o.Flag, o.Key)
			}
		}
	}
	if n := strings.Count(text, "(-"); n != renamed {
		t.Errorf("the help names %d keys, want %d", n, renamed)
	}
}

func (tb *Table) helpNamesAll(t *testing.T) {
	p := tb.Program()
	var stderr bytes.Buffer
	c, err := daemon.Parse(p, []string{"--help"}, &stderr)
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	help := stderr.String()
	if !strings.HasPrefix(help, "Usage of "+p.Name+":\n") {
		t.Errorf("the help begins with %.30q", help)
	}
	c.Flags().VisitAll(func(f *flag.Flag) {
		entry := regexp.MustCompile(`(?m)^  -` + f.Name + `( \w+)?\n    \t(.*)$`).FindStringSubmatch(help)
		zero := f.DefValue == "" || f.DefValue == "0" || f.DefValue == "false" || f.DefValue == "0s"
		if entry == nil || (!zero && !strings.Contains(entry[2], "(default ")) {
			t.Errorf("the usage of --%s is %q", f.Name, entry)
		}
	})
}

// exampleSetting finds the settings of an example file.
var exampleSetting = regexp.MustCompile(`(?m)^#?([a-z0-9_]+) = `)

// ExampleFile returns the example file of a program as it is shipped, and with
// every key set.
func ExampleFile(tb testing.TB, program string) (shipped, everyKeySet string) {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(nsqtest.Root(), "contrib", program+".cfg.example"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text), exampleSetting.ReplaceAllString(string(text), "$1 = ")
}

func (tb *Table) exampleIsComplete(t *testing.T) {
	shipped, _ := ExampleFile(t, tb.Program().Name)
	var keys, want []string
	for _, m := range exampleSetting.FindAllStringSubmatch(shipped, -1) {
		keys = append(keys, m[1])
	}
	for _, o := range tb.Options {
		want = append(want, o.name())
	}
	slices.Sort(keys)
	slices.Sort(want)
	if !slices.Equal(keys, want) {
		t.Errorf("the example has the keys %q, want %q", keys, want)
	}
}

// exampleWorks also checks that the example holds the defaults.
func (tb *Table) exampleWorks(t *testing.T) {
	shipped, everyKeySet := ExampleFile(t, tb.Program().Name)
	check := func(text string, ofHost map[string]any) {
		p := tb.Program()
		warnings, err := FromFile(t, p, text, "--strict-config")
		if err != nil || warnings != nil {
			t.Errorf("%v, %v", warnings, err)
		}
		tb.checkValues(t, p, ofHost, tb.Set)
	}
	check(shipped, nil)
	check(everyKeySet, tb.OfHost)
}

// FromFlags parses and resolves arguments.
func FromFlags(t *testing.T, p *daemon.Program, args ...string) error {
	t.Helper()
	c, err := daemon.Parse(p, args, t.Output())
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	_, err = c.Resolve()
	return err
}

// FromFile resolves a config file of the given text and arguments. It has the
// program's name, as nsqd.cfg, in warnings and errors.
func FromFile(t *testing.T, p *daemon.Program, text string, args ...string) (warnings []string, err error) {
	t.Helper()
	t.Chdir(t.TempDir())
	file := p.Name + ".cfg"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := daemon.Parse(p, append(slices.Clone(args), "--config="+file), t.Output())
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return c.Resolve()
}

// CheckWrongArguments expects the errors, and then the usage once.
func CheckWrongArguments(t *testing.T, p *daemon.Program, args []string, want string) {
	t.Helper()
	var stderr bytes.Buffer
	_, err := daemon.Parse(p, args, &stderr)
	if err == nil || err.Error() != want || !strings.HasPrefix(stderr.String(), want+"\nUsage of "+p.Name+":\n") || strings.Count(stderr.String(), "Usage of") != 1 {
		t.Errorf("%q: got %v and %q, want %s and the usage", args, err, stderr.String(), want)
	}
}
