package main

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// slowBroker stops when it is told to. It stands in for a broker that has much
// to write to disk.
type slowBroker struct {
	failed  chan error    // what Main returns
	exiting chan struct{} // closed when Exit was called
	finish  chan struct{} // closed to let Exit return
	exit    sync.Once
}

func (b *slowBroker) Main() error {
	select {
	case err := <-b.failed:
		return err
	case <-b.exiting:
		return nil
	}
}

func (b *slowBroker) Reload() error { return nil }

func (b *slowBroker) Exit() error {
	b.exit.Do(func() { close(b.exiting) })
	<-b.finish
	return nil
}

// slowProgram has the broker, but is not started.
func slowProgram(t *testing.T) (*program, *slowBroker, *tooltest.Text) {
	t.Helper()
	cmd, err := parse(nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	log := new(tooltest.Text)
	p := newProgram(cmd, log)
	t.Cleanup(func() {
		signal.Stop(p.interrupt)
		signal.Stop(p.hangup)
	})
	b := &slowBroker{failed: make(chan error, 1), exiting: make(chan struct{}), finish: make(chan struct{})}
	p.broker = b
	return p, b, log
}

// logged waits until the log has n lines with the text.
func logged(t *testing.T, log *tooltest.Text, n int, text string) {
	t.Helper()
	nsqtest.Eventually(t, "the log has "+text, func() bool { return strings.Count(log.String(), text) == n })
}

func TestSignalsDuringAStopAreHarmless(t *testing.T) {
	p, b, log := slowProgram(t)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.interrupt <- syscall.SIGTERM
	<-p.Context().Done()
	stopped := make(chan error)
	go func() { stopped <- p.Stop() }()
	<-b.exiting

	for i, s := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGTERM} {
		p.interrupt <- s
		logged(t, log, i+1, " INFO: already stopping signal=")
	}
	p.hangup <- syscall.SIGHUP
	logged(t, log, 1, " INFO: SIGHUP: ")
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned %v before the broker was done", err)
	default:
	}
	close(b.finish)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	logged(t, log, 1, " INFO: stopping signal=terminated\n")
}

func TestSignalsBeforeTheStartAreObeyedThen(t *testing.T) {
	p, b, log := slowProgram(t)
	close(b.finish)
	p.hangup <- syscall.SIGHUP
	p.interrupt <- syscall.SIGTERM
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	<-p.Context().Done()
	logged(t, log, 1, " INFO: SIGHUP: ")
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestAFailingBrokerEndsTheProgram(t *testing.T) {
	p, b, _ := slowProgram(t)
	close(b.finish)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	want := errors.New("TCP: accept: too bad")
	b.failed <- want
	<-p.Context().Done()
	if err := p.Stop(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// The process is still there for a moment, and its exit code is 0 whatever comes.
func TestSignalsAfterTheStopKillNothing(t *testing.T) {
	p, b, _ := slowProgram(t)
	close(b.finish)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := self.Signal(os.Interrupt); err != nil {
			t.Skipf("this system cannot send an interrupt: %v", err)
		}
		select {
		case <-p.interrupt: // it was caught, or this process were gone
		case <-time.After(10 * time.Second):
			t.Fatal("no signal")
		}
	}
}
