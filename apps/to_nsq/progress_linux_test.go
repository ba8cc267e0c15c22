package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// terminal returns a terminal, and a function that closes it and returns what
// was written to it.
func terminal(t *testing.T) (tty *os.File, written func() string) {
	t.Helper()
	ptm, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ptm.Close() })
	fd := int(ptm.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 120}); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })

	var text tooltest.Text
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&text, ptm) // ends with an error when nobody has the terminal open
	}()
	return tty, func() string {
		tty.Close()
		<-done
		return text.String()
	}
}

// onTerminal returns the program with a terminal as stderr, and a function that
// waits for its end and returns what is on the terminal then: of each line, what
// was drawn last.
func onTerminal(t *testing.T, args ...string) (cmd *exec.Cmd, ended func() (lines []string, code int)) {
	t.Helper()
	tty, written := terminal(t)
	cmd = tooltest.Command(t, "to_nsq", append(args, "-topic=t", "-progress")...)
	cmd.Stderr = tty
	return cmd, func() (lines []string, code int) {
		if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(written(), "\r\n") {
			lines = append(lines, strings.TrimRight(line[strings.LastIndexByte(line, '\r')+1:], " "))
		}
		return lines, cmd.ProcessState.ExitCode()
	}
}

// typing starts a program and types something that nsqd gets as n messages.
func typing(t *testing.T, cmd *exec.Cmd, d *nsqtest.NSQD, text string, n int) (stdin io.WriteCloser) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, text); err != nil {
		t.Fatal(err)
	}
	tooltest.Receive(t, d, "t", "test", n)
	return stdin
}

// shown returns the only line that is about progress.
func shown(t *testing.T, lines []string) string {
	t.Helper()
	line := ""
	for _, l := range lines {
		if strings.Contains(l, " messages, ") {
			if line != "" {
				t.Errorf("two lines show progress:\n%s", strings.Join(lines, "\n"))
			}
			line = l
		}
	}
	return line
}

func TestProgress(t *testing.T) {
	d := nsqtest.Start(t, nil)
	here := "-nsqd-tcp-address=" + d.TCPAddr()
	input := strings.Repeat("\n123456789\n", 1024) + "last\n\n\n"
	file := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(file, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, c := range map[string]struct {
		stdin io.Reader
		want  string
	}{
		"of a stream": {strings.NewReader(input), `1025 messages, \d+/s \(11 KiB, [\d.]+ [KM]iB/s\) \[\ds\]$`},
		"of a file":   {f, `^1025 messages, \d+/s 100% \|█+\| \(11/11 KiB, [\d.]+ [KM]iB/s\) \[\ds\]$`},
		"of nothing":  {strings.NewReader(""), `0 messages, 0/s \( ?0 B\) \[0s\]$`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, ended := onTerminal(t, here)
			cmd.Stdin = c.stdin
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines, code := ended()
			if line := shown(t, lines); code != 0 || !regexp.MustCompile(c.want).MatchString(line) {
				t.Errorf("exit code %d, want %s, got\n%s", code, c.want, strings.Join(lines, "\n"))
			}
		})
	}
}

// What was published by then stays on the screen, and the error below it.
func TestProgressUpToAFailure(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MaxMsgSize = 5
	d := nsqtest.Start(t, opts)
	cmd, ended := onTerminal(t, "-nsqd-tcp-address="+d.TCPAddr())
	stdin := typing(t, cmd, d, "1\n2\n3\n", 3)
	if _, err := io.WriteString(stdin, "too long\n"); err != nil {
		t.Fatal(err)
	}
	lines, code := ended()
	if line := shown(t, lines); code != 1 || !regexp.MustCompile(`\b3 messages, \d+/s \( ?6 B`).MatchString(line) {
		t.Errorf("exit code %d, stderr\n%s", code, strings.Join(lines, "\n"))
	}
	if !strings.Contains(lines[len(lines)-2], " failed to publish record 4 to nsqd ") {
		t.Errorf("the last line is not the error:\n%s", strings.Join(lines, "\n"))
	}
}

func TestProgressUpToASignal(t *testing.T) {
	d := nsqtest.Start(t, nil)
	cmd, ended := onTerminal(t, "-nsqd-tcp-address="+d.TCPAddr())
	typing(t, cmd, d, "one\n", 1)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	lines, code := ended()
	if line := shown(t, lines); code != 0 || !regexp.MustCompile(`\b1 messages, \d+/s \( ?4 B`).MatchString(line) {
		t.Errorf("exit code %d, stderr\n%s", code, strings.Join(lines, "\n"))
	}
}

func TestNoProgressUnlessStderrIsATerminal(t *testing.T) {
	d := nsqtest.Start(t, nil)
	r := toNSQ(t, "one\n", []*nsqtest.NSQD{d}, "-topic=t", "-progress")
	if r.Code != 0 || strings.Contains(r.Stderr, "messages") || strings.Contains(r.Stderr, "\r") {
		t.Errorf("%+v", r)
	}
}
