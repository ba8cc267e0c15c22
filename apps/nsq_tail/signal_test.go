//go:build unix

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestSignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d := nsqtest.Start(t, nil)
		tooltest.Publish(t, d, "t", "one")
		p := tail(t, d, "-topic=t", "-channel=c")
		nsqtest.Eventually(t, "a line", printed(p, "one\n"))
		p.Signal(s)
		if r := p.End(); r.Code != 0 {
			t.Errorf("%v: exit code %d, stderr:\n%s", s, r.Code, r.Stderr)
		}
		if left := tooltest.Drain(t, d, "t", "c"); len(left) != 0 {
			t.Errorf("%v: these come again: %q", s, left)
		}
		d.Stop()
	}
}

func TestSignalWhileLookupdHangs(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	p := tooltest.Start(t, "nsq_tail", "-topic=a", "-topic=b", "-lookupd-http-address="+hung.Addr().String())
	asked, err := hung.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	start := time.Now()
	p.Signal(syscall.SIGTERM)
	if r := p.End(); r.Code != 0 || time.Since(start) > tool.StopTimeout-time.Second {
		t.Errorf("exit code %d after %v, stderr:\n%s", r.Code, time.Since(start), r.Stderr)
	}
}

// Under load, whatever was printed when the signal came was finished, and
// nothing is lost.
func TestSignalInTheMiddle(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 100_000
	d := nsqtest.Start(t, opts)
	bodies := numbers(5000)
	tooltest.Publish(t, d, "t", bodies...)
	p := tail(t, d, "-topic=t", "-channel=c", "-max-in-flight=10")
	nsqtest.Eventually(t, "a line", func() bool { return p.Output.String() != "" })
	p.Signal(syscall.SIGTERM)
	r := p.End()
	left := tooltest.Drain(t, d, "t", "c")
	if r.Code != 0 || r.Stdout+lines(left) != lines(bodies) {
		t.Errorf("exit code %d, %d bytes printed, %d messages left, stderr:\n%s", r.Code, len(r.Stdout), len(left), r.Stderr)
	}
}

// tailIntoPipe starts the program on channel t/c and returns what it prints, once it
// has begun to: it waits as soon as the pipe is full.
func tailIntoPipe(t *testing.T, d *nsqtest.NSQD) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	cmd := tooltest.Command(t, "nsq_tail", "-topic=t", "-channel=c", "--nsqd-tcp-address="+d.TCPAddr())
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(r)
	if _, err := out.Peek(1); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// A program that waits for stdout obeys the first signal, too. What it could not
// write comes again.
func TestSignalWhileStdoutIsNotRead(t *testing.T) {
	d := nsqtest.Start(t, nil)
	large := strings.Repeat("x", 200_000) // more than a pipe holds
	tooltest.Publish(t, d, "t", large, large)
	cmd, _ := tailIntoPipe(t, d)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Wait(); err != nil || time.Since(start) > 2*tool.StopTimeout {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if left := tooltest.Receive(t, d, "t", "c", 2); !slices.Equal(left, []string{large, large}) {
		t.Error("other messages come again")
	}
}

// Messages that wait for whoever reads stdout, as in a pager, do not come again.
func TestPrintsOnceThoughStdoutIsSlow(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MsgTimeout = time.Second
	d := nsqtest.Start(t, opts)
	bodies := numbers(100)
	for i := range bodies {
		bodies[i] += strings.Repeat("x", 4096) // all together are more than a pipe holds
	}
	tooltest.Publish(t, d, "t", bodies...)
	cmd, out := tailIntoPipe(t, d)
	start := time.Now()
	nsqtest.Eventually(t, "three time-outs have passed", func() bool { return time.Since(start) > 3*opts.MsgTimeout })
	const end = "end\n"
	tooltest.Publish(t, d, "t", strings.TrimSuffix(end, "\n"))
	var got strings.Builder
	for !strings.HasSuffix(got.String(), end) {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(line)
	}
	if want := lines(bodies) + end; got.String() != want {
		t.Errorf("%d lines of %d bytes, want %d of %d", strings.Count(got.String(), "\n"), got.Len(), strings.Count(want, "\n"), len(want))
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestReconnects(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.TCPAddress = nsqtest.ClosedPort(t)
	d := nsqtest.Start(t, opts)
	p := tail(t, d, "-topic=t", "-channel=c")
	tooltest.Publish(t, d, "t", "one")
	nsqtest.Eventually(t, "a line", printed(p, "one\n"))
	d = d.Restart()
	tooltest.Publish(t, d, "t", "two")
	nsqtest.Eventually(t, "another", func() bool { // the first may have come again
		return strings.HasSuffix(p.Output.String(), "\ntwo\n")
	})
}

// A broker that restarts while it has much to deliver costs nothing, and brings
// again no more than was in flight.
func TestRestartInTheMiddle(t *testing.T) {
	const inFlight = 50
	opts := nsqtest.Options(t)
	opts.TCPAddress = nsqtest.ClosedPort(t)
	opts.MemQueueSize = 100_000
	d := nsqtest.Start(t, opts)
	bodies := numbers(20_000)
	tooltest.Publish(t, d, "t", bodies...)
	p := tail(t, d, "-topic=t", "-channel=c", fmt.Sprint("-max-in-flight=", inFlight))
	nsqtest.Eventually(t, "a line", func() bool { return p.Output.String() != "" })
	d = d.Restart()

	times := func(output string) map[string]int {
		count := map[string]int{}
		for line := range strings.Lines(output) {
			count[strings.TrimSuffix(line, "\n")]++
		}
		return count
	}
	nsqtest.EventuallyWithin(t, 2*nsqtest.Patience, "every message is printed", func() bool {
		return len(times(p.Output.String())) == len(bodies)
	})
	p.Signal(syscall.SIGTERM)
	r := p.End()
	if r.Code != 0 {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	count := times(r.Stdout)
	twice := 0
	for _, body := range bodies {
		if count[body] == 0 {
			t.Errorf("%q was not printed", body)
		}
		twice += count[body] - 1
	}
	if twice > inFlight {
		t.Errorf("%d messages were printed twice, want at most the %d in flight", twice, inFlight)
	}
	if left := tooltest.Drain(t, d, "t", "c"); len(left) != 0 {
		t.Errorf("%d messages come again", len(left))
	}
}
