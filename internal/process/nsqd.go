package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// stopTime is how long a server may take to stop before it is killed: it may have
// to write what it holds in memory.
const stopTime = 20 * time.Second

// A Server is an nsqd, or something that takes its place.
type Server struct {
	*Process
	TCP  string // address
	HTTP string // address
}

// StartServer starts a program and waits until it listens. It is stopped when ctx
// ends, and must be stopped anyway.
func StartServer(ctx context.Context, c Command) (*Server, error) {
	c.Grace = stopTime
	p, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	addresses, err := p.Listening(ctx, "TCP", "HTTP")
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &Server{p, addresses[0], addresses[1]}, nil
}

// StartNSQD starts an nsqd, which command is the beginning of, on ports of its own
// with its data in a directory. log gets what it writes to stderr; it may be nil.
func StartNSQD(ctx context.Context, command []string, dataPath string, log io.Writer, flags ...string) (*Server, error) {
	var args []string
	args = append(args, command[1:]...)
	args = append(args,
		"--data-path="+dataPath,
		"--tcp-address=127.0.0.1:0",
		"--http-address=127.0.0.1:0",
		"--https-address=",
		"--broadcast-address=127.0.0.1",
	)
	return StartServer(ctx, Command{Path: command[0], Args: append(args, flags...), Log: log})
}

// Beside returns the path of another program that lies where this one does.
func Beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("where this program lies is not known: %w", err)
	}
	return In(filepath.Dir(self), name), nil
}

// In returns the path of a program in a directory.
func In(dir, name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, name)
}

// URL returns the URL of a path.
func (s *Server) URL(path string) string { return "http://" + s.HTTP + path }

// A StatusError says that a request was answered, but not 200.
type StatusError struct {
	Request string // method and path
	Code    int
	Body    string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", e.Request, e.Code, http.StatusText(e.Code), e.Body)
}

// Request makes a request that must be answered 200 and decodes the answer into
// what v points to unless that is nil; into a *[]byte it goes as it is.
func (s *Server) Request(ctx context.Context, method, path, body string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL(path), strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &StatusError{method + " " + path, resp.StatusCode, string(answer)}
	}
	switch v := v.(type) {
	case nil:
		return nil
	case *[]byte:
		*v = answer
		return nil
	}
	return json.Unmarshal(answer, v)
}

// IsStatus reports whether err is an answer with that status code.
func IsStatus(err error, code int) bool {
	e, ok := errors.AsType[*StatusError](err)
	return ok && e.Code == code
}
