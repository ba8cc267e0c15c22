package daemontest

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
)

// Kind is a type of options.
type Kind struct {
	Parse    func(string) any            // what a good value comes to
	TOML     func(string) string         // a good or bad value in the file
	Alone    bool                        // the flag needs "=" for its value
	FlagType map[string]string           // values of a wrong type on the command line, and the error
	FileType map[string]string           // the same in the file, in TOML
	Also     map[string]any              // other spellings, in TOML only
	Split    func(value string) []string // a list's elements, each of which is given by a flag of its own
}

// The kinds that every daemon has.
var (
	Ints = &Kind{
		Parse: func(s string) any { return Must(strconv.ParseInt(s, 10, 64)) },
		TOML:  bare,
		FlagType: map[string]string{
			"": "parse error", "5.5": "parse error", "5s": "parse error", "1e3": "parse error", "99999999999999999999": "value out of range",
		},
		FileType: map[string]string{
			`5.5`: "5.5: must be an integer or a string of digits", `"5.5"`: "5.5: must be an integer or a string of digits",
			`""`: `"": must be an integer or a string of digits`, `true`: "true: must be an integer or a string of digits",
			`[5]`: "[5]: must be an integer or a string of digits",
		},
	}
	Durations = &Kind{
		Parse:    func(s string) any { return Must(time.ParseDuration(s)) },
		TOML:     strconv.Quote,
		FlagType: map[string]string{"": "parse error", "60": "parse error", "5 s": "parse error", "1d": "parse error"},
		FileType: map[string]string{
			`"5000"`: `5000: must be a duration like "5s" or an integer of milliseconds`,
			`5.5`:    `5.5: must be a duration like "5s" or an integer of milliseconds`,
			`""`:     `"": must be a duration like "5s" or an integer of milliseconds`,
			`true`:   `true: must be a duration like "5s" or an integer of milliseconds`,
		},
		Also: map[string]any{`5000`: 5 * time.Second},
	}
	Bools = &Kind{
		Parse: func(s string) any { return Must(strconv.ParseBool(s)) },
		TOML:  strconv.Quote,
		Alone: true,
		FlagType: map[string]string{
			"": "parse error", "maybe": "parse error", "2": "parse error",
		},
		FileType: map[string]string{
			`0`: "0: must be true or false", `1`: "1: must be true or false", `"maybe"`: "maybe: must be true or false", `""`: `"": must be true or false`,
		},
		Also: map[string]any{`true`: true, `false`: false},
	}
	Texts = &Kind{
		Parse: func(s string) any { return s },
		TOML:  strconv.Quote,
		FileType: map[string]string{
			`5`: "5: must be a string", `true`: "true: must be a string", `["a"]`: "[a]: must be a string",
		},
	}
	Lists = &Kind{
		Parse: func(s string) any { return strings.Split(s, ",") },
		TOML:  strconv.Quote,
		Split: elements,
		FileType: map[string]string{
			`5`:        "5: must be an array of strings or one string with commas",
			`["a", 5]`: "[a 5]: must be an array of strings or one string with commas",
		},
		Also: map[string]any{`[]`: []string(nil), `""`: []string(nil), `["1.2.3.4:5", "h:6"]`: []string{"1.2.3.4:5", "h:6"}},
	}
	Floats = &Kind{
		Parse: func(s string) any {
			var list []float64
			for word := range strings.SplitSeq(s, ",") {
				list = append(list, Must(strconv.ParseFloat(word, 64)))
			}
			return list
		},
		TOML:     func(s string) string { return "[" + s + "]" },
		FlagType: map[string]string{"": `"" is not a number`, "x": `"x" is not a number`, "0.5,": `"" is not a number`},
		FileType: map[string]string{
			`0.5`: "0.5: must be an array of numbers or one string with commas", `["x"]`: "[x]: must be an array of numbers or one string with commas",
			`"x"`: `x: "x" is not a number`,
		},
		Also: map[string]any{
			`[]`: []float64(nil), `""`: []float64(nil), `"1, 0.5"`: []float64{1, 0.5},
			`[0.5, 1.0, 0.99]`: []float64{0.5, 1, 0.99}, // the order of a file is kept
		},
	}
	Levels = &Kind{
		Parse: func(s string) any {
			return logging.Level(map[string]slog.Level{
				"debug": slog.LevelDebug, "INFO": slog.LevelInfo, "": slog.LevelInfo, "Warn": slog.LevelWarn, "error": slog.LevelError, "fatal": logging.LevelFatal,
			}[s])
		},
		TOML: strconv.Quote,
		FlagType: map[string]string{
			"warning": "invalid log level 'warning' (debug, info, warn, error, fatal)", "4": "invalid log level '4' (debug, info, warn, error, fatal)",
		},
		FileType: map[string]string{
			`"x"`: "x: invalid log level 'x' (debug, info, warn, error, fatal)", `1`: "1: must be a string", `true`: "true: must be a string",
		},
	}
	LogFormats = &Kind{
		Parse: func(s string) any {
			return map[string]logging.Format{"": logging.Text, "text": logging.Text, "JSON": logging.JSON}[s]
		},
		TOML: strconv.Quote,
		FlagType: map[string]string{
			"xml": "invalid log format 'xml' (text, json)",
		},
		FileType: map[string]string{
			`"x"`: "x: invalid log format 'x' (text, json)", `1`: "1: must be a string",
		},
	}
)

// Must is for values in tables.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func bare(s string) string { return s }

func elements(s string) []string { return strings.Split(s, ",") }
