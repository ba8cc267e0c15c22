package daemon

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// testOptions are those of a daemon called testd.
type testOptions struct {
	LogLevel  logging.Level  `flag:"log-level" usage:"least level that is logged"`
	LogFormat logging.Format `flag:"log-format" usage:"how log lines look"`
	LogPrefix string         `flag:"log-prefix" usage:"text at the start of every log line"`
	Count     int            `flag:"count" usage:"must not be negative"`
}

func (o *testOptions) Validate() error {
	var c config.Checks
	c.That(o.Count >= 0, "count", "must not be negative, is %d", o.Count)
	return c.Err()
}

// testProgram runs what make returns.
func testProgram(make func() (Service, error)) *Program {
	opts := &testOptions{LogPrefix: "[testd] "}
	return &Program{
		Name:     "testd",
		Options:  opts,
		Obsolete: map[string]string{"verbose": "log-level"},
		Notation: "\nThat is all.\n",
		Log: func() logging.Settings {
			return logging.Settings{Level: opts.LogLevel.Level(), Format: opts.LogFormat, Prefix: opts.LogPrefix}
		},
		New:     func(*slog.Logger, *slog.LevelVar) (Service, error) { return make() },
		ErrFull: errFull,
	}
}

var errFull = errors.New("failed to load")

// slowService stops when it is told to. It stands in for a daemon that has much
// to write to disk.
type slowService struct {
	failed  chan error    // what Main returns
	exiting chan struct{} // closed when Exit was called
	finish  chan struct{} // closed to let Exit return
	exit    sync.Once
}

func newSlowService() *slowService {
	return &slowService{failed: make(chan error, 1), exiting: make(chan struct{}), finish: make(chan struct{})}
}

func (d *slowService) Main() error {
	select {
	case err := <-d.failed:
		return err
	case <-d.exiting:
		return nil
	}
}

func (d *slowService) Exit() error {
	d.exit.Do(func() { close(d.exiting) })
	<-d.finish
	return nil
}

// startable is a service of go-svc with a daemon that was made by Init.
func startable(t *testing.T, d Service) (*service, *tooltest.Text) {
	t.Helper()
	cmd, err := Parse(testProgram(func() (Service, error) { return d, nil }), nil, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	log := new(tooltest.Text)
	s := newService(cmd, log)
	t.Cleanup(func() {
		signal.Stop(s.interrupt)
		signal.Stop(s.hangup)
		signal.Stop(s.drain)
	})
	if err := s.Init(nil); err != nil {
		t.Fatal(err)
	}
	return s, log
}

// logged waits until the log has n lines with the text.
func logged(t *testing.T, log *tooltest.Text, n int, text string) {
	t.Helper()
	nsqtest.Eventually(t, "the log has "+text, func() bool { return strings.Count(log.String(), text) == n })
}

func TestSignalsDuringAStopAreHarmless(t *testing.T) {
	d := newSlowService()
	s, log := startable(t, d)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.interrupt <- syscall.SIGTERM
	<-s.Context().Done()
	stopped := make(chan error)
	go func() { stopped <- s.Stop() }()
	<-d.exiting

	for i, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGTERM} {
		s.interrupt <- sig
		logged(t, log, i+1, " INFO: already stopping signal=")
	}
	s.hangup <- syscall.SIGHUP
	logged(t, log, 1, " INFO: SIGHUP: nothing to reload\n")
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned %v before the daemon was done", err)
	default:
	}
	close(d.finish)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	logged(t, log, 1, " INFO: stopping signal=terminated\n")
}

// What libraries write to the standard log is a line like all others.
func TestStandardLogIsTheProgramsLog(t *testing.T) {
	restore := keepStandardLog()
	before := log.Flags()
	_, text := startable(t, newSlowService())
	log.Print("sent \"unasked\"")
	logged(t, text, 1, ` WARNING: sent "unasked"`+"\n")
	restore()
	if log.Print("after"); log.Flags() != before || strings.Contains(text.String(), "after") {
		t.Error("the standard log is not what it was")
	}
}

func TestSignalsBeforeTheStartAreObeyedThen(t *testing.T) {
	d := newSlowService()
	s, log := startable(t, d)
	close(d.finish)
	s.hangup <- syscall.SIGHUP
	s.interrupt <- syscall.SIGTERM
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	<-s.Context().Done()
	logged(t, log, 1, " INFO: SIGHUP: nothing to reload\n")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

func TestAFailingDaemonEndsTheProgram(t *testing.T) {
	d := newSlowService()
	s, _ := startable(t, d)
	close(d.finish)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	want := errors.New("TCP: accept: too bad")
	d.failed <- want
	<-s.Context().Done()
	if err := s.Stop(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// The process is still there for a moment, and its exit code is 0 whatever comes.
func TestSignalsAfterTheStopKillNothing(t *testing.T) {
	d := newSlowService()
	s, _ := startable(t, d)
	close(d.finish)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
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
		case <-s.interrupt: // it was caught, or this process were gone
		case <-time.After(10 * time.Second):
			t.Fatal("no signal")
		}
	}
}

// hangupService answers SIGHUP itself.
type hangupService struct {
	*slowService
	hangups chan struct{}
}

func (d hangupService) Hangup() { d.hangups <- struct{}{} }

func TestHangupsAreTheDaemonsToAnswer(t *testing.T) {
	d := hangupService{newSlowService(), make(chan struct{})}
	s, log := startable(t, d)
	close(d.finish)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	s.hangup <- syscall.SIGHUP
	<-d.hangups
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "SIGHUP") {
		t.Errorf("logged %s", log.String())
	}
}

// drainService takes its time to be drained.
type drainService struct {
	*slowService
	started chan struct{} // gets one for each StartDrain
	drained chan error    // gets why Drain returned
	done    chan struct{} // closed when there is nothing more to drain
}

func newDrainService() drainService {
	return drainService{newSlowService(), make(chan struct{}), make(chan error, 1), make(chan struct{})}
}

func (d drainService) StartDrain() { d.started <- struct{}{} }

func (d drainService) Drain(ctx context.Context) {
	select {
	case <-d.done:
	case <-ctx.Done():
	}
	d.drained <- ctx.Err()
}

func TestSIGTERMDrainsBeforeTheStop(t *testing.T) {
	for name, c := range map[string]struct {
		first   os.Signal
		end     func(s *service, d drainService)
		drained bool
		want    error
	}{
		"until it is drained":   {syscall.SIGTERM, func(_ *service, d drainService) { close(d.done) }, true, nil},
		"until another SIGTERM": {syscall.SIGTERM, func(s *service, _ drainService) { s.interrupt <- syscall.SIGTERM }, true, context.Canceled},
		"until an interrupt":    {syscall.SIGTERM, func(s *service, _ drainService) { s.interrupt <- os.Interrupt }, true, context.Canceled},
		"until a failure":       {syscall.SIGTERM, func(_ *service, d drainService) { d.failed <- nil }, true, context.Canceled},
		"not for an interrupt":  {os.Interrupt, func(*service, drainService) {}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrainService()
			s, _ := startable(t, d)
			close(d.finish)
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			s.drain <- syscall.SIGHUP // of whatever kind
			<-d.started
			s.interrupt <- c.first
			<-s.Context().Done()
			stopped := make(chan error)
			go func() { stopped <- s.Stop() }()
			if c.drained {
				select {
				case <-d.exiting:
					t.Error("stopped before it was drained")
				case err := <-stopped:
					t.Errorf("Stop returned %v before it was drained", err)
				default:
				}
			}
			c.end(s, d)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			if !c.drained {
				if len(d.drained) > 0 {
					t.Error("it was drained")
				}
			} else if err := <-d.drained; !errors.Is(err, c.want) {
				t.Errorf("the drain ended with %v, want %v", err, c.want)
			}
		})
	}
}

func TestNothingToDrain(t *testing.T) {
	d := newSlowService()
	s, log := startable(t, d)
	close(d.finish)
	s.drain <- syscall.SIGHUP
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	logged(t, log, 1, " INFO: nothing to drain signal=")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
