package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// killDelay is how long a process may take to stop before it is killed.
const killDelay = 5 * time.Second

// process is a program that was started.
type process struct {
	name   string
	cmd    *exec.Cmd
	stderr stderrLog
	done   chan struct{} // closed when it has ended
	err    error         // how it ended; set before done is closed
}

// startProcess starts a program. It is stopped when ctx ends, and must be
// waited for.
func startProcess(ctx context.Context, path string, args []string, stdin io.Reader, stdout *os.File) (*process, error) {
	p := &process{name: filepath.Base(path), done: make(chan struct{})}
	p.stderr.listening = make(chan string, 1)
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Stdin, p.cmd.Stderr = stdin, &p.stderr
	if stdout != nil {
		p.cmd.Stdout = stdout
	}
	p.cmd.Cancel = p.terminate
	p.cmd.WaitDelay = killDelay
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// terminate asks the process to stop, where that is possible.
func (p *process) terminate() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return p.cmd.Process.Kill()
}

// wait waits for the process to end by itself, without an error.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.err != nil {
		return &processError{p}
	}
	return nil
}

// stop makes the process end and waits for it.
func (p *process) stop(ctx context.Context) error {
	switch err := p.terminate(); {
	case errors.Is(err, os.ErrProcessDone): // before it was told to
		<-p.done
		return &processError{p}
	case err != nil:
		return err
	}
	kill := time.AfterFunc(killDelay, func() {
		_ = p.cmd.Process.Kill() // it fails only if there is nobody to kill
	})
	defer kill.Stop()
	return p.wait(ctx)
}

// processError says that a process that has ended should not have, or not like
// that.
type processError struct {
	p *process
}

// Error says how the process ended, and what it said about that.
func (e *processError) Error() string {
	how := "ended too early"
	if e.p.err != nil {
		how = e.p.err.Error()
	}
	said := strings.ReplaceAll(strings.TrimSpace(e.p.stderr.String()), "\n", "\n  ")
	return fmt.Sprintf("%s: %s; it wrote to stderr:\n  %s", e.p.name, how, said)
}

// stderrLog keeps the end of what a process writes to stderr.
type stderrLog struct {
	listening chan string // receives the address nsqd listens on, with room for it

	mu    sync.Mutex // text, found
	text  []byte
	found bool
}

const maxStderr = 64 << 10

var listeningLine = regexp.MustCompile(`(?m): TCP: listening on (\S+)$`)

func (l *stderrLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if !l.found {
		whole := l.text[:bytes.LastIndexByte(l.text, '\n')+1]
		if m := listeningLine.FindSubmatch(whole); m != nil {
			l.found = true
			l.listening <- string(m[1])
		}
	}
	if excess := len(l.text) - maxStderr; excess > 0 {
		l.text = append(l.text[:0], l.text[excess:]...)
	}
	return len(b), nil
}

func (l *stderrLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
