//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

func TestSignalEndsAnIdleProgram(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d := nsqtest.Start(t, nil)
		p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+d.TCPAddr())
		p.Type("one\ntwo\nhalf of the thi")
		tooltest.Receive(t, d, "t", "test", 2)
		p.Signal(s)
		if r := p.End(); r.Code != 0 {
			t.Errorf("%v: exit code %d, stderr:\n%s", s, r.Code, r.Stderr)
		}
		if got := messages(t, d, "t"); len(got) != 0 {
			t.Errorf("%v: more messages: %q", s, got)
		}
	}
}

// Publishing goes on until the signal comes: what has arrived is then the
// beginning of the input, without a gap, and all of it was acknowledged.
func TestSignalInTheMiddle(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 10_000_000
	d := nsqtest.Start(t, opts)
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+d.TCPAddr())
	go func() {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(p.Input, "%07d %s\n", i, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	}()
	first := tooltest.Receive(t, d, "t", "test", 100)
	p.Signal(syscall.SIGTERM)
	if r := p.End(); r.Code != 0 || strings.Contains(r.Stderr, "ERR") {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	all := slices.Concat(first, messages(t, d, "t"))
	for i, body := range all {
		if !strings.HasPrefix(body, fmt.Sprintf("%07d x", i)) {
			t.Fatalf("message %d is %.20s", i, body)
		}
	}
}

// nsqd gets a few seconds for an answer after the signal, and no more.
func TestSignalWhileNSQDIsFrozen(t *testing.T) {
	f := startFake(t)
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+f.addr)
	p.Type("one\ntwo\n")
	f.expect("one", "two")
	p.Signal(syscall.SIGTERM)
	start := time.Now()
	r := p.End()
	want := "failed to publish records 1 to 2 to nsqd " + f.addr + " - no answer, gave up after 5s; 2 records were not confirmed: nsqd has everything before record 1 and nothing after record 2"
	if r.Code != 1 || r.LastLine() != want || time.Since(start) > 2*tool.StopTimeout {
		t.Errorf("exit code %d after %v, error %q, want %q", r.Code, time.Since(start), r.LastLine(), want)
	}
}

// An answer that comes late is as good as one that comes at once.
func TestSignalBeforeTheAnswer(t *testing.T) {
	f := startFake(t)
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+f.addr)
	p.Type("one\ntwo\n")
	f.expect("one", "two")
	p.Signal(syscall.SIGTERM)
	f.answers <- wire.OK
	if r := p.End(); r.Code != 0 {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
}

func TestSignalWhileConnecting(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+l.Addr().String())
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p.Signal(syscall.SIGTERM)
	start := time.Now()
	if r := p.End(); r.Code != 0 || time.Since(start) > 2*tool.StopTimeout {
		t.Errorf("exit code %d after %v, stderr:\n%s", r.Code, time.Since(start), r.Stderr)
	}
}

func TestSignalEndsThrottling(t *testing.T) {
	d := nsqtest.Start(t, nil)
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-rate=1", "-nsqd-tcp-address="+d.TCPAddr())
	p.Type(strings.Repeat("x\n", 1000))
	tooltest.Receive(t, d, "t", "test", 1)
	p.Signal(syscall.SIGTERM)
	if r := p.End(); r.Code != 0 {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	// What waited for its turn is published; the rest was not read.
	if got := messages(t, d, "t"); len(got) < 1 || len(got) > 100 {
		t.Errorf("%d more messages, want 1 or a few", len(got))
	}
}

func TestUnwritableStderrIsSurvived(t *testing.T) {
	d := nsqtest.Start(t, nil)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := tooltest.Command(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+d.TCPAddr())
	cmd.Stdin, cmd.Stderr = strings.NewReader("one\n"), w
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	if got := messages(t, d, "t"); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %q, want one", got)
	}
}
