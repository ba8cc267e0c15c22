package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/seed893f581e/nsq/internal/version"
)

// manDate is that of the pages: when their form was last changed.
const manDate = "2026-11-22"

// manPage is the manual page of a program, for man(7).
func manPage(p *program, all []*program) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line(`.\" Written by "make generate" from the program's flags.`)
	line(`.TH %s %d %s "nsq %s" "nsq"`, strings.ToUpper(p.name), p.section, manDate, version.Binary)
	line(".SH NAME")
	line(`%s \- %s`, p.name, roff(p.does))
	line(".SH SYNOPSIS")
	line(".B %s", p.name)
	if c := commands[p.name]; c != "" {
		line(`\fI%s\fR`, c)
	}
	line(`[\fIflag\fR ...]`)
	line(".SH DESCRIPTION")
	for _, text := range wrap(p.comment, manWidth) {
		line("%s", roff(text))
	}
	line(".PP")
	line("A flag may begin with one dash or two.")
	line("Its value follows it, or a \"=\"; a boolean needs the \"=\" for a value.")
	line(".SH OPTIONS")
	p.sections(func(heading string, flags []programFlag) {
		if heading != "" {
			line(".SS %s", roff(heading))
		}
		for _, f := range flags {
			writeManFlag(&b, f)
		}
	})
	if p.options != nil {
		writeManNotation(&b, p)
	}
	line(".SH EXIT STATUS")
	line("0 after a clean end, 1 after a failure, which is written to stderr,")
	line("and 2 for flags that cannot be read.")
	line(".SH SEE ALSO")
	writeSeeAlso(&b, p, all)
	return b.Bytes()
}

const manWidth = 72 // and room for what is escaped

func writeManFlag(b *bytes.Buffer, f programFlag) {
	fmt.Fprintf(b, ".TP\n\\fB%s\\fR", roff("--"+f.name))
	if f.value != "" {
		fmt.Fprintf(b, "=\\fI%s\\fR", roff(f.value))
	}
	b.WriteByte('\n')
	text := f.text()
	if f.def != "" && !f.ofHost() {
		text += " The default is " + f.def + "."
	}
	if f.option != nil {
		text += " Key in the file: " + f.option.Key + "."
		if f.option.Change != "" {
			text += " Can be changed at run time: " + f.option.Change + "."
		}
	}
	for _, line := range wrap(text, manWidth) {
		fmt.Fprintln(b, roff(line))
	}
}

// writeManNotation writes the end of the help: what flags and keys look like, and
// what signals do.
func writeManNotation(b *bytes.Buffer, p *program) {
	fmt.Fprintln(b, ".SH NOTATION AND SIGNALS")
	for _, line := range wrap(p.notation, manWidth) {
		fmt.Fprintln(b, roff(line))
	}
	fmt.Fprintf(b, ".SH FILES\n.TP\n.I %s\nA config file with every key and its default. Packages install it as\n.IR /etc/nsq/%s .\n",
		roff(p.name+".cfg.example"), roff(p.name+".cfg"))
}

func writeSeeAlso(b *bytes.Buffer, p *program, all []*program) {
	var others []*program
	for _, other := range all {
		if other != p {
			others = append(others, other)
		}
	}
	for i, other := range others {
		end := " ,"
		if i == len(others)-1 {
			end = ""
		}
		fmt.Fprintf(b, ".BR %s (%d)%s\n", other.name, other.section, end)
	}
}

var roffEscape = strings.NewReplacer(`\`, `\e`, `-`, `\-`)

// roff is text of a page, in which nothing is a request.
func roff(text string) string {
	text = roffEscape.Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
