package logging

import (
	"fmt"
	"log/slog"
	"strings"
)

// LevelFatal is for the failure that ends the program; logging it ends nothing.
const LevelFatal = slog.LevelError + 4

// levels in the order in which messages and usage texts name them.
var levels = []struct {
	level         slog.Level
	name, printed string
}{
	{slog.LevelDebug, "debug", "DEBUG"},
	{slog.LevelInfo, "info", "INFO"},
	{slog.LevelWarn, "warn", "WARNING"},
	{slog.LevelError, "error", "ERROR"},
	{LevelFatal, "fatal", "FATAL"},
}

// ParseLevel reads debug, info, warn, error or fatal, in any case.
func ParseLevel(word string) (slog.Level, error) {
	for _, l := range levels {
		if strings.EqualFold(word, l.name) {
			return l.level, nil
		}
	}
	return 0, fmt.Errorf("invalid log level '%s' (debug, info, warn, error, fatal)", word)
}

// printed is the word in a log line: the highest level that l reaches.
func printed(l slog.Level) string {
	word := levels[0].printed
	for _, known := range levels[1:] {
		if l >= known.level {
			word = known.printed
		}
	}
	return word
}

// Level is a log level as an option: a flag.Value that holds one of the five
// words, and a slog.Leveler.
type Level slog.Level

// Level makes l a slog.Leveler.
func (l Level) Level() slog.Level { return slog.Level(l) }

// String is the word that Set takes.
func (l Level) String() string {
	for _, known := range levels {
		if slog.Level(l) == known.level {
			return known.name
		}
	}
	return slog.Level(l).String()
}

// Number is the place of l among the five levels: 1 for debug, 5 for fatal.
func (l Level) Number() int {
	n := 1
	for i, known := range levels {
		if slog.Level(l) >= known.level {
			n = i + 1
		}
	}
	return n
}

// Set reads what ParseLevel reads. The empty word means info.
func (l *Level) Set(word string) error {
	if word == "" {
		*l = Level(slog.LevelInfo)
		return nil
	}
	level, err := ParseLevel(word)
	if err == nil {
		*l = Level(level)
	}
	return err
}
