package nsqtest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A Transcript is a file that says what a client and a daemon tell each other,
// a line for each step: a verb and, after a space, its text. Which verbs there
// are is for the test that plays it. Empty lines and those that start with #
// are comments; a line "== title" begins a case.
type Transcript struct {
	Head  []TranscriptLine // before the first case
	Cases []TranscriptCase
}

// A TranscriptCase is the lines from one title to the next.
type TranscriptCase struct {
	Title string
	Lines []TranscriptLine
}

// A TranscriptLine is one step.
type TranscriptLine struct {
	Number int
	Verb   string // the first word
	Rest   string // what follows the space after it
}

// ReadTranscript reads a transcript from a file.
func ReadTranscript(tb testing.TB, file string) (t Transcript) {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		verb, rest, _ := strings.Cut(line, " ")
		l := TranscriptLine{number, verb, rest}
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case verb == "==":
			t.Cases = append(t.Cases, TranscriptCase{Title: rest})
		case len(t.Cases) == 0:
			t.Head = append(t.Head, l)
		default:
			c := &t.Cases[len(t.Cases)-1]
			c.Lines = append(c.Lines, l)
		}
	}
	return t
}

// Expand returns the bytes that the text of a transcript stands for. It has
// Go's escapes (\n, \r, \x00, \\) and these: $(repeat TEXT N), $(size N) for an
// int32, $(sized TEXT) for an int32 and the text, $(version) for that of the
// daemons, and what more knows: it returns false for what it does not.
func Expand(text string, more func(name, args string) ([]byte, bool, error)) ([]byte, error) {
	var out []byte
	for text != "" {
		if strings.HasPrefix(text, "$(") {
			call, rest, err := cutCall(text[2:])
			if err != nil {
				return nil, err
			}
			name, args, _ := strings.Cut(call, " ")
			b, err := expandCall(name, args, more)
			if err != nil {
				return nil, err
			}
			out, text = append(out, b...), rest
			continue
		}
		literal := text
		if i := strings.Index(text, "$("); i >= 0 {
			literal = text[:i]
		}
		b, err := unescape(literal)
		if err != nil {
			return nil, err
		}
		out, text = append(out, b...), text[len(literal):]
	}
	return out, nil
}

// cutCall cuts text behind the closing parenthesis of a call that it begins
// with.
func cutCall(text string) (call, rest string, err error) {
	open := 1
	for i, r := range text {
		switch r {
		case '(':
			open++
		case ')':
			open--
		}
		if open == 0 {
			return text[:i], text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("no end of $(")
}

func expandCall(name, args string, more func(name, args string) ([]byte, bool, error)) ([]byte, error) {
	words := strings.Fields(args)
	switch {
	case name == "repeat" && len(words) == 2:
		b, err := unescape(words[0])
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(words[1])
		return bytes.Repeat(b, n), err
	case name == "size" && len(words) == 1:
		n, err := strconv.Atoi(words[0])
		return wire.AppendSize(nil, n), err
	case name == "sized":
		b, err := Expand(args, more)
		return append(wire.AppendSize(nil, len(b)), b...), err
	case name == "version":
		return []byte(version.Binary), nil
	}
	if b, ok, err := more(name, args); ok {
		return b, err
	}
	return nil, fmt.Errorf("cannot expand $(%s %s)", name, args)
}

// unescape replaces Go's escapes.
func unescape(s string) ([]byte, error) {
	if !strings.Contains(s, `\`) {
		return []byte(s), nil
	}
	var out []byte
	for s != "" {
		r, multibyte, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if multibyte {
			out = append(out, string(r)...)
		} else {
			out = append(out, byte(r))
		}
		s = tail
	}
	return out, nil
}
