package logging

import (
	"flag"
	"io"
	"log/slog"
	"testing"
)

func TestParseLevel(t *testing.T) {
	for word, want := range map[string]slog.Level{
		"debug": slog.LevelDebug,
		"info":  slog.LevelInfo,
		"warn":  slog.LevelWarn,
		"error": slog.LevelError,
		"fatal": LevelFatal,
		"INFO":  slog.LevelInfo,
		"Fatal": LevelFatal,
	} {
		if got, err := ParseLevel(word); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v, want %v", word, got, err, want)
		}
	}
	for _, word := range []string{"", "warning", "info ", "INFO+2", "0"} {
		_, err := ParseLevel(word)
		if want := "invalid log level '" + word + "' (debug, info, warn, error, fatal)"; err == nil || err.Error() != want {
			t.Errorf("ParseLevel(%q) failed with %v, want %s", word, err, want)
		}
	}
}

func TestLevelIsAFlag(t *testing.T) {
	level := Level(slog.LevelInfo)
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Var(&level, "log-level", "")
	if def := fs.Lookup("log-level").DefValue; def != "info" {
		t.Errorf("default is %q, want info", def)
	}
	if err := fs.Parse([]string{"--log-level=FATAL"}); err != nil || level.Level() != LevelFatal || level.String() != "fatal" {
		t.Errorf("got %v, %v, want fatal", level, err)
	}
	err := fs.Parse([]string{"--log-level=xyz"})
	want := `invalid value "xyz" for flag -log-level: invalid log level 'xyz' (debug, info, warn, error, fatal)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if level.Level() != LevelFatal {
		t.Errorf("a bad word changed the level to %v", level)
	}
}

func TestLevelNumbers(t *testing.T) {
	for level, want := range map[slog.Level]int{
		slog.LevelDebug - 1: 1,
		slog.LevelDebug:     1,
		slog.LevelInfo:      2,
		slog.LevelWarn:      3,
		slog.LevelWarn + 1:  3,
		slog.LevelError:     4,
		LevelFatal:          5,
		LevelFatal + 1:      5,
	} {
		if got := Level(level).Number(); got != want {
			t.Errorf("%v has number %d, want %d", level, got, want)
		}
	}
}
