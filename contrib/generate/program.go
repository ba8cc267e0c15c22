package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/nsqadmin"
	"github.com/seed893f581e/nsq/nsqd"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

// program is one program as documents show it.
type program struct {
	name    string
	section int // of the manual

	does     string // the sentence that says what it does, without its name
	comment  string // above its main package, in one line, from its name on
	flags    []programFlag
	notation string          // the end of its help
	options  []config.Option // of a daemon
	set      string          // the key without which a daemon does not start
}

// programFlag is a flag of a program.
type programFlag struct {
	helpFlag
	option *config.Option // nil for one that is none of a daemon's
	words  []string       // to choose from; "file" or "directory" alone means a path
}

// daemons in the order in which documents tell of them, and with the key that has
// no default which would do.
var daemons = []struct {
	name    string
	options any
	set     string
}{
	{name: "nsqd", options: nsqd.NewOptions()},
	{name: "nsqlookupd", options: nsqlookupd.NewOptions()},
	{name: "nsqadmin", options: nsqadmin.NewOptions(), set: "nsqlookupd_http_addresses"},
}

var tools = []string{"to_nsq", "nsq_tail", "nsq_stat", "nsq_to_file", "nsq_to_http", "nsq_to_nsq", "nsq_store"}

// commands are what stands before the flags of the tools that have commands.
var commands = map[string]string{"nsq_store": "check|info|export"}

// words of the flags that no option tells of. The usage must name them.
var words = map[string][]string{
	"log-level": {"debug", "info", "warn", "error", "fatal"},
	"mode":      {"round-robin", "hostpool", "epsilon-greedy", "all"},
}

// readPrograms makes the descriptions of all programs.
func readPrograms(root, bin string) ([]*program, error) {
	var programs []*program
	for _, d := range daemons {
		programs = append(programs, &program{name: d.name, section: 8, options: config.Describe(d.options), set: d.set})
	}
	for _, name := range tools {
		programs = append(programs, &program{name: name, section: 1})
	}
	for _, p := range programs {
		if err := p.readComment(root); err != nil {
			return nil, err
		}
		help, err := exec.Command(filepath.Join(bin, p.name), "--help").CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%s --help: %w: %s", p.name, err, help)
		}
		if err := p.readHelp(string(help)); err != nil {
			return nil, fmt.Errorf("%s --help: %w", p.name, err)
		}
	}
	return programs, nil
}

// readComment takes the comment above the main package, which begins with "Command",
// the name, and what the program does or is.
func (p *program) readComment(root string) error {
	path := filepath.Join(root, "apps", p.name, "main.go")
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	p.comment = strings.Join(strings.Fields(f.Doc.Text()), " ")
	p.comment = strings.TrimPrefix(p.comment, "Command ")
	does, ok := strings.CutPrefix(p.comment, p.name+" ")
	if !ok {
		return fmt.Errorf("%s: the comment does not begin with %q", path, "Command "+p.name)
	}
	does, _, _ = strings.Cut(does, ". ")
	p.does = strings.TrimSuffix(strings.TrimPrefix(does, "is "), ".")
	return nil
}

// readHelp takes the flags, those of a daemon in the order of its options, and
// then those that are none.
func (p *program) readHelp(help string) error {
	flags, notation, err := parseHelp(strings.TrimSpace(p.name+" "+commands[p.name]), help)
	if err != nil {
		return err
	}
	p.notation = notation
	for i := range p.options {
		o := &p.options[i]
		at := slices.IndexFunc(flags, func(f helpFlag) bool { return f.name == o.Flag })
		if at < 0 {
			return fmt.Errorf("--%s is missing: are the programs older than their options?", o.Flag)
		}
		p.flags = append(p.flags, programFlag{helpFlag: flags[at], option: o, words: o.Words})
		flags = slices.Delete(flags, at, at+1)
	}
	for _, f := range flags {
		own := programFlag{helpFlag: f, words: words[f.name]}
		for _, word := range own.words {
			if !strings.Contains(f.usage, word) {
				return fmt.Errorf("--%s does not tell of %s", f.name, word)
			}
		}
		switch {
		case f.name == "config":
			own.words = []string{"file"}
		case f.value == "directory":
			own.words = []string{"directory"}
		}
		p.flags = append(p.flags, own)
	}
	for i := range p.flags {
		if f := &p.flags[i]; f.value == "" && len(f.words) == 0 {
			f.words = []string{"true", "false"}
		}
	}
	return nil
}

// ofHost says whether the default depends on the machine, as the usage then says.
func (f *programFlag) ofHost() bool {
	return f.option != nil && f.option.Example != "" && f.def != ""
}

// isPath says whether the value is the path of a file or directory.
func (f *programFlag) isPath() bool {
	return len(f.words) == 1 && (f.words[0] == "file" || f.words[0] == "directory")
}

// text is all that there is to say, in sentences.
func (f *programFlag) text() string {
	text := sentence(f.usage)
	if f.option != nil && f.option.More != "" {
		text += " " + f.option.More
	}
	return text
}

// sentence makes one of a usage. What begins with a notation, as host:port, or with
// a list of words stays as it is.
func sentence(usage string) string {
	first, _, _ := strings.Cut(usage, " ")
	if !strings.ContainsAny(first, ":,") {
		usage = strings.ToUpper(usage[:1]) + usage[1:]
	}
	return usage + "."
}

// sections calls do with the flags under each heading, in order. The last of a
// daemon has those that are no option; a tool has one section, without a heading.
func (p *program) sections(do func(heading string, flags []programFlag)) {
	heading := func(f programFlag) string {
		switch {
		case f.option != nil:
			return f.option.Section
		case p.options != nil:
			return "The program itself"
		}
		return ""
	}
	for first := 0; first < len(p.flags); {
		end := first + 1
		for end < len(p.flags) && heading(p.flags[end]) == heading(p.flags[first]) {
			end++
		}
		do(heading(p.flags[first]), p.flags[first:end])
		first = end
	}
}

// wrap breaks text into lines of at most width characters where that is possible.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
