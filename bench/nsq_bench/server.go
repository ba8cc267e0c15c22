package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// killDelay is how long a server may take to stop before it is killed: it may
	// have to write what it holds in memory.
	killDelay = 20 * time.Second

	// patience is how long a server may take for what takes no time.
	patience = 30 * time.Second
)

// A server is an nsqd, or the relay, that runs as a process of its own.
type server struct {
	name    string
	cmd     *exec.Cmd
	log     serverLog
	tcp     string        // address
	http    string        // address, "" for the relay
	done    chan struct{} // closed when it has ended
	err     error         // how it ended; set before done is closed
	release func() error  // gives back what is the server's
}

// startServer starts a command and waits until it listens. It is stopped when ctx
// ends, and must be stopped anyway.
func startServer(ctx context.Context, command []string, env ...string) (*server, error) {
	s := &server{name: filepath.Base(command[0]), done: make(chan struct{})}
	s.log.listening = make(chan struct{})
	s.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = &s.log
	s.cmd.Cancel = s.terminate
	s.cmd.WaitDelay = killDelay
	if _, err := s.cmd.StdinPipe(); err != nil { // never written to: its end tells the relay that this process is gone
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	select {
	case <-s.log.listening:
		s.tcp, s.http = s.log.addresses()
		return s, nil
	case <-s.done:
		return nil, &serverError{s}
	case <-ctx.Done():
		<-s.done
		return nil, context.Cause(ctx)
	case <-time.After(patience):
		_ = s.cmd.Process.Kill() // it fails only if the process has ended
		<-s.done
		return nil, fmt.Errorf("%s does not listen after %v; it wrote to stderr:\n%s", s.name, patience, s.log.String())
	}
}

// startNSQD starts an nsqd on ports and in a directory of its own below dir.
func startNSQD(ctx context.Context, command []string, dir string, flags ...string) (*server, error) {
	dataPath, err := os.MkdirTemp(dir, "data")
	if err != nil {
		return nil, err
	}
	args := append([]string{}, command...)
	args = append(args,
		"--data-path="+dataPath,
		"--tcp-address=127.0.0.1:0",
		"--http-address=127.0.0.1:0",
		"--https-address=",
		"--broadcast-address=127.0.0.1",
	)
	s, err := startServer(ctx, append(args, flags...))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dataPath))
	}
	s.release = func() error { return os.RemoveAll(dataPath) }
	return s, nil
}

func (s *server) terminate() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil || errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return s.cmd.Process.Kill() // where there are no signals
}

// kill ends the server, whose data nobody needs any more, and returns when it is
// gone.
func (s *server) kill() error {
	_ = s.cmd.Process.Kill() // it fails only if the process has ended
	<-s.done
	if s.release == nil {
		return nil
	}
	return s.release()
}

// url returns the URL of a path.
func (s *server) url(path string) string { return "http://" + s.http + path }

// request makes a request that must be answered 200 and decodes the answer into
// what v points to unless that is nil.
func (s *server) request(ctx context.Context, method, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.url(path), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(body, v)
}

// serverError says that a server has ended by itself.
type serverError struct{ s *server }

func (e *serverError) Error() string {
	how := "ended too early"
	if e.s.err != nil {
		how = e.s.err.Error()
	}
	said := strings.ReplaceAll(strings.TrimSpace(e.s.log.String()), "\n", "\n  ")
	return fmt.Sprintf("%s: %s; it wrote to stderr:\n  %s", e.s.name, how, said)
}

// serverLog keeps the end of what a server writes to stderr and looks out for the
// addresses it listens on.
type serverLog struct {
	listening chan struct{} // closed when all are known

	mu        sync.Mutex // what follows
	text      []byte
	tcp, http string
	found     bool
}

const maxLog = 16 << 10

var listeningLine = regexp.MustCompile(`(?m): (TCP|HTTP): listening on (\S+)$`)

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	if !l.found {
		l.find()
	}
	if excess := len(l.text) - maxLog; excess > 0 {
		l.text = append(l.text[:0], l.text[excess:]...)
	}
	return len(b), nil
}

func (l *serverLog) find() {
	whole := l.text[:bytes.LastIndexByte(l.text, '\n')+1]
	for _, m := range listeningLine.FindAllSubmatch(whole, -1) {
		if string(m[1]) == "TCP" {
			l.tcp = string(m[2])
		} else {
			l.http = string(m[2])
		}
	}
	if l.tcp != "" && l.http != "" {
		l.found = true
		close(l.listening)
	}
}

func (l *serverLog) addresses() (tcp, http string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tcp, l.http
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
