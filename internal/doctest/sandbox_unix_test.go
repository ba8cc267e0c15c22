//go:build unix

package doctest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// patience is how long a command may take.
const patience = time.Minute

// A sandbox is where the commands of one page run, one after the other.
type sandbox struct {
	t    *testing.T
	page page
	at   *addresses
	dir  string // where commands run
	bin  string // the programs, before all others in PATH

	last    *command // the one whose output may be shown next
	running []*command
}

// A command is one block that was run, or still is.
type command struct {
	block
	cmd            *exec.Cmd
	stdout, stderr tooltest.Text
	ended          chan struct{} // closed when it has ended, with err
	err            error
}

func newSandbox(t *testing.T, p page) *sandbox {
	dir := t.TempDir()
	s := &sandbox{t: t, page: p, dir: filepath.Join(dir, "work"), bin: filepath.Join(dir, "bin")}
	for _, d := range []string{s.dir, s.bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.at = &addresses{tb: t, dir: s.dir, port: make(map[string]int)}
	s.serveOutside()
	for name, defaults := range map[string][]string{
		"nsqd":       {"--tcp-address=127.0.0.1:4150", "--http-address=127.0.0.1:4151", "--broadcast-address=127.0.0.1"},
		"nsqlookupd": {"--tcp-address=127.0.0.1:4160", "--http-address=127.0.0.1:4161", "--broadcast-address=127.0.0.1"},
		"nsqadmin":   {"--http-address=127.0.0.1:4171"},
		"to_nsq":     nil, "nsq_tail": nil, "nsq_stat": nil, "nsq_to_file": nil, "nsq_to_http": nil, "nsq_to_nsq": nil, "nsq_store": nil,
	} {
		s.program(name, filepath.Join(tooltest.Bin, name), defaults...)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	// An answer that is an error must fail the command.
	s.program("curl", curl, "--no-progress-meter", "--fail-with-body")
	if p.name == "README.md" {
		s.checkout()
	}
	s.module()
	t.Cleanup(s.end)
	return s
}

// program makes a program available under its name, with flags that what a page gives
// overrides.
func (s *sandbox) program(name, path string, defaults ...string) {
	script := "#!/bin/sh\n"
	if name == "nsqd" { // it warns of the flag where there is no certificate
		script += s.at.in("case \"$*\" in *--tls-cert=*) set -- --https-address=127.0.0.1:4152 \"$@\" ;; esac\n")
	}
	script += "exec " + path
	for _, d := range defaults {
		script += " '" + s.at.in(d) + "'"
	}
	s.write(filepath.Join(s.bin, name), script+" \"$@\"\n", 0o755)
}

func (s *sandbox) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// checkout makes the directory one of the repository, built.
func (s *sandbox) checkout() {
	root := nsqtest.Root()
	for _, name := range []string{"Makefile", "apps", "bench", "contrib", "docs", "internal", "nsq", "nsqadmin", "nsqd", "nsqlookupd", "go.mod", "go.sum"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(s.dir, name)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Symlink(tooltest.Bin, filepath.Join(s.dir, "build")); err != nil {
		s.t.Fatal(err)
	}
}

// module makes the directory of a page with Go programs a module that uses ours.
func (s *sandbox) module() {
	for _, b := range s.page.blocks {
		if b.language != "go" || len(b.words) == 0 {
			continue
		}
		root := nsqtest.Root()
		module := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllLiteralString(s.read(filepath.Join(root, "go.mod")), "module example")
		module += "\nrequire github.com/seed893f581e/nsq v0.0.0\nreplace github.com/seed893f581e/nsq => " + root + "\n"
		s.write(filepath.Join(s.dir, "go.mod"), module, 0o644)
		s.write(filepath.Join(s.dir, "go.sum"), s.read(filepath.Join(root, "go.sum")), 0o644)
		return
	}
}

// serveOutside starts a server that stands for all that pages name below example.com, and
// for those on ports 4180 and 9000: it takes everything, and allows everybody everything.
func (s *sandbox) serveOutside() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth" {
			fmt.Fprint(w, `{"ttl": 60, "identity": "alice", "authorizations":
				[{"topic": "^orders$", "channels": [".*"], "permissions": ["publish", "subscribe"]}]}`)
		}
	}))
	s.t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		s.t.Fatal(err)
	}
	s.at.sink = server.URL
	s.at.port["127.0.0.1:4180"], s.at.port["127.0.0.1:9000"] = port, port
}

// run does what the page shows.
func (s *sandbox) run() {
	for _, b := range s.page.blocks {
		switch {
		case b.language == directive:
			s.direct(b)
		case b.language == "output":
			s.checkOutput(b)
		case b.language != "sh" && len(b.words) == 1:
			s.write(filepath.Join(s.dir, b.how()), s.at.in(b.text), 0o644)
		case b.is("sh", "norun"):
			s.checkSyntax(b)
		case b.is("sh", "background"):
			s.background(b)
		case b.language == "sh":
			s.foreground(b)
		}
		if s.t.Failed() {
			return // what follows depends on it
		}
	}
}

// start starts a block.
func (s *sandbox) start(b block, script string) *command {
	s.t.Helper()
	s.at.makeDirectories(b.text)
	c := &command{block: b, ended: make(chan struct{})}
	c.cmd = exec.Command("sh", "-eu", "-c", script)
	c.cmd.Dir = s.dir
	c.cmd.Env = append(os.Environ(), "PATH="+s.bin+":"+os.Getenv("PATH"), "GOFLAGS=-mod=mod -trimpath", "CGO_ENABLED=0", "no_proxy=*",
		"PORTS="+s.at.portsOf("127.0.0.1", "4150", "4151", "4160", "4161", "4171"), // of make run
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.WaitDelay = 5 * time.Second
	if err := c.cmd.Start(); err != nil {
		s.fail(c, "%v", err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c
}

// signal sends a signal to the command and what it has started.
func (c *command) signal(sig syscall.Signal) { _ = syscall.Kill(-c.cmd.Process.Pid, sig) }

// foreground runs a block to its end.
func (s *sandbox) foreground(b block) {
	s.t.Helper()
	c := s.start(b, s.at.in(b.text))
	s.last = c
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.signal(syscall.SIGKILL)
		<-c.ended
		s.fail(c, "did not end")
		return
	}
	if fails := b.how() == "fails"; (c.err != nil) != fails {
		s.fail(c, "ended with %v", c.err)
	}
}

// listens is what a daemon logs last when it starts.
var listens = regexp.MustCompile(`HTTP: listening on`)

// background starts a command that goes on.
func (s *sandbox) background(b block) {
	s.t.Helper()
	c := s.start(b, "exec "+s.at.in(b.text))
	s.last = c
	s.running = append(s.running, c)
	if regexp.MustCompile(`^(\S*/)?(nsqd|nsqlookupd|nsqadmin)\b`).MatchString(b.text) {
		s.await(c, "listens", func() bool { return listens.MatchString(c.stderr.String()) })
	}
}

// await waits for what a command in the background does.
func (s *sandbox) await(c *command, what string, condition func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		select {
		case <-c.ended:
			if !condition() {
				s.fail(c, "ended with %v", c.err)
			}
			return
		case <-time.After(5 * time.Millisecond):
			if time.Now().After(deadline) {
				s.fail(c, "waited in vain: %s", what)
				return
			}
		}
	}
}

// signals are what a comment can say that is to be sent to a command.
var signals = map[string]syscall.Signal{"stop": syscall.SIGTERM, "kill": syscall.SIGKILL}

// direct does what a comment says: stop or kill ends a command in the background, by a
// word of it.
func (s *sandbox) direct(b block) {
	s.t.Helper()
	sig, ok := signals[b.how()]
	if len(b.words) != 2 || !ok {
		s.t.Fatalf("%s:%d: nobody knows what to do with %q", s.page.name, b.line, b.words)
	}
	s.stop(s.find(b, b.words[1]), sig)
}

// find returns the latest command in the background with a word.
func (s *sandbox) find(b block, word string) *command {
	s.t.Helper()
	for i := len(s.running) - 1; i >= 0; i-- {
		if strings.Contains(s.running[i].text, word) {
			return s.running[i]
		}
	}
	s.t.Fatalf("%s:%d: nothing is running with %q", s.page.name, b.line, word)
	return nil
}

// stop ends a command in the background, which must still be there, by a signal.
func (s *sandbox) stop(c *command, sig syscall.Signal) {
	s.t.Helper()
	for i := range s.running {
		if s.running[i] == c {
			s.running = append(s.running[:i], s.running[i+1:]...)
			break
		}
	}
	select {
	case <-c.ended:
		s.fail(c, "should go on, but ended with %v", c.err)
		return
	default:
	}
	c.signal(sig)
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.signal(syscall.SIGKILL)
		<-c.ended
		s.fail(c, "did not stop")
		return
	}
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Exited() && status.ExitStatus() == 1 {
		s.fail(c, "stopped with %v", c.err)
	}
	if strings.Contains(c.stderr.String(), "DATA RACE") {
		s.fail(c, "has a data race")
	}
}

// end stops all that runs, the latest first.
func (s *sandbox) end() {
	for len(s.running) > 0 {
		s.stop(s.running[len(s.running)-1], syscall.SIGTERM)
	}
}

func (s *sandbox) fail(c *command, format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s:%d: %s\n%sstdout:\n%s\nstderr:\n%s", s.page.name, c.line, fmt.Sprintf(format, args...), c.text, &c.stdout, &c.stderr)
}

// checkSyntax has the shell read a block that cannot run.
func (s *sandbox) checkSyntax(b block) {
	s.t.Helper()
	s.t.Logf("%s:%d: not run: %s", s.page.name, b.line, strings.Join(b.words[1:], " "))
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(b.text)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Errorf("%s:%d: %v\n%s", s.page.name, b.line, err, bytes.TrimSpace(out))
	}
}

// checkOutput compares what a page shows to what was printed.
func (s *sandbox) checkOutput(b block) {
	s.t.Helper()
	c := s.last
	if len(b.words) == 1 {
		c = s.find(b, b.how())
	}
	if c == nil {
		s.t.Fatalf("%s:%d: there is no command before the output", s.page.name, b.line)
	}
	want := shape(s.at.in(b.text))
	matches := func() bool { return want.MatchString(lines(&c.stdout)) || want.MatchString(lines(&c.stderr)) }
	if c.how() == "background" {
		s.await(c, "output like\n"+b.text, matches)
	} else if !matches() {
		s.fail(c, "the page shows on line %d\n%sit printed", b.line, b.text)
	}
}

// lines returns what was printed, with the ends of lines that systems have.
func lines(text *tooltest.Text) string { return strings.ReplaceAll(text.String(), "\r\n", "\n") }
