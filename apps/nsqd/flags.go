package main

import (
	"cmp"
	"log/slog"
	"slices"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/daemon"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/nsqd"
)

// notation is the end of the usage.
const notation = `
Durations are like 250ms, 5s or 1h30m. Booleans need "=" for a value, as in --snappy=false.
All but -config, -strict-config, -verbose, -version and -worker-id can also be set in the
config file, whose keys are the flags with "_" for "-", except id (-node-id),
nsqlookupd_tcp_addresses (-lookupd-tcp-address), auth_http_addresses (-auth-http-address)
and e2e_processing_latency_percentiles (-e2e-processing-latency-percentile).
SIGTERM and SIGINT stop nsqd, SIGHUP reloads its certificates, SIGUSR1 drains it: publishing
is refused while consumers go on.
`

// program is nsqd with these options as defaults, which it changes to what flags
// and config file say.
func program(opts *nsqd.Options) *daemon.Program {
	return &daemon.Program{
		Name:     "nsqd",
		Options:  opts,
		Obsolete: map[string]string{"verbose": "log-level", "worker-id": "node-id"},
		Notation: notation,
		Log: func() logging.Settings {
			return logging.Settings{Level: opts.LogLevel.Level(), Format: opts.LogFormat, Prefix: opts.LogPrefix}
		},
		Complete: func(origins *config.Origins) {
			if origins.Given("e2e-processing-latency-percentile") { // only those of a file keep their order
				slices.SortFunc(opts.E2EProcessingLatencyPercentiles, func(a, b float64) int { return cmp.Compare(b, a) })
			}
		},
		New: func(log *slog.Logger, level *slog.LevelVar) (daemon.Service, error) {
			opts.Logger, opts.LevelVar = log, level
			n, err := nsqd.New(opts)
			if err != nil {
				return nil, err
			}
			return &broker{n, opts}, nil
		},
		ErrFull: nsqd.ErrLoad,
	}
}
