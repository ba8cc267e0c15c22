package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// running starts the program and returns the nsqd that it has started.
func running(t *testing.T, args ...string) (*tooltest.Process, *instance, string) {
	t.Helper()
	dir := t.TempDir()
	p := tooltest.Start(t, "nsq_soak", append([]string{"-dir=" + dir, "-progress=200ms"}, args...)...)
	nsqtest.Eventually(t, "messages are finished", func() bool {
		return regexp.MustCompile(`, [1-9]\d* finished`).MatchString(p.Errors.String())
	})
	logs, err := filepath.Glob(filepath.Join(dir, "nsq_soak*", "nsqd.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("%q, %v", logs, err)
	}
	log, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	address := func(protocol string) string {
		return string(regexp.MustCompile(`: ` + protocol + `: listening on (\S+)`).FindSubmatch(log)[1])
	}
	return p, &instance{server: &process.Server{TCP: address("TCP"), HTTP: address("HTTP")}}, logs[0]
}

// Messages that somebody else takes are missing, exactly those, and what somebody else
// publishes is none of ours.
func TestTheftIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it loads nsqd for some seconds")
	}
	const stolen, foreign = 25, "not one of ours"
	p, in, log := running(t, "-for=12s", "-restarts=0", "-rate=1000", "-topics=1")
	nc, err := dial(t.Context(), in.server.TCP, map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	b := wire.AppendPub(nil, "soak0", []byte(foreign))
	b = wire.AppendSub(b, "soak0", "steady")
	if _, err := nc.Write(wire.AppendRdy(b, stolen)); err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(nsqtest.Patience)); err != nil {
		t.Fatal(err)
	}
	br, fins := bufio.NewReader(nc), wire.AppendRdy(nil, 0) // nothing takes the place of what is finished
	for taken := 0; taken < stolen; {
		typ, data, err := wire.ReadFrame(br, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.ParseMessage(data)
		if typ != wire.FrameMessage || err != nil {
			continue
		}
		if string(m.Body) == foreign { // it is not counted, and its place is for another
			if _, err := nc.Write(wire.AppendFin(nil, m.ID)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		taken++
		fins = wire.AppendFin(fins, m.ID)
	}
	if _, err := nc.Write(fins); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(wire.AppendCls(nil)); err != nil {
		t.Fatal(err)
	}
	nsqtest.Eventually(t, "what is left is given back", func() bool {
		_, data, err := wire.ReadFrame(br, nil, 0)
		return err != nil || string(data) == wire.CloseWait
	})
	nc.Close()
	r := p.End()
	table := columns(t, r.Stdout)
	if r.Code != 1 || table["soak0/steady"]["missing"] != stolen || table["soak0/slow"]["missing"] != 0 || table["soak0/slow"]["altered"] != 1 {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", r.Code, r.Stdout, r.Stderr)
	}
	if !strings.Contains(r.Stdout, "\nWRONG:\n") || !strings.Contains(r.Stdout, "nsqd says finish_count") || !strings.Contains(r.Stderr, "is kept: "+log) {
		t.Errorf("stdout:\n%s\nstderr:\n%s", r.Stdout, r.Stderr)
	}
}
