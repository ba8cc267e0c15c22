package daemon

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/sdnotify/sdnotifytest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// healthyService says that it fares as it is told to.
type healthyService struct {
	*slowService
	live, ready atomic.Pointer[error]
	steps       atomic.Int64
}

func newHealthyService() *healthyService {
	d := &healthyService{slowService: newSlowService()}
	d.live.Store(new(error))
	d.ready.Store(new(error))
	return d
}

func (d *healthyService) Live() error      { return *d.live.Load() }
func (d *healthyService) Ready() error     { return *d.ready.Load() }
func (d *healthyService) StopSteps() int64 { return d.steps.Load() }
func (d *healthyService) Hangup()          {}

// supervised is a service that a manager has started, which expects a beat within
// two milliseconds. All else is told as fast.
func supervised(t *testing.T, d Service) (*service, *sdnotifytest.Manager, *tooltest.Text) {
	t.Helper()
	address := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", address)
	t.Setenv("WATCHDOG_USEC", "2000")
	m := sdnotifytest.New(t, address)
	s, log := startable(t, d)
	s.super.statusEvery, s.super.stepsEvery = time.Millisecond, time.Millisecond
	return s, m, log
}

func failure(text string) *error {
	err := errors.New(text)
	return &err
}

func TestServiceManagerIsTold(t *testing.T) {
	d := newHealthyService()
	s, m, _ := supervised(t, d)
	m.Await(1, "STATUS=loading")
	if n := m.Count("READY=1"); n != 0 {
		t.Error("ready before the start")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	m.Await(1, "READY=1")
	m.Await(1, "STATUS=serving")

	d.ready.Store(failure("too little\nspace"))
	m.Await(1, "STATUS=not ready: too little; space")
	d.ready.Store(new(error))
	m.Await(2, "STATUS=serving")

	s.super.reload(s.hangUp)
	m.Await(2, "READY=1")

	stopped := make(chan error)
	go func() { stopped <- s.Stop() }()
	m.Await(1, "STOPPING=1\nSTATUS=stopping")
	d.ready.Store(failure("stopping"))
	s.super.reload(s.hangUp)
	beats := m.Count("WATCHDOG=1")
	m.Await(beats+5, "WATCHDOG=1") // the watchdog is there to the end
	close(d.finish)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	told := slices.DeleteFunc(m.All(), func(message string) bool { return message == "WATCHDOG=1" })
	for i := range told {
		told[i], _, _ = strings.Cut(told[i], "\nMONOTONIC_USEC=")
	}
	if want := []string{
		"STATUS=loading", "READY=1", "STATUS=serving", "STATUS=not ready: too little; space", "STATUS=serving",
		"RELOADING=1", "READY=1", "STOPPING=1\nSTATUS=stopping",
	}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestWatchdogIsToldWhileTheDaemonLives(t *testing.T) {
	d := newHealthyService()
	close(d.finish)
	s, m, log := supervised(t, d)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	m.Await(3, "WATCHDOG=1")

	d.live.Store(failure("TCP: accept: too bad"))
	logged(t, log, 1, ` ERROR: the watchdog is not told that this lives any more error="TCP: accept: too bad"`)
	beats := m.Count("WATCHDOG=1")
	d.ready.Store(failure("this comes after some looks at the daemon"))
	m.Await(1, "STATUS=not ready")
	if n := m.Count("WATCHDOG=1"); n > beats+1 { // one may have been on its way
		t.Errorf("%d beats of one that is dead", n-beats)
	}
	d.live.Store(new(error))
	m.Await(beats+3, "WATCHDOG=1")
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	logged(t, log, 1, "the watchdog is not told")
}

func TestAStopThatMovesMayTakeLonger(t *testing.T) {
	d := newHealthyService()
	d.steps.Store(7) // of before
	s, m, _ := supervised(t, d)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- s.Stop() }()
	<-d.exiting
	m.Await(m.Count("WATCHDOG=1")+5, "WATCHDOG=1")
	if n := m.Count("EXTEND_TIMEOUT_USEC="); n != 0 {
		t.Errorf("%d times more time for nothing", n)
	}
	nsqtest.Eventually(t, "steps are noticed", func() bool {
		d.steps.Add(1)
		return m.Count("EXTEND_TIMEOUT_USEC=60000000") >= 3
	})
	close(d.finish)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsGoneIsLoggedOnce(t *testing.T) {
	d := newHealthyService()
	close(d.finish)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	s, log := startable(t, d)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	logged(t, log, 1, " WARNING: the service manager cannot be told how it goes error=")
}
