// Package tooltest builds programs of this repository and runs them in tests.
package tooltest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// patience is how long a program may run before it is killed.
const patience = 3 * time.Minute

// Bin is the directory of the programs.
var Bin string

// Main is the body of TestMain: it builds programs, named by their directories
// below the root of the repository, runs the tests and ends the process. A test
// with the race detector gets programs with the race detector; a fuzz function none.
//
// NSQ_TEST_PROGRAMS in the environment is a directory where somebody has built all of them.
func Main(m *testing.M, programs ...string) {
	os.Exit(buildAndRun(m, programs))
}

func buildAndRun(m *testing.M, programs []string) int {
	if flag.Parse(); flag.Lookup("test.fuzz").Value.String() != "" { // which starts no program
		return m.Run()
	}
	if Bin = os.Getenv("NSQ_TEST_PROGRAMS"); Bin != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "tooltest")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	Bin = dir

	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if nsqtest.RaceEnabled {
		args = append(args, "-race")
	}
	for _, p := range programs {
		args = append(args, "./"+p)
	}
	build := exec.Command("go", args...)
	build.Dir = nsqtest.Root()
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(args, " "), err, out)
		return 1
	}
	return m.Run()
}

// Command returns a program, by its name, that runs in a directory of its own
// and is killed when the test ends or three minutes after it was started.
func Command(tb testing.TB, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	path := filepath.Join(Bin, name)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = tb.TempDir()
	// Do not wait a second for races at the end, as the detector does otherwise.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	return cmd
}

// Result is what a program left behind.
type Result struct {
	Stdout, Stderr string
	Code           int // -1 if it was killed
}

// Run runs a program until it ends.
func Run(tb testing.TB, stdin io.Reader, name string, args ...string) Result {
	tb.Helper()
	cmd := Command(tb, name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		tb.Fatal(err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

var logTime = regexp.MustCompile(`^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `)

// LastLine returns the last line that a tool wrote to stderr, without the time
// before it.
func (r Result) LastLine() string {
	text := strings.TrimSuffix(r.Stderr, "\n")
	return logTime.ReplaceAllString(text[strings.LastIndexByte(text, '\n')+1:], "")
}

// Process is a program that runs.
type Process struct {
	*exec.Cmd
	Input          io.WriteCloser // its stdin
	Output, Errors Text           // its stdout and stderr so far

	tb testing.TB
}

// Start starts a program and makes sure that it is gone at the end of the test.
func Start(tb testing.TB, name string, args ...string) *Process {
	tb.Helper()
	p := &Process{Cmd: Command(tb, name, args...), tb: tb}
	p.Stdout, p.Stderr = &p.Output, &p.Errors
	stdin, err := p.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.Input = stdin
	if err := p.Cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait() // says that it was killed
		}
	})
	return p
}

// Type writes to the program's stdin.
func (p *Process) Type(text string) {
	p.tb.Helper()
	if _, err := io.WriteString(p.Input, text); err != nil {
		p.tb.Fatal(err)
	}
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.tb.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.tb.Fatal(err)
	}
}

// End waits for the program to end.
func (p *Process) End() Result {
	p.tb.Helper()
	if err := p.Wait(); p.ProcessState == nil {
		p.tb.Fatal(err)
	}
	return Result{p.Output.String(), p.Errors.String(), p.ProcessState.ExitCode()}
}

// Text is a writer whose text can be read at any time.
type Text struct {
	mu sync.Mutex // b
	b  strings.Builder
}

func (t *Text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
