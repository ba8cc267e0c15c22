package main

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"
)

// fileOptions returns options for files in dir.
func fileOptions(t *testing.T, dir string, args ...string) *options {
	t.Helper()
	o, err := parse(append([]string{"-topic=t", "-nsqd-tcp-address=x:1", "-host-identifier=h", "-output-dir=" + dir}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	o.log = &logger{slog.New(slog.DiscardHandler)}
	return o
}

func TestNames(t *testing.T) {
	at := time.Date(2026, 11, 21, 19, 30, 0, 0, time.Local)
	for _, c := range []struct {
		args []string
		want string // with number 12 if it has one
	}{
		{nil, "t.h.2026-11-21_19.log"},
		{[]string{"-gzip"}, "t.h-000012.2026-11-21_19.log.gz"},
		{[]string{"-gzip", "-filename-format=<TOPIC><REV>.gz"}, "t-000012.gz"},
		{[]string{"-rotate-size=1"}, "t.h-000012.2026-11-21_19.log"},
		{[]string{"-rotate-interval=1s"}, "t.h-000012.2026-11-21_19.log"},
		{[]string{"-work-dir=elsewhere"}, "t.h-000012.2026-11-21_19.log"},
		{[]string{"-filename-format=<TOPIC>/<DATETIME>/<PID>.%Y<REV>", "-datetime-format=%Y/%j"}, fmt.Sprintf("t/2026/%%j/%d.%%Y", os.Getpid())},
	} {
		n, err := newNames(fileOptions(t, "out", c.args...), "t")
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if got := withRev(n.at(at), 12); got != c.want {
			t.Errorf("%q: got %s, want %s", c.args, got, c.want)
		}
	}
}

func TestNameChangesWithTime(t *testing.T) {
	n, err := newNames(fileOptions(t, "out", "-filename-format=<DATETIME>", "-datetime-format=%S"), "t")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 19, 30, 58, 0, time.Local)
	for after, want := range []string{"58", "59", "00", "01"} {
		if got := n.at(at.Add(time.Duration(after) * time.Second)); got != want {
			t.Errorf("after %d seconds it is %s, want %s", after, got, want)
		}
	}
}

// The name of a topic comes from others.
func TestNameStaysInTheDirectory(t *testing.T) {
	if _, err := newNames(fileOptions(t, "out", "-filename-format=<TOPIC>/file"), ".."); err == nil {
		t.Error("topic .. leads out of the output directory")
	}
	if _, err := newNames(fileOptions(t, "out"), ".."); err != nil {
		t.Error(err)
	}
}

func TestHost(t *testing.T) {
	for identifier, want := range map[string]string{
		"":                          "a",
		"x":                         "x",
		"<HOSTNAME>":                "a.example.net",
		"<SHORT_HOST>-2.<HOSTNAME>": "a-2.a.example.net",
	} {
		if got := expandHost(identifier, "a.example.net"); got != want {
			t.Errorf("%q: got %q, want %q", identifier, got, want)
		}
	}
}
