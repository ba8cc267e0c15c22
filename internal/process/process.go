// Package process runs programs, nsqd above all, as processes of their own: for
// what loads, measures and shows them from outside.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Command says what is to run.
type Command struct {
	Path   string
	Args   []string
	Env    []string      // added to that of this process
	Stdin  io.Reader     // nil for one without any data, which ends when this process does
	Stdout *os.File      // nil to drop it
	Log    io.Writer     // gets all of stderr, unless it is nil
	Grace  time.Duration // how long the process may take to stop before it is killed
}

// A Process is a program that was started.
type Process struct {
	Name string
	Cmd  *exec.Cmd
	Done chan struct{} // closed when it has ended
	Err  error         // how it ended; to be read when Done is closed

	grace  time.Duration
	stderr stderr
}

// Start starts a program. It is stopped when ctx ends, and must be waited for.
func Start(ctx context.Context, c Command) (*Process, error) {
	p := &Process{Name: filepath.Base(c.Path), Done: make(chan struct{}), grace: c.Grace}
	p.stderr.all = c.Log
	p.stderr.found = make(chan struct{})
	p.Cmd = exec.CommandContext(ctx, c.Path, c.Args...)
	p.Cmd.Env = append(os.Environ(), c.Env...)
	p.Cmd.Stdin, p.Cmd.Stderr = c.Stdin, &p.stderr
	if c.Stdout != nil {
		p.Cmd.Stdout = c.Stdout
	}
	if c.Stdin == nil {
		if _, err := p.Cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	p.Cmd.Cancel = p.Terminate
	p.Cmd.WaitDelay = c.Grace
	if err := p.Cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.Err = p.Cmd.Wait()
		close(p.Done)
	}()
	return p, nil
}

// Terminate asks the process to stop, where that is possible; elsewhere it is
// killed.
func (p *Process) Terminate() error {
	err := p.Cmd.Process.Signal(syscall.SIGTERM)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.Cmd.Process.Kill()
}

// Wait waits for the process to end by itself, without an error.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.Done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.Err != nil {
		return &Error{p}
	}
	return nil
}

// Stop makes the process end and waits for it. One that had ended before is an
// error.
func (p *Process) Stop(ctx context.Context) error {
	switch err := p.Terminate(); {
	case errors.Is(err, os.ErrProcessDone):
		<-p.Done
		return &Error{p}
	case err != nil:
		return err
	}
	kill := time.AfterFunc(p.grace, func() {
		_ = p.Cmd.Process.Kill() // it fails only if there is nobody to kill
	})
	defer kill.Stop()
	return p.Wait(ctx)
}

// Kill ends the process at once and returns when it is gone.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill() // it fails only if the process has ended
	<-p.Done
}

// Died returns what became of the process if it has ended, or does so within the
// time that it may take to be noticed.
func (p *Process) Died(within time.Duration) error {
	select {
	case <-p.Done:
		return &Error{p}
	case <-time.After(within):
		return nil
	}
}

// An Error says that a process that has ended should not have, or not like that.
type Error struct{ Process *Process }

// Error says how the process ended, and what it said about that.
func (e *Error) Error() string {
	how := "ended too early"
	if e.Process.Err != nil {
		how = e.Process.Err.Error()
	}
	said := strings.ReplaceAll(strings.TrimSpace(e.Process.Stderr()), "\n", "\n  ")
	return fmt.Sprintf("%s: %s; it wrote to stderr:\n  %s", e.Process.Name, how, said)
}
