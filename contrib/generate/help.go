package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// helpFlag is a flag as a program's help tells of it.
type helpFlag struct {
	name  string
	value string // what stands for its value; "" for a boolean, whose value needs "="
	usage string // without the default
	def   string // as printed; "" for none, or for a zero value
}

// list says whether the flag may be given several times.
func (f *helpFlag) list() bool { return strings.Contains(f.usage, "given several times") }

var (
	helpEntry   = regexp.MustCompile(`^  -([a-z0-9-]+)(?: (.+?))?(?:\t(.*))?$`)
	helpDefault = regexp.MustCompile(` \(default (.*)\)$`)
)

// parseHelp reads what package flag prints, and what the program adds to its end.
func parseHelp(program, help string) (flags []helpFlag, notation string, err error) {
	rest, ok := strings.CutPrefix(help, "Usage of "+program+":\n")
	if !ok {
		return nil, "", fmt.Errorf("begins with %.40q", help)
	}
	list, notation, _ := strings.Cut(rest, "\n\n")
	for line := range strings.Lines(list) {
		line = strings.TrimSuffix(line, "\n")
		if usage, ok := strings.CutPrefix(line, "    \t"); ok && len(flags) > 0 {
			flags[len(flags)-1].describe(usage)
			continue
		}
		entry := helpEntry.FindStringSubmatch(line)
		if entry == nil {
			return nil, "", fmt.Errorf("what is the line %q?", line)
		}
		flags = append(flags, helpFlag{name: entry[1], value: entry[2]})
		if entry[3] != "" { // a boolean of one letter
			flags[len(flags)-1].describe(entry[3])
		}
	}
	for _, f := range flags {
		if f.usage == "" {
			return nil, "", errors.New("nothing is said of -" + f.name)
		}
	}
	return flags, strings.TrimSuffix(notation, "\n"), nil
}

// describe takes the usage, or the next line of it.
func (f *helpFlag) describe(usage string) {
	f.usage = strings.TrimSpace(f.usage + " " + usage)
	if m := helpDefault.FindStringSubmatch(f.usage); m != nil {
		f.def = m[1]
		f.usage = strings.TrimSuffix(f.usage, m[0])
	}
}
