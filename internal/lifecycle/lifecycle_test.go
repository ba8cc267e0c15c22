package lifecycle_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/lifecycle"
)

// A daemon has two parts that serve until it is told to stop, which takes it a
// second and, if stopErr is not nil, fails.
type daemon struct {
	*lifecycle.Lifecycle
	log     strings.Builder
	end     chan struct{}
	stopErr error
	stops   int
}

func newDaemon() *daemon {
	d := &daemon{end: make(chan struct{})}
	text := slog.NewTextHandler(&d.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	d.Lifecycle = lifecycle.New(slog.New(text), "D", func() error {
		d.stops++
		<-time.After(time.Second)
		close(d.end)
		d.Wait()
		return d.stopErr
	})
	return d
}

func (d *daemon) start(run lifecycle.Run) {
	for _, name := range []string{"TCP", "HTTP"} {
		run(name, func() error { <-d.end; return nil })
	}
}

func TestExitEndsMain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		ended := make(chan error)
		go func() { ended <- d.Main(d.start) }()
		synctest.Wait()
		for range 2 {
			if err := d.Exit(); err != nil {
				t.Errorf("Exit: %v", err)
			}
		}
		if err := <-ended; err != nil {
			t.Errorf("Main: %v", err)
		}
		if want := "level=INFO msg=\"D: stopping\"\nlevel=INFO msg=\"D: bye\"\n"; d.log.String() != want {
			t.Errorf("logged %q, want %q", d.log.String(), want)
		}
	})
}

// All of them return when the daemon has stopped, and say how that went.
func TestExitOfManyIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		d.stopErr = errors.New("disk full")
		start := time.Now()
		results := make(chan error)
		for range 3 {
			go func() { results <- d.Exit() }()
		}
		for range 3 {
			if err := <-results; err != d.stopErr {
				t.Errorf("Exit: %v, want %v", err, d.stopErr)
			}
			if took := time.Since(start); took != time.Second {
				t.Errorf("Exit took %v, want 1s", took)
			}
		}
		if d.stops != 1 {
			t.Errorf("stopped %d times", d.stops)
		}
		if want := "level=ERROR msg=\"D: not everything stopped cleanly\" error=\"disk full\"\n"; !strings.Contains(d.log.String(), want) {
			t.Errorf("logged %q, want %q in it", d.log.String(), want)
		}
	})
}

// While it works a daemon is live and ready.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		want := func(when string, live, ready error) {
			t.Helper()
			if err := d.Live(); !errors.Is(err, live) {
				t.Errorf("%s: Live() = %v, want %v", when, err, live)
			}
			if err := d.Ready(); !errors.Is(err, ready) {
				t.Errorf("%s: Ready() = %v, want %v", when, err, ready)
			}
		}
		want("at first", nil, lifecycle.ErrStarting)
		broken, fail := errors.New("broken"), make(chan struct{})
		go d.Main(func(run lifecycle.Run) {
			d.start(run)
			run("LOOP", func() error { <-fail; return broken })
		})
		synctest.Wait()
		want("while it runs", nil, nil)
		close(fail)
		synctest.Wait()
		want("after a failure", broken, broken)
		d.Exit()

		d = newDaemon()
		go d.Exit()
		synctest.Wait()
		want("while it stops", nil, lifecycle.ErrStopping)
		d.Exit()
	})
}

func TestNothingStartsAfterExit(t *testing.T) {
	d := newDaemon()
	if err := d.Exit(); err != nil {
		t.Fatal(err)
	}
	err := d.Main(func(lifecycle.Run) { t.Error("it was started") })
	if err != nil {
		t.Errorf("Main: %v", err)
	}
}

// The first failure is returned, with the name of the part and what went wrong
// with the stop; later ones are not.
func TestFailureEndsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		d.stopErr = errors.New("disk full")
		err := d.Main(func(run lifecycle.Run) {
			d.start(run)
			run("STATSD", func() error { return errors.New("no route") })
			run("QUEUESCAN", func() error { <-d.end; return errors.New("later") })
		})
		if want := "STATSD: no route\ndisk full"; err == nil || err.Error() != want {
			t.Errorf("Main: %v, want %q", err, want)
		}
	})
}
