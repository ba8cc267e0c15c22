package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
)

const configWidth = 80

// configExample is a config file with every key: all of them commented out, with
// their defaults, but the one without which the program does not start.
func configExample(p *program) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %[1]s configuration (TOML), for %[1]s --config=<file>\n#\n", p.name)
	writeComment(&b, configHead(p))
	section := ""
	for _, o := range p.options {
		if o.Section != section {
			section = o.Section
			fmt.Fprintf(&b, "\n## %s\n", section)
		}
		b.WriteByte('\n')
		writeComment(&b, p.keysForFlags(configText(o)))
		if o.Key != p.set {
			b.WriteByte('#')
		}
		fmt.Fprintf(&b, "%s = %s\n", o.Key, tomlValue(o))
	}
	return b.Bytes()
}

func configHead(p *program) string {
	head := `Every key is here with its default; remove the first "#" of a line to set it. ` +
		`A flag on the command line goes before the file. Keys are the flags with "_" for "-"`
	var renamed []string
	for _, o := range p.options {
		if isRenamed(o) {
			renamed = append(renamed, o.Key+" (--"+o.Flag+")")
		}
	}
	if len(renamed) > 0 {
		head += ", except " + enumeration(renamed, "and")
	}
	return head + `. A duration is a string like "5s" or an integer of milliseconds. ` +
		"An unknown key is reported in the log and ignored; with " + p.name + " --strict-config it is an error."
}

func isRenamed(o config.Option) bool { return o.Key != strings.ReplaceAll(o.Flag, "-", "_") }

// enumeration is like "a, b and c".
func enumeration(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

func configText(o config.Option) string {
	text := sentence(o.Usage)
	if o.More != "" {
		text += " " + o.More
	}
	if o.Change != "" {
		text += " Can be changed at run time: " + o.Change + "."
	}
	return text
}

var flagInText = regexp.MustCompile(`--[a-z0-9-]+`)

// keysForFlags names keys where the text names flags that have one.
func (p *program) keysForFlags(text string) string {
	return flagInText.ReplaceAllStringFunc(text, func(flag string) string {
		for _, o := range p.options {
			if "--"+o.Flag == flag {
				return o.Key
			}
		}
		return flag
	})
}

func writeComment(b *bytes.Buffer, text string) {
	for _, line := range wrap(text, configWidth-len("# ")) {
		fmt.Fprintf(b, "# %s\n", line)
	}
}

// tomlValue is the default of an option, or its example.
func tomlValue(o config.Option) string {
	if o.Example != "" {
		switch o.Default.(type) {
		case []string:
			return "[" + strconv.Quote(o.Example) + "]"
		case string:
			return strconv.Quote(o.Example)
		}
		return o.Example
	}
	switch v := o.Default.(type) {
	case bool, int, int64:
		return fmt.Sprint(v)
	case []string, []float64: // none has a default
		return "[]"
	case time.Duration:
		return strconv.Quote(shortDuration(v))
	}
	word := fmt.Sprint(o.Default)
	if word == "true" || word == "false" {
		return word
	}
	return strconv.Quote(word)
}

// shortDuration is 1m where its String is 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
