//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// recorded returns the command of an nsqd that writes its process id to a file,
// and a function that waits for it.
func recorded(t *testing.T) (command string, pid func() int) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pid")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s.new && mv %s.new %s\nexec %s \"$@\"\n", file, file, file, nsqd())
	command = filepath.Join(dir, "nsqd")
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return command, func() (id int) {
		nsqtest.Eventually(t, "nsqd runs", func() bool {
			b, err := os.ReadFile(file)
			if err != nil {
				return false
			}
			id, err = strconv.Atoi(strings.TrimSpace(string(b)))
			return err == nil
		})
		return id
	}
}

func TestSignalEndsEverything(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		command, pid := recorded(t)
		dir := t.TempDir()
		p := tooltest.Start(t, "nsq_bench", "-run=^pubsub$", "-time=1h", "-a="+command, "-dir="+dir)
		id := pid()
		p.Signal(s)
		if r := p.End(); r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "nsq_bench: pubsub: ") || !strings.Contains(r.Stderr, "signal") {
			t.Errorf("%v: %+v", s, r)
		}
		if err := syscall.Kill(id, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%v: nsqd still runs: %v", s, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v: left behind: %v, %v", s, left, err)
		}
	}
}

func TestADeadServerIsTold(t *testing.T) {
	for _, workload := range []string{"pubsub", "idle", "latency"} {
		command, pid := recorded(t)
		killed := make(chan error, 1)
		go func() {
			killed <- syscall.Kill(pid(), syscall.SIGKILL)
		}()
		_, stderr, code := benchmark(t, "-run=^"+workload+"$", "-time=1h", "-a="+command)
		if err := <-killed; err != nil {
			t.Fatal(err)
		}
		if want := "nsq_bench: " + workload + ": nsqd: signal: killed"; code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, stderr:\n%s\nwant %s", code, stderr, want)
		}
	}
}
