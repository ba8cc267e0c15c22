package daemon

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/judwhite/go-svc"

	"github.com/seed893f581e/nsq/internal/logging"
)

// stopSignals end the program, which acts on them once it runs. go-svc does so on
// an interrupt, too; of SIGTERM it is not told, as there may be more to do than to
// stop.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// service is the program as go-svc runs it: Init, Start, Stop.
type service struct {
	cmd    *CommandLine
	stderr io.Writer
	level  slog.LevelVar // of the log
	log    *slog.Logger
	daemon Service
	super  *supervisor

	ctx  context.Context // done when it is time to stop
	stop context.CancelFunc

	interrupt chan os.Signal // stopSignals
	hangup    chan os.Signal // SIGHUP
	drain     chan os.Signal // drainSignals

	drains   atomic.Bool     // SIGTERM was the first to stop it
	patience context.Context // done when a stop waits for nothing any more
	hurry    context.CancelFunc

	running sync.WaitGroup // Main
	mainErr error          // why Main returned; written before running is done
	exitErr error          // what Exit returned, where Main did not fail

	watching sync.WaitGroup // watchSignals
	stopped  chan struct{}  // closed when the daemon has stopped
}

// newService catches signals from now on: what comes while the program starts
// is obeyed once it runs.
func newService(cmd *CommandLine, stderr io.Writer) *service {
	s := &service{
		cmd:       cmd,
		stderr:    stderr,
		interrupt: make(chan os.Signal, 1),
		hangup:    make(chan os.Signal, 1),
		drain:     make(chan os.Signal, 1),
		stopped:   make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.patience, s.hurry = context.WithCancel(context.Background())
	signal.Notify(s.interrupt, stopSignals...)
	signal.Notify(s.hangup, syscall.SIGHUP)
	if len(drainSignals) > 0 { // none would be all
		signal.Notify(s.drain, drainSignals...)
	}
	s.openLog()
	return s
}

// openLog makes the log as the options say at present, for the standard log, too.
func (s *service) openLog() {
	p := s.cmd.program
	settings := p.Log()
	s.level.Set(settings.Level)
	handler := logging.NewProgramHandler(s.stderr, p.Name, settings, &s.level)
	s.log = slog.New(handler)
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(handler, slog.LevelWarn).Writer())
}

// keepStandardLog returns what brings the standard log back to what it is now.
// Libraries write there what no one can be told of, as net/http does with what a
// server sends unasked; while the program runs it is part of the program's log.
func keepStandardLog() (restore func()) {
	w, flags := log.Writer(), log.Flags()
	return func() {
		log.SetOutput(w)
		log.SetFlags(flags)
	}
}

// Context tells go-svc when to stop, besides the signals it gets itself.
func (s *service) Context() context.Context { return s.ctx }

// Init reads the config file only now, because on Windows go-svc has changed
// to the directory of the program, where relative paths of a service begin.
func (s *service) Init(svc.Environment) error {
	warnings, err := s.cmd.Resolve()
	s.openLog()
	for _, w := range warnings {
		s.log.Warn(w)
	}
	if err != nil {
		return err
	}
	s.super = newSupervisor(s.log)
	s.super.loading()
	p := s.cmd.program
	s.daemon, err = p.New(s.log, &s.level)
	if p.ErrFull != nil && errors.Is(err, p.ErrFull) {
		return err
	}
	return p.notInstantiated(err)
}

// Start runs the daemon in the background.
func (s *service) Start() error {
	s.running.Go(func() {
		defer s.stop()
		defer s.hurry()
		s.mainErr = s.daemon.Main()
	})
	s.super.serving(s.daemon)
	s.watching.Go(s.watchSignals)
	return nil
}

// watchSignals answers signals until the daemon has stopped.
func (s *service) watchSignals() {
	stopping := false
	for {
		select {
		case sig := <-s.interrupt:
			if stopping {
				s.log.Info("already stopping", "signal", sig)
				s.hurry()
				continue
			}
			stopping = true
			s.log.Info("stopping", "signal", sig)
			s.super.stops()
			s.drains.Store(sig == syscall.SIGTERM)
			s.stop()
		case <-s.hangup:
			s.super.reload(s.hangUp)
		case sig := <-s.drain:
			s.startDrain(sig)
		case <-s.stopped:
			return
		}
	}
}

// hangUp is the answer to SIGHUP, which also comes when a terminal is closed or
// a script rotates logs, and must never end the daemon.
func (s *service) hangUp() {
	if h, ok := s.daemon.(HangupHandler); ok {
		h.Hangup()
		return
	}
	s.log.Info("SIGHUP: nothing to reload")
}

// startDrain is the answer to one of drainSignals.
func (s *service) startDrain(sig os.Signal) {
	if d, ok := s.daemon.(Drainer); ok {
		d.StartDrain()
		return
	}
	s.log.Info("nothing to drain", "signal", sig)
}

// finishDrain has a daemon drained that SIGTERM stops, unless that fails meanwhile,
// or the next signal comes.
func (s *service) finishDrain() {
	if d, ok := s.daemon.(Drainer); ok && s.drains.Load() {
		d.Drain(s.patience)
	}
}

// Stop stops the daemon and returns its first failure. Signals that come after
// it change nothing any more.
func (s *service) Stop() error {
	s.super.stops()
	s.finishDrain()
	err := s.daemon.Exit()
	s.running.Wait()
	if s.mainErr == nil {
		s.exitErr = err
	}
	s.super.ended()
	close(s.stopped)
	s.watching.Wait()
	return cmp.Or(s.mainErr, err)
}

// fatal logs what ends the program. Joined errors are one line each.
func (s *service) fatal(err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		s.log.Log(context.Background(), logging.LevelFatal, line)
	}
}
