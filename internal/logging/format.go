package logging

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Format is how log lines look, as an option: a flag.Value that holds one of
// two words. Its zero value means Text.
type Format string

// The formats.
const (
	Text Format = "text" // what Handler writes
	JSON Format = "json" // an object a line, for machines
)

// Formats are all of them, in the order in which messages and usage texts name them.
var Formats = []Format{Text, JSON}

// String is the word that Set takes.
func (f Format) String() string {
	if f == "" {
		return string(Text)
	}
	return string(f)
}

// Set reads text or json, in any case. The empty word means text.
func (f *Format) Set(word string) error {
	if word == "" {
		*f = Text
		return nil
	}
	for _, known := range Formats {
		if strings.EqualFold(word, string(known)) {
			*f = known
			return nil
		}
	}
	return fmt.Errorf("invalid log format '%s' (text, json)", word)
}

// Settings are what a program's options say of its log.
type Settings struct {
	Level  slog.Level
	Format Format
	Prefix string // of every line of text; JSON has the program's name instead
}

// NewProgramHandler returns the handler for the log of a program, in the format of
// the settings. The level is told apart, as it may change at run time.
func NewProgramHandler(w io.Writer, program string, s Settings, level slog.Leveler) slog.Handler {
	if s.Format == JSON {
		return NewJSONHandler(w, program, level)
	}
	return NewHandler(w, s.Prefix, level)
}
