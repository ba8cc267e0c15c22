package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
)

// A round is one run of one workload against a server that was started for it.
type round struct {
	options
	size   int // of the bodies
	layers load.Settings
	server *process.Server

	dataPath    string // of the server
	certificate certificate

	before, after reading
	latency       latency.Distribution
	extra         []figure
}

// A reading is what was used and done up to a moment.
type reading struct {
	at             time.Time
	server, client time.Duration
	messages       int64
}

// begin and end enclose the part that is measured, during which the difference of
// the two counts is what was done.
func (r *round) begin(messages int64) { r.before = r.read(messages) }
func (r *round) end(messages int64)   { r.after = r.read(messages) }

func (r *round) read(messages int64) reading {
	return reading{time.Now(), cpuTime(r.server.Cmd.Process.Pid), ownCPUTime(), messages}
}

// warmUp is how long what goes on for a while has gone on before it is measured.
func (r *round) warmUp() time.Duration { return r.time / 4 }

// figures are what was measured. It is called when the server has not ended yet.
func (r *round) figures() ([]figure, error) {
	n := float64(r.after.messages - r.before.messages)
	var all []figure
	if n > 0 {
		all = append(all, figure{rate, r.rate()}, figure{bytesRate, r.rate() * float64(r.size) / 1e6})
		if r.before.server != unknown {
			all = append(all, figure{serverCPU, r.serverCPU()})
		}
		if r.before.client != unknown {
			all = append(all, figure{clientCPU, (r.after.client - r.before.client).Seconds() * 1e6 / n})
		}
	}
	switch peak, err := process.PeakMemory(r.server.Cmd.Process.Pid); {
	case err == nil:
		all = append(all, figure{peakMiB, float64(peak) / (1 << 20)})
	case !errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	if r.latency.Count() > 0 {
		for _, q := range []struct {
			name metric
			q    float64
		}{{p50, 0.5}, {p99, 0.99}, {p999, 0.999}} {
			all = append(all, figure{q.name, r.latency.Quantile(q.q) / 1e6})
		}
	}
	return append(all, r.extra...), nil
}

// rate returns how many messages per second there were in the part that is measured.
func (r *round) rate() float64 {
	return float64(r.after.messages-r.before.messages) / r.after.at.Sub(r.before.at).Seconds()
}

// serverCPU returns the CPU time of the server for each message of that, in
// microseconds.
func (r *round) serverCPU() float64 {
	return (r.after.server - r.before.server).Seconds() * 1e6 / float64(r.after.messages-r.before.messages)
}

// atExit adds what is known only when the server has ended.
func (r *round) atExit(all []figure) []figure {
	n := float64(r.after.messages - r.before.messages)
	if state := r.server.Cmd.ProcessState; n > 0 && r.before.server == unknown && state != nil {
		all = append(all, figure{serverCPU, (state.UserTime() + state.SystemTime()).Seconds() * 1e6 / n})
	}
	return all
}

// patience is how long a server may take for what takes no time.
const patience = 30 * time.Second

// eventually waits until a condition holds that the server brings about by itself.
func eventually(ctx context.Context, condition func() (ok bool, err error)) error {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		ok, err := condition()
		switch {
		case ok:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(deadline):
			return err
		}
		if err := load.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// compare fails unless what arrived is what was sent, to so many channels.
func compare(sent, finished load.Tally, channels int) error {
	var want load.Tally
	want.Merge(sent, channels)
	switch {
	case finished == want:
		return nil
	case finished.Count == want.Count:
		return fmt.Errorf("%d messages were sent and as many arrived, but not the same ones", want.Count)
	}
	return fmt.Errorf("%d messages arrived of %d that were sent to %d channels", finished.Count, sent.Count, channels)
}
