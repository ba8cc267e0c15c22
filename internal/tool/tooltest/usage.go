package tooltest

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/version"
)

// CheckVersionAndHelp checks what a tool answers to -version and -h. The help, which
// it returns, must tell of exactly these flags and -version, in alphabetical order.
// A name may have the tool's commands behind it.
func CheckVersionAndHelp(tb testing.TB, name string, flags ...string) (help string) {
	tb.Helper()
	usage := "Usage of " + name + ":\n"
	name, _, _ = strings.Cut(name, " ")
	if r := Run(tb, nil, name, "-version"); r.Code != 0 || r.Stdout != name+" v"+version.Binary+"\n" || r.Stderr != "" {
		tb.Errorf("-version: %+v", r)
	}
	r := Run(tb, nil, name, "-h")
	if r.Code != 0 || r.Stdout != "" || !strings.HasPrefix(r.Stderr, usage) {
		tb.Errorf("-h: %+v", r)
	}
	var told []string
	for line := range strings.Lines(r.Stderr) {
		if flag, ok := strings.CutPrefix(line, "  -"); ok {
			told = append(told, strings.FieldsFunc(flag, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })[0])
		}
	}
	want := append(slices.Clone(flags), "version")
	slices.Sort(want)
	if !slices.Equal(told, want) {
		tb.Errorf("-h tells of the flags %q, want %q", told, want)
	}
	return r.Stderr
}

// CheckWrongFlags checks that a tool exits with 2 when it cannot read a flag: each
// argument is refused with a text that begins as its key does, and with the usage.
func CheckWrongFlags(tb testing.TB, name string, args map[string]string) {
	tb.Helper()
	for want, arg := range args {
		r := Run(tb, nil, name, arg)
		if r.Code != 2 || r.Stdout != "" || !strings.HasPrefix(r.Stderr, want) || !strings.Contains(r.Stderr, "\nUsage of "+name+":\n") {
			tb.Errorf("%s: %+v, want %s and the usage", arg, r, want)
		}
	}
}
