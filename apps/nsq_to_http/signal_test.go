//go:build unix

package main

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestSignal(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d, s := nsqtest.Start(t, nil), newServer(t)
		p := start(t, d, "-post="+s.URL)
		nsqtest.Eventually(t, "it is connected", func() bool { return channel(t, d).ClientCount == 1 })
		p.Signal(sig)
		if r := p.End(); r.Code != 0 {
			t.Errorf("%v: exit code %d, stderr:\n%s", sig, r.Code, r.Stderr)
		}
		d.Stop()
	}
}

// What is on its way when the signal comes arrives, and is finished.
func TestSignalWhileSending(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	release := make(chan struct{})
	s.handle(until(release))
	tooltest.Publish(t, d, "t", "one", "two")
	p := start(t, d, "-post="+s.URL)
	s.wait(2)
	p.Signal(syscall.SIGTERM)
	nsqtest.Eventually(t, "nsqd knows that it stops", func() bool {
		c := channel(t, d)
		return c.ClientCount == 1 && c.InFlight == 2
	})
	close(release)
	if r := p.End(); r.Code != 0 {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	if left := drain(t, d); len(left) > 0 {
		t.Errorf("these come again: %q", left)
	}
}

// Under load, every message has arrived or is still there, and none of those that
// were finished comes again.
func TestSignalInTheMiddle(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 10_000
	d, s := nsqtest.Start(t, opts), newServer(t)
	release := make(chan struct{})
	s.handle(first(100, until(release)))
	bodies := numbers(5000)
	tooltest.Publish(t, d, "t", bodies...)
	p := start(t, d, "-post="+s.URL, "-n=10", "-max-in-flight=50")
	s.wait(110)
	p.Signal(syscall.SIGTERM)
	close(release)
	if r := p.End(); r.Code != 0 {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	sent, left := s.bodies(), drain(t, d)
	for _, body := range left {
		sent[body]++
	}
	for _, body := range bodies {
		if sent[body] != 1 {
			t.Errorf("%s: %d times sent or left, want 1", body, sent[body])
		}
	}
	if len(left) == 0 {
		t.Error("the signal came after everything was sent")
	}
}

// A server that hangs holds the program up no longer than a request may take, and
// the message is given back.
func TestSignalWhileServerHangs(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(hang)
	bodies := []string{"one", "two", "three"}
	tooltest.Publish(t, d, "t", bodies...)
	p := start(t, d, append(slices.Clone(retrySoon), "-n=3", "-post="+s.URL, "-http-client-request-timeout=1s")...)
	s.wait(3)
	start := time.Now()
	stop(t, p)
	if took := time.Since(start); took > tool.StopTimeout {
		t.Errorf("stopping took %v", took)
	}
	left := tooltest.Receive(t, d, "t", "nsq_to_http", 3)
	slices.Sort(left)
	if !slices.Equal(left, []string{"one", "three", "two"}) {
		t.Errorf("left are %q", left)
	}
}

func TestSignalWhileConnecting(t *testing.T) {
	f := nsqtest.NewFake(t) // accepts, and says nothing
	p := tooltest.Start(t, "nsq_to_http", "-topic=t", "-post=http://127.0.0.1:1", "-nsqd-tcp-address="+f.Addr)
	f.Raw()
	start := time.Now()
	stop(t, p)
	if took := time.Since(start); took > tool.StopTimeout {
		t.Errorf("stopping took %v", took)
	}
}

// Every message arrives although the broker is restarted, and only what was in
// flight at that time may arrive twice.
func TestBrokerRestart(t *testing.T) {
	const inFlight = 50
	opts := nsqtest.Options(t)
	opts.TCPAddress = nsqtest.ClosedPort(t)
	d, s := nsqtest.Start(t, opts), newServer(t)
	bodies := numbers(4000)
	tooltest.Publish(t, d, "t", bodies[:3000]...)
	p := start(t, d, "-post="+s.URL, "-max-in-flight=50")
	s.wait(500)
	d = d.Restart()
	tooltest.Publish(t, d, "t", bodies[3000:]...)
	nsqtest.Eventually(t, "all messages arrive", func() bool { return len(s.bodies()) == len(bodies) })
	stop(t, p)
	if left := drain(t, d); len(left) > 0 {
		t.Errorf("%d messages are left", len(left))
	}
	if twice := len(s.all()) - len(bodies); twice > inFlight {
		t.Errorf("%d messages arrived twice, no more than %d were in flight", twice, inFlight)
	}
}
