package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// testOptions has a field of every type there is.
type testOptions struct {
	Bool     bool          `flag:"bool" usage:"a bool"`
	Int      int           `flag:"an-int" usage:"an int"`
	Int64    int64         `flag:"an-int64" cfg:"renamed"`
	String   string        `flag:"string"`
	Duration time.Duration `flag:"duration"`
	Strings  []string      `flag:"one-string" cfg:"strings"`
	Floats   []float64     `flag:"one-float" cfg:"floats"`
	Word     word          `flag:"word"`
	Switch   boolWord      `flag:"switch"`
	Untagged func()
}

func defaults() *testOptions {
	return &testOptions{
		Bool: true, Int: 1, Int64: 2, String: "text", Duration: time.Minute,
		Strings: []string{"x", "y"}, Floats: []float64{0.5}, Word: "off", Switch: "no",
	}
}

type word string

func (w *word) String() string { return string(*w) }

func (w *word) Set(s string) error {
	if s != "on" && s != "off" {
		return fmt.Errorf("unknown word %q", s)
	}
	*w = word(s)
	return nil
}

type boolWord string

func (w *boolWord) String() string     { return string(*w) }
func (w *boolWord) Set(s string) error { *w = boolWord(s); return nil }
func (w *boolWord) IsBoolFlag() bool   { return true }

func flagSet(opts *testOptions) *flag.FlagSet {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	Register(fs, opts)
	return fs
}

// resolve parses args and merges them with a file of the given text; "" is no file.
func resolve(t *testing.T, text string, args ...string) (opts *testOptions, warnings []string, err error) {
	t.Helper()
	opts = defaults()
	fs := flagSet(opts)
	if err := Parse(fs, args); err != nil {
		t.Fatal(err)
	}
	var file File
	if text != "" {
		file.Path = writeFile(t, text)
	}
	_, warnings, err = Resolve(opts, fs, file)
	return opts, warnings, err
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingGivenMeansDefaults(t *testing.T) {
	got, warnings, err := resolve(t, "")
	if err != nil || warnings != nil || !reflect.DeepEqual(got, defaults()) {
		t.Errorf("got %+v, %v, %v", got, warnings, err)
	}
}

func TestFlagBeforeFileBeforeDefault(t *testing.T) {
	const file = `an_int = 10
		renamed = 20
		strings = ["file"]`
	got, warnings, err := resolve(t, file, "-an-int=100", "--one-string", "flag,whole", "--one-string=second")
	want := defaults()
	want.Int, want.Int64, want.Strings = 100, 20, []string{"flag,whole", "second"}
	if err != nil || warnings != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, %v, want %+v", got, warnings, err, want)
	}
}

func TestFlagGivenWithItsDefaultBeatsTheFile(t *testing.T) {
	got, _, err := resolve(t, `an_int = 10`, "--an-int=1")
	if err != nil || got.Int != 1 {
		t.Errorf("got %d, %v, want 1", got.Int, err)
	}
}

func TestFlagValues(t *testing.T) {
	for _, c := range []struct {
		args []string
		want func(*testOptions)
	}{
		{[]string{"--bool=false"}, func(o *testOptions) { o.Bool = false }},
		{[]string{"--bool"}, func(o *testOptions) { o.Bool = true }},
		{[]string{"-an-int", "-5"}, func(o *testOptions) { o.Int = -5 }},
		{[]string{"--an-int64=5"}, func(o *testOptions) { o.Int64 = 5 }},
		{[]string{"--string="}, func(o *testOptions) { o.String = "" }},
		{[]string{"--duration=1h30m"}, func(o *testOptions) { o.Duration = 90 * time.Minute }},
		{[]string{"--one-float=1.0,0.99", "--one-float", "0.5"}, func(o *testOptions) { o.Floats = []float64{1, 0.99, 0.5} }},
		{[]string{"--word", "on"}, func(o *testOptions) { o.Word = "on" }},
		{[]string{"--switch"}, func(o *testOptions) { o.Switch = "true" }},
		{[]string{"--switch=tcp"}, func(o *testOptions) { o.Switch = "tcp" }},
	} {
		want := defaults()
		c.want(want)
		if got, _, err := resolve(t, "", c.args...); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v, want %+v", c.args, got, err, want)
		}
	}
}

func TestFlagErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-x"}, "flag provided but not defined: -x"},
		{[]string{"--bool=maybe"}, `invalid boolean value "maybe" for -bool: parse error`},
		{[]string{"--an-int=5.5"}, `invalid value "5.5" for flag -an-int: parse error`},
		{[]string{"--duration=60"}, `invalid value "60" for flag -duration: parse error`},
		{[]string{"--one-float=abc"}, `invalid value "abc" for flag -one-float: "abc" is not a number`},
		{[]string{"--word=maybe"}, `invalid value "maybe" for flag -word: unknown word "maybe"`},
		{[]string{"--string"}, "flag needs an argument: -string"},
		{[]string{"--bool", "false", "--an-int=5"}, `unexpected argument "false" (booleans need "=" for a value)`},
		{[]string{"--", "--an-int=5"}, `unexpected argument "--an-int=5"`},
	} {
		var out bytes.Buffer
		fs := flagSet(defaults())
		fs.SetOutput(&out)
		err := Parse(fs, c.args)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
		if !strings.HasPrefix(out.String(), c.want+"\nUsage of test:\n  -an-int int\n    \tan int (default 1)\n") {
			t.Errorf("%q printed %q, want the error and the usage", c.args, out.String())
		}
		if !strings.HasSuffix(out.String(), "\n\n"+c.want+"\n") {
			t.Errorf("%q printed %q, want the error at the end, too", c.args, out.String())
		}
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	fs := flagSet(defaults())
	fs.SetOutput(&out)
	if err := Parse(fs, []string{"-h"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{"-bool", "(default true)", "(default x,y)", "(default 0.5)", "(default off)", "(default no)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("usage lacks %q:\n%s", want, out.String())
		}
	}
}

func TestFileValues(t *testing.T) {
	for text, want := range map[string]func(*testOptions){
		`bool = false`:         func(o *testOptions) { o.Bool = false },
		`bool = "0"`:           func(o *testOptions) { o.Bool = false },
		`bool = "f"`:           func(o *testOptions) { o.Bool = false },
		`an_int = 5`:           func(o *testOptions) { o.Int = 5 },
		`an_int = "5"`:         func(o *testOptions) { o.Int = 5 },
		`renamed = -5`:         func(o *testOptions) { o.Int64 = -5 },
		`renamed = "0123"`:     func(o *testOptions) { o.Int64 = 123 },
		`string = ""`:          func(o *testOptions) { o.String = "" },
		`duration = "5s"`:      func(o *testOptions) { o.Duration = 5 * time.Second },
		`duration = 5000`:      func(o *testOptions) { o.Duration = 5 * time.Second },
		`strings = ["a", "b"]`: func(o *testOptions) { o.Strings = []string{"a", "b"} },
		`strings = "a, b"`:     func(o *testOptions) { o.Strings = []string{"a", "b"} },
		`strings = []`:         func(o *testOptions) { o.Strings = nil },
		`strings = ""`:         func(o *testOptions) { o.Strings = nil },
		`floats = [1, 0.99]`:   func(o *testOptions) { o.Floats = []float64{1, 0.99} },
		`floats = [1.0, 0.99]`: func(o *testOptions) { o.Floats = []float64{1, 0.99} },
		`floats = "1, 0.99"`:   func(o *testOptions) { o.Floats = []float64{1, 0.99} },
		`floats = ""`:          func(o *testOptions) { o.Floats = nil },
		`floats = []`:          func(o *testOptions) { o.Floats = nil },
		`word = "on"`:          func(o *testOptions) { o.Word = "on" },
		`switch = true`:        func(o *testOptions) { o.Switch = "true" },
		`switch = "tcp"`:       func(o *testOptions) { o.Switch = "tcp" },
	} {
		opts := defaults()
		want(opts)
		if got, warnings, err := resolve(t, text); err != nil || warnings != nil || !reflect.DeepEqual(got, opts) {
			t.Errorf("%s: got %+v, %v, %v, want %+v", text, got, warnings, err, opts)
		}
	}
}

func TestFileErrorsNameLineKeyAndValue(t *testing.T) {
	long := strings.Repeat("x", 101)
	for text, message := range map[string]string{
		`bool = 0`:                        `bool 0: must be true or false`,
		`bool = "maybe"`:                  `bool maybe: must be true or false`,
		`an_int = 5.0`:                    `an_int 5: must be an integer or a string of digits`,
		`an_int = "5.5"`:                  `an_int 5.5: must be an integer or a string of digits`,
		`an_int = ""`:                     `an_int "": must be an integer or a string of digits`,
		`an_int = [5]`:                    `an_int [5]: must be an integer or a string of digits`,
		`renamed = "9999999999999999999"`: `renamed 9999999999999999999: does not fit into 64 bits`,
		`renamed = true`:                  `renamed true: must be an integer or a string of digits`,
		`string = 5`:                      `string 5: must be a string`,
		`string = ["a"]`:                  `string [a]: must be a string`,
		`duration = "5000"`:               `duration 5000: must be a duration like "5s" or an integer of milliseconds`,
		`duration = 5.5`:                  `duration 5.5: must be a duration like "5s" or an integer of milliseconds`,
		`duration = 9223372036854775807`:  `duration 9223372036854775807: must be a duration like "5s" or an integer of milliseconds`,
		`strings = 5`:                     `strings 5: must be an array of strings or one string with commas`,
		`strings = ["a", 5]`:              `strings [a 5]: must be an array of strings or one string with commas`,
		`floats = 0.5`:                    `floats 0.5: must be an array of numbers or one string with commas`,
		`floats = ["1", 0.5]`:             `floats [1 0.5]: must be an array of numbers or one string with commas`,
		`floats = "0.5, x"`:               `floats "0.5, x": " x" is not a number`,
		`word = "maybe"`:                  `word maybe: unknown word "maybe"`,
		`word = "two words"`:              `word "two words": unknown word "two words"`,
		`word = true`:                     `word true: must be a string`,
		`switch = 1`:                      `switch 1: must be a string`,
		`duration = "` + long + `"`:       `duration "` + long[:100] + `"...: must be a duration like "5s" or an integer of milliseconds`,
	} {
		got, _, err := resolve(t, "# comment\n\n"+text+"\n", "--string=flag")
		if err == nil || !strings.HasSuffix(err.Error(), " - line 3: failed parsing "+message) {
			t.Errorf("%s: got %v, want line 3: failed parsing %s", text, err, message)
		}
		want := defaults()
		if want.String = "flag"; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the options are %+v, want %+v", text, got, want)
		}
	}
}

func TestIntegersOfThePlatform(t *testing.T) {
	_, _, err := resolve(t, fmt.Sprintf("an_int = %d", int64(math.MaxInt32)+1))
	if fits := math.MaxInt > math.MaxInt32; fits != (err == nil) {
		t.Errorf("got %v, int holds it: %v", err, fits)
	}
}

func TestAllMistakesAtOnceInTheOrderOfTheFile(t *testing.T) {
	const text = `word = "x"
strings = [
  "a",
  "b # not a comment",
]
string = """
an_int = 5.5
"""
duration = "x"
an_int = 5.5
`
	_, _, err := resolve(t, text)
	if err == nil {
		t.Fatal("no error")
	}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		prefix, rest, _ := strings.Cut(line, " - ")
		if !strings.HasPrefix(prefix, "failed to load config file ") || !strings.HasSuffix(prefix, "test.cfg") {
			t.Errorf("line %q does not name the file", line)
		}
		got = append(got, rest[:strings.LastIndex(rest, ": ")])
	}
	want := []string{
		"line 1: failed parsing word x",
		"line 9: failed parsing duration x",
		"line 10: failed parsing an_int 5.5",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnknownKeysAreWarnings(t *testing.T) {
	const text = `Bool = false
an_int64 = 5
an-int = 5
nonsense = 5

[section]
an_int = 5.5

[[sections]]
`
	got, warnings, err := resolve(t, text)
	if err != nil || !reflect.DeepEqual(got, defaults()) {
		t.Errorf("got %+v, %v", got, err)
	}
	want := []string{
		`line 1: unknown key "Bool" is ignored`,
		`line 2: unknown key "an_int64" is ignored, did you mean "renamed"?`,
		`line 3: unknown key "an-int" is ignored, did you mean "an_int"?`,
		`line 4: unknown key "nonsense" is ignored`,
		`line 6: unknown section "section" is ignored`,
		`line 9: unknown section "sections" is ignored`,
	}
	for i, w := range warnings {
		_, warnings[i], _ = strings.Cut(w, "test.cfg - ")
	}
	if !slices.Equal(warnings, want) {
		t.Errorf("got  %q\nwant %q", warnings, want)
	}
}

func TestUnknownKeysAreErrorsWhenStrict(t *testing.T) {
	path := writeFile(t, "an_int = 5\nan-int = 5\nbool = 0\n[section]\n")
	opts := defaults()
	_, warnings, err := Resolve(opts, flagSet(opts), File{Path: path, Strict: true})
	want := "failed to load config file " + path + ` - line 2: unknown key "an-int", did you mean "an_int"?
failed to load config file ` + path + ` - line 3: failed parsing bool 0: must be true or false
failed to load config file ` + path + ` - line 4: unknown section "section"`
	if warnings != nil || err == nil || err.Error() != want {
		t.Errorf("got %q and %v, want %s", warnings, err, want)
	}
}

func TestMistakesNameWhereTheValueComesFrom(t *testing.T) {
	one := &Mistake{[]string{"an-int"}, "--an-int must be less than 5"}
	two := &Mistake{[]string{"an-int", "an-int64", "string"}, "these do not go together"}
	other := errors.New("something else")
	for _, c := range []struct {
		file string // FILE in want
		args []string
		err  error
		want string
	}{
		{"", nil, nil, ""},
		{"", nil, other, "something else"},
		{"", nil, one, "--an-int must be less than 5"},
		{"", []string{"--an-int=7"}, one, "--an-int must be less than 5"},
		{"\nan_int = 7", nil, one, "--an-int must be less than 5 (config file FILE - line 2: an_int)"},
		{"\nan_int = 7", []string{"--an-int=7"}, one, "--an-int must be less than 5"},
		{"\nan_int = 7.5", nil, one, ""},
		{"\nan_int = 7.5", []string{"--an-int=7"}, one, "--an-int must be less than 5"},
		{"not toml", nil, one, ""},
		{"not toml", []string{"--an-int=7"}, one, "--an-int must be less than 5"},
		{"not toml", []string{"--an-int=7"}, two, ""},
		{"string = 'x'\nrenamed = 3", nil, two, "these do not go together (config file FILE - line 2: renamed, config file FILE - line 1: string)"},
		{"renamed = 3", []string{"--an-int=7"}, two, "these do not go together (--an-int, config file FILE - line 1: renamed)"},
		{"renamed = 3", nil, errors.Join(one, two, other), "--an-int must be less than 5\nthese do not go together (config file FILE - line 1: renamed)\nsomething else"},
		{"renamed = true", nil, errors.Join(one, two), "--an-int must be less than 5"},
	} {
		opts := defaults()
		fs := flagSet(opts)
		if err := Parse(fs, c.args); err != nil {
			t.Fatal(err)
		}
		var file File
		if c.file != "" {
			file.Path = writeFile(t, c.file)
		}
		origins, _, _ := Resolve(opts, fs, file) // what is wrong with the file is another test
		got := ""
		if err := origins.Explain(c.err); err != nil {
			got = err.Error()
		}
		if c.want = strings.ReplaceAll(c.want, "FILE", file.Path); got != c.want {
			t.Errorf("%q, %q: %v becomes %q, want %q", c.file, c.args, c.err, got, c.want)
		}
	}
}

func TestEveryWrongArgumentIsReported(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--an-int=x", "--bool=maybe", "--an-int64=5", "--duration", "5"}, []string{
			`invalid value "x" for flag -an-int: parse error`,
			`invalid boolean value "maybe" for -bool: parse error`,
			`invalid value "5" for flag -duration: parse error`,
		}},
		{[]string{"--nonsense", "5", "--an-int=x", "extra", "--not=reached"}, []string{
			"flag provided but not defined: -nonsense",
			`invalid value "x" for flag -an-int: parse error`,
			"flag provided but not defined: -not",
		}},
		{[]string{"--an-int=x", "---", "--=", "--string"}, []string{
			`invalid value "x" for flag -an-int: parse error`,
			"bad flag syntax: ---",
			"bad flag syntax: --=",
			"flag needs an argument: -string",
		}},
		{[]string{"--nonsense", "--string", "text", "extra"}, []string{
			"flag provided but not defined: -nonsense",
			`unexpected argument "extra"`,
		}},
	} {
		var out bytes.Buffer
		fs := flagSet(defaults())
		fs.SetOutput(&out)
		err := Parse(fs, c.args)
		if want := strings.Join(c.want, "\n"); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", c.args, err, want)
		}
		if n := strings.Count(out.String(), "Usage of"); n != 1 {
			t.Errorf("%q: printed the usage %d times", c.args, n)
		}
	}
}

func TestHelpAmongMistakesIsHelp(t *testing.T) {
	var out bytes.Buffer
	fs := flagSet(defaults())
	fs.SetOutput(&out)
	if err := Parse(fs, []string{"--nonsense", "--help"}); !errors.Is(err, flag.ErrHelp) || !strings.HasPrefix(out.String(), "Usage of test:\n") {
		t.Errorf("got %v and %q, want %v and the usage", err, out.String(), flag.ErrHelp)
	}
}

func TestUnreadableFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.cfg")
	for path, want := range map[string]string{
		missing:                      "open " + missing + ": ",
		writeFile(t, "a = 1\n b ="):  "toml: line 2",
		writeFile(t, "a = 1\na = 2"): "toml: line 2",
	} {
		_, _, err := Resolve(defaults(), flagSet(defaults()), File{Path: path})
		if want = "failed to load config file " + path + " - " + want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
}

// Whatever a file holds, it is a result or an error, never a panic or an exit.
func FuzzResolve(f *testing.F) {
	f.Add("bool = 0\nan_int = \"5\"\nstrings = [1, \"a\"]\n[word]\nx = 1\n")
	f.Add("floats = [1, nan]\nduration = -1\na.b = 1\n\"\" = 1\n[[switch]]\n")
	path := filepath.Join(f.TempDir(), "fuzz.cfg")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		opts := defaults()
		origins, warnings, err := Resolve(opts, flagSet(opts), File{Path: path})
		_, strictly, strictErr := Resolve(defaults(), flagSet(opts), File{Path: path, Strict: true})
		if strictly != nil || (strictErr != nil) != (err != nil || warnings != nil) {
			t.Errorf("got %q and %v, but %q and %v when strict", warnings, err, strictly, strictErr)
		}
		_ = origins.Explain(&Mistake{Flags: []string{"bool", "an-int"}, Text: "fuzz"})
	})
}

// Whatever the arguments, reading them ends, and is no success if any was left over.
func FuzzParse(f *testing.F) {
	f.Add("--bool=x\n---\n--\n--an-int\n5")
	f.Add("-=\n--nonsense\n5\n-h\n--one-float=1,x")
	f.Fuzz(func(t *testing.T, lines string) {
		fs := flagSet(defaults())
		if err := Parse(fs, strings.Split(lines, "\n")); err == nil && fs.NArg() > 0 {
			t.Errorf("%q: no error, but %q is left over", lines, fs.Args())
		}
	})
}
