package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const referenceHead = "# Configuration\n" + `
Every option of the daemons and every flag of the tools. This page is written by ` + "`make generate`" + `, from the programs themselves.

A flag may begin with one dash or two, and its value follows it or a ` + "`=`" + `: ` + "`-topic=t`, `--topic t`" + `. Booleans need the ` + "`=`" + ` for
a value: ` + "`--snappy=false`" + `. A flag that may be given several times is a list, each value of which is given by a flag of its own.

The daemons take their options from flags and from the TOML file that ` + "`--config`" + ` names; a flag goes before the file, the file before
the default. Environment variables mean nothing. An unknown key of the file is reported in the log and ignored, with ` + "`--strict-config`" + `
it is an error. All that is wrong with flags and file is reported at once, with the line of the file, and the daemon does not start.

| type | as a flag | in the file |
| --- | --- | --- |
| duration | ` + "`250ms`, `5s`, `1h30m`" + ` | a string like that, or an integer of milliseconds |
| integer | ` + "`5`" + ` | an integer, or a string of digits |
| boolean | ` + "`--flag`, `--flag=false`" + ` | ` + "`true` or `false`" + `, also as a string |
| text, path, address, word | as it is | a string |
| list | one flag for each value | an array of strings, or one string with commas |
| list of numbers | with commas, or one flag for each | an array of numbers, or one string with commas |

` + "`contrib/*.cfg.example`" + ` are files with every key. What can be changed at run time is so until the daemon stops.
`

// reference is the page that tells of all options.
func reference(programs []*program) []byte {
	b := bytes.NewBufferString(referenceHead)
	for _, p := range programs {
		fmt.Fprintf(b, "\n## %s\n\n%s\n", p.name, markdown(p.comment))
		p.sections(func(heading string, flags []programFlag) {
			if heading != "" {
				fmt.Fprintf(b, "\n### %s: %s\n", p.name, heading)
			}
			b.WriteByte('\n')
			if p.options == nil {
				writeTable(b, flags, "flag", "type", "default", "meaning")
			} else {
				writeTable(b, flags, "flag", "key in the file", "type", "default", "meaning")
			}
		})
	}
	return b.Bytes()
}

func writeTable(b *bytes.Buffer, flags []programFlag, columns ...string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, f := range flags {
		cells := []string{code("--" + f.name)}
		if len(columns) > 4 {
			cells = append(cells, referenceKey(f))
		}
		cells = append(cells, referenceType(f), referenceDefault(f), markdown(f.text()))
		if f.option != nil && f.option.Change != "" {
			cells[len(cells)-1] += " At run time: " + code(f.option.Change) + "."
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

func referenceKey(f programFlag) string {
	if f.option == nil {
		return "none"
	}
	return code(f.option.Key)
}

func referenceType(f programFlag) string {
	switch {
	case f.isPath():
		return "path of a " + f.words[0]
	case f.option != nil && f.list():
		return optionType(f.option.Default)
	case len(f.words) == 2 && f.value == "":
		return "boolean"
	case len(f.words) > 0:
		words := make([]string, len(f.words))
		for i, word := range f.words {
			words[i] = code(word)
		}
		return enumeration(words, "or")
	case f.option != nil:
		return optionType(f.option.Default)
	case f.list():
		return "list of " + markdown(f.value)
	case f.value == "int":
		return "integer"
	case f.value == "string":
		return "text"
	}
	return markdown(f.value)
}

func optionType(def any) string {
	switch def.(type) {
	case int, int64:
		return "integer"
	case time.Duration:
		return "duration"
	case []string:
		return "list"
	case []float64:
		return "list of numbers"
	}
	return "text"
}

// literalDefault is what package flag shows of a default, and not what the usage
// says in its place.
var literalDefault = regexp.MustCompile(`^["0-9]`)

// referenceDefault shows the zero values, too, which the help leaves out.
func referenceDefault(f programFlag) string {
	switch {
	case f.ofHost():
		return "from the host name"
	case f.option == nil && literalDefault.MatchString(f.def):
		return code(f.def)
	case f.option == nil && f.def != "":
		return markdown(f.def)
	case f.option == nil && f.value == "":
		return code("false")
	case f.option == nil && f.value == "int":
		return code("0")
	case f.option == nil:
		return "none"
	}
	switch v := f.option.Default.(type) {
	case []string, []float64:
		return "none"
	case string:
		if v == "" {
			return "empty"
		}
		if len(f.words) > 0 {
			return code(v)
		}
		return code(strconv.Quote(v))
	case time.Duration:
		return code(shortDuration(v))
	default:
		return code(fmt.Sprint(v))
	}
}

// code is text in a table, shown as it is.
func code(text string) string { return "`" + strings.ReplaceAll(text, "|", `\|`) + "`" }

var (
	markdownCode   = regexp.MustCompile(`--[a-z0-9-]+(=[^\s;.]+)?`)
	markdownEscape = strings.NewReplacer(`|`, `\|`, `<`, `&lt;`, `>`, `&gt;`, `*`, `\*`, `\`, `\\`, "`", "\\`")
)

// markdown is text for a page, with flags as code.
func markdown(text string) string {
	var b strings.Builder
	for {
		at := markdownCode.FindStringIndex(text)
		if at == nil {
			b.WriteString(markdownEscape.Replace(text))
			return b.String()
		}
		b.WriteString(markdownEscape.Replace(text[:at[0]]))
		b.WriteString(code(text[at[0]:at[1]]))
		text = text[at[1]:]
	}
}
