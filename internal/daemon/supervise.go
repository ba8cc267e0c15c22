package daemon

import (
	"log/slog"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/sdnotify"
)

// A HealthTeller is a Service that says how it fares, at any time and from any
// goroutine, without waiting.
type HealthTeller interface {
	Service
	Live() error  // why it must be started again, nil if it need not
	Ready() error // why it does not do its work at present, nil if it does
}

// A StopCounter is a Service whose Exit can take long, and which counts what Exit
// gets done. It is called from any goroutine.
type StopCounter interface {
	Service
	StopSteps() int64
}

// A supervisor tells the service manager that started the program, as systemd does,
// how it fares. Without one it does nothing and starts nothing.
type supervisor struct {
	log    *slog.Logger
	daemon Service

	statusEvery time.Duration // between two looks at what Ready says
	beatEvery   time.Duration // between two beats for the watchdog, 0 for none
	stepsEvery  time.Duration // between two looks at what a stop gets done
	patience    time.Duration // what a stop that gets something done may take longer each time

	stop    chan struct{} // closed when a stop begins
	end     chan struct{} // closed when the daemon has stopped
	running sync.WaitGroup

	mu       sync.Mutex // what follows, and the order of messages
	stopping bool
	failed   bool   // the manager could not be told something
	status   string // what people were told last
}

func newSupervisor(log *slog.Logger) *supervisor {
	return &supervisor{
		log:         log,
		statusEvery: 5 * time.Second,
		beatEvery:   sdnotify.WatchdogTime() / 2,
		stepsEvery:  5 * time.Second,
		patience:    time.Minute,
		stop:        make(chan struct{}),
		end:         make(chan struct{}),
	}
}

// tellLocked sends a message. The first that fails is logged, the others would only
// say the same.
func (s *supervisor) tellLocked(states ...sdnotify.State) {
	if err := sdnotify.Send(states...); err != nil && !s.failed {
		s.failed = true
		s.log.Warn("the service manager cannot be told how it goes", "error", err)
	}
}

func (s *supervisor) tell(states ...sdnotify.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked(states...)
}

// loading says that the program reads what an earlier run left.
func (s *supervisor) loading() { s.tell(sdnotify.Status("loading")) }

// serving says that the daemon serves, and goes on telling until ended.
func (s *supervisor) serving(d Service) {
	if !sdnotify.Enabled() {
		return
	}
	s.daemon = d
	s.tell(sdnotify.Ready)
	s.tellStatus()
	s.running.Go(func() { s.every(s.statusEvery, s.stop, s.tellStatus) })
	if s.beatEvery > 0 {
		s.running.Go(s.beat)
	}
	if c, ok := d.(StopCounter); ok {
		s.running.Go(func() { s.tellStopSteps(c) })
	}
}

// reload tells of a reload before and after it, unless a stop has begun.
func (s *supervisor) reload(f func()) {
	s.tellUnlessStopping(sdnotify.Reloading()...)
	f()
	s.tellUnlessStopping(sdnotify.Ready)
}

func (s *supervisor) tellUnlessStopping(states ...sdnotify.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping {
		s.tellLocked(states...)
	}
}

// stops says that a stop has begun, once.
func (s *supervisor) stops() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.stopping = true
	close(s.stop)
	s.tellLocked(sdnotify.Stopping, sdnotify.Status("stopping"))
}

// ended is for after the stop. Nothing is told any more.
func (s *supervisor) ended() {
	close(s.end)
	s.running.Wait()
}

// tellStatus tells people whether the daemon does its work, and why not, if that is
// not what they were told last.
func (s *supervisor) tellStatus() {
	status := "serving"
	if h, ok := s.daemon.(HealthTeller); ok {
		if err := h.Ready(); err != nil {
			status = "not ready: " + err.Error()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if status != s.status && !s.stopping {
		s.status = status
		s.tellLocked(sdnotify.Status(status))
	}
}

// beat tells the watchdog that the daemon lives, for as long as it does.
func (s *supervisor) beat() {
	wasLive := true
	s.every(s.beatEvery, s.end, func() {
		err := s.live()
		if err == nil {
			s.tell(sdnotify.Watchdog)
		} else if wasLive {
			s.log.Error("the watchdog is not told that this lives any more", "error", err)
		}
		wasLive = err == nil
	})
}

// live returns why the daemon must be started again.
func (s *supervisor) live() error {
	if h, ok := s.daemon.(HealthTeller); ok {
		return h.Live()
	}
	return nil
}

// tellStopSteps has the manager wait for a stop that takes long for as long as it
// gets something done.
func (s *supervisor) tellStopSteps(c StopCounter) {
	select {
	case <-s.stop:
	case <-s.end:
		return
	}
	done := c.StopSteps()
	s.every(s.stepsEvery, s.end, func() {
		if now := c.StopSteps(); now != done {
			done = now
			s.tell(sdnotify.Extend(s.patience))
		}
	})
}

// every calls f again and again until a chan is closed.
func (s *supervisor) every(d time.Duration, until <-chan struct{}, f func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-until:
			return
		}
	}
}
