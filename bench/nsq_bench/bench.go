package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/version"
)

// A bench is one run of the program.
type bench struct {
	options
	log io.Writer // tells what is being done

	certificate certificate
	dir         string // of all data
}

// run runs all workloads, every round of one with all servers in turn, and returns
// what was measured. When it returns no process is left.
func (b *bench) run(ctx context.Context) (rep *report, err error) {
	if b.dir, err = os.MkdirTemp(b.tempDir, "nsq_bench"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.certificate, err = newCertificate(b.dir); err != nil {
		return nil, err
	}
	rep = &report{
		Date:      time.Now().UTC().Truncate(time.Second),
		Version:   version.Binary,
		Machine:   machine(),
		Load:      loadAverage(),
		Precision: precision,
		Rounds:    b.rounds,
		Time:      b.time.String(),
		Size:      b.size,
	}
	for _, side := range b.sides() {
		rep.Servers = append(rep.Servers, fmt.Sprint(side))
	}
	for _, w := range b.chosen() {
		m, err := b.workload(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		if m.any() {
			rep.Workloads = append(rep.Workloads, m)
		}
	}
	rep.Load = append(rep.Load, loadAverage()...)
	return rep, nil
}

// workload runs all rounds of a workload.
func (b *bench) workload(ctx context.Context, w workload) (*measured, error) {
	m := newMeasured(w, len(b.sides()))
	unable := make([]bool, len(b.sides()))
	for i := range b.rounds {
		for k := range b.sides() {
			side := k
			if i%2 == 1 { // A B, B A: whatever drifts does not favour one
				side = len(b.sides()) - 1 - k
			}
			if unable[side] {
				continue
			}
			fmt.Fprintf(b.log, "%s: round %d of %d, server %s\n", w.name, i+1, b.rounds, sideNames[side])
			figures, err := b.round(ctx, w, side)
			if errors.Is(err, errNotDurable) {
				fmt.Fprintf(b.log, "%s: skipped for server %s: %v\n", w.name, sideNames[side], errNotDurable)
				unable[side] = true
				continue
			}
			if err != nil {
				return nil, err
			}
			m.add(side, figures)
		}
	}
	m.summarize()
	return m, nil
}

// round runs a workload once against a server of its own.
func (b *bench) round(ctx context.Context, w workload, side int) (figures []figure, err error) {
	r := &round{options: b.options, size: b.size, certificate: b.certificate}
	if w.size > 0 {
		r.size = w.size
	}
	dataPath, err := os.MkdirTemp(b.dir, "data")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dataPath)) }()
	if r.server, err = b.start(ctx, w, r, side, dataPath); err != nil {
		return nil, err
	}
	r.dataPath = dataPath
	figures, err = b.measure(ctx, w, r, fmt.Sprintf("%s-%c.pprof", w.name, 'A'+rune(side)))
	r.server.Kill()
	return r.atExit(figures), err
}

// measure runs a workload against a server that runs.
func (b *bench) measure(ctx context.Context, w workload, r *round, profile string) ([]figure, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		select {
		case <-r.server.Done:
			cancel(&process.Error{Process: r.server.Process})
		case <-ctx.Done():
		}
	})
	finish := func() error { return nil }
	if b.profiles != "" && !w.relay {
		finish = b.profile(ctx, r, profile)
	}
	err := r.createDurable(ctx, w.durability)
	if err == nil {
		err = w.run(ctx, r)
	}
	if err != nil && ctx.Err() == nil {
		err = errors.Join(r.server.Died(100*time.Millisecond), err)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // of which everything else follows
	}
	if err != nil {
		cancel(err)
	}
	if profileErr := finish(); err == nil {
		err = profileErr
	}
	if err != nil {
		return nil, err
	}
	return r.figures()
}

func (b *bench) start(ctx context.Context, w workload, r *round, side int, dataPath string) (*process.Server, error) {
	if w.relay {
		return startRelay(ctx)
	}
	var flags []string
	if w.flags != nil {
		flags = w.flags(r)
	}
	return process.StartNSQD(ctx, b.sides()[side], dataPath, nil, flags...)
}

// profile begins a CPU profile of the server for as long as a round is to take, and
// returns a function that waits for it and writes it to a file.
func (b *bench) profile(ctx context.Context, r *round, name string) (finish func() error) {
	seconds := max(1, int((b.time+b.time/4+time.Second/2)/time.Second))
	done := make(chan error, 1)
	req, err := http.NewRequestWithContext(ctx, "GET", r.server.URL(fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)), nil)
	if err != nil {
		return func() error { return err }
	}
	go func() { done <- save(req, filepath.Join(b.profiles, name)) }()
	return func() error { return <-done }
}

func save(req *http.Request, file string) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}

// machine describes this machine.
func machine() string {
	return fmt.Sprintf("%d CPUs%s, %s/%s, %s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}
