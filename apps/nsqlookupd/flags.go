package main

import (
	"log/slog"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

// notation is the end of the usage.
const notation = `
Durations are like 250ms, 5s or 1h30m. All but -config, -strict-config, -verbose and -version
can also be set in the config file, whose keys are the flags with "_" for "-".
SIGTERM and SIGINT stop nsqlookupd.
`

// program is nsqlookupd with these options as defaults, which it changes to what
// flags and config file say.
func program(opts *nsqlookupd.Options) *daemon.Program {
	return &daemon.Program{
		Name:     "nsqlookupd",
		Options:  opts,
		Obsolete: map[string]string{"verbose": "log-level"},
		Notation: notation,
		Log: func() logging.Settings {
			return logging.Settings{Level: opts.LogLevel.Level(), Format: opts.LogFormat, Prefix: opts.LogPrefix}
		},
		New: func(log *slog.Logger, _ *slog.LevelVar) (daemon.Service, error) {
			opts.Logger = log
			return nsqlookupd.New(opts)
		},
	}
}
