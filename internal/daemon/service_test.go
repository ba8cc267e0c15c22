package daemon

import (
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
