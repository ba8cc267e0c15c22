//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestSignalEndsEverything(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p := tooltest.Start(t, "nsq_demo", "-lines=300000")
		nsqtest.Eventually(t, "publishing has begun", func() bool { return strings.Contains(p.Output.String(), "\nto_nsq ") })
		m := regexp.MustCompile(`nsqd +runs on (\S+) and keeps its data in (.*)\n`).FindStringSubmatch(p.Output.String())
		if m == nil {
			t.Fatalf("stdout:\n%s", p.Output.String())
		}
		p.Signal(s)
		if r := p.End(); r.Code != 1 || !regexp.MustCompile(`^nsq_demo: .*signal.*; \d+ of 300000 lines had arrived\n$`).MatchString(r.Stderr) {
			t.Errorf("%v: exit code %d, stderr:\n%s", s, r.Code, r.Stderr)
		}
		if _, err := os.Stat(m[2]); !os.IsNotExist(err) {
			t.Errorf("%v: the data is still there: %v", s, err)
		}
		if nc, err := net.DialTimeout("tcp", m[1], time.Second); err == nil {
			nc.Close()
			t.Errorf("%v: nsqd still runs", s)
		}
	}
}

// writerFunc is a function used as an io.Writer.
type writerFunc func(text string)

func (f writerFunc) Write(b []byte) (int, error) {
	f(string(b))
	return len(b), nil
}

func TestWhatHappenedToNSQDIsToldFirst(t *testing.T) {
	j := &job{bin: tooltest.Bin, lines: 1000}
	j.out = writerFunc(func(text string) {
		if strings.HasPrefix(text, "to_nsq ") {
			if err := j.nsqd.Cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	})
	ok, err := j.run(t.Context())
	if ok || err == nil || !strings.HasPrefix(err.Error(), "nsqd: signal: killed; it wrote to stderr:\n") {
		t.Errorf("%v, %v", ok, err)
	}
}

// A publisher that fails after the last line has arrived has failed.
func TestLatePublisherErrorIsTold(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"nsqd", "nsq_tail"} {
		if err := os.Symlink(filepath.Join(tooltest.Bin, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\n" + filepath.Join(tooltest.Bin, "to_nsq") + " \"$@\"; echo too late >&2; sleep 1; exit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "to_nsq"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := demo(t, "-lines=1000", "-bin="+bin)
	if code != 1 || !strings.HasPrefix(stderr, "nsq_demo: to_nsq: exit status 1; it wrote to stderr:\n") || !strings.HasSuffix(stderr, "  too late\n") {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
}
