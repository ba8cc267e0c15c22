package main

import (
	"log/slog"

	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/nsqadmin"
)

// notation is the end of the usage.
const notation = `
Durations are like 250ms, 5s or 1h30m; a flag that may be given several times is a list.
All but -config, -strict-config, -verbose and -version can also be set in the config file,
whose keys are the flags with "_" for "-", and for lists
  nsqlookupd_http_addresses (-lookupd-http-address), nsqd_http_addresses (-nsqd-http-address),
  admin_users (-admin-user) and trusted_origins (-trusted-origin).
SIGTERM and SIGINT stop nsqadmin.
`

// program is nsqadmin with these options as defaults, which it changes to what
// flags and config file say.
func program(opts *nsqadmin.Options) *daemon.Program {
	return &daemon.Program{
		Name:     "nsqadmin",
		Options:  opts,
		Obsolete: map[string]string{"verbose": "log-level"},
		Notation: notation,
		Log: func() logging.Settings {
			return logging.Settings{Level: opts.LogLevel.Level(), Format: opts.LogFormat, Prefix: opts.LogPrefix}
		},
		New: func(log *slog.Logger, level *slog.LevelVar) (daemon.Service, error) {
			opts.Logger, opts.LevelVar = log, level
			return nsqadmin.New(opts)
		},
	}
}
