package tool

import (
	"context"
	"errors"
	"flag"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a consumer that connects and stops when it is told to.
type slow struct {
	connect, stop chan error
}

func (s *slow) ConnectToNSQDs([]string) error       { return <-s.connect }
func (s *slow) ConnectToNSQLookupds([]string) error { return <-s.connect }
func (s *slow) StopContext(ctx context.Context) error {
	select {
	case err := <-s.stop:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newSlow() *slow { return &slow{make(chan error), make(chan error)} }

func TestNoConsumerDelaysAnotherThatConnects(t *testing.T) {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	sources := SourceFlags(fs)
	if err := fs.Parse([]string{"-nsqd-tcp-address=x:1"}); err != nil {
		t.Fatal(err)
	}
	one, two := newSlow(), newSlow()
	connected := NewConsumers(one, two).Connect(sources)
	failed := errors.New("refused")
	two.connect <- failed
	if err := <-connected; !errors.Is(err, failed) {
		t.Errorf("got %v, want %v", err, failed)
	}
	one.connect <- nil
	if err := <-connected; err != nil {
		t.Error(err)
	}
}

func TestConsumersStopTogetherWithinALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		one, two := newSlow(), newSlow()
		stopped := NewConsumers(one, two).Stop()
		two.stop <- nil
		synctest.Wait()
		select {
		case <-stopped:
			t.Fatal("stopped, though one consumer has not")
		default:
		}
		<-stopped
		if took := time.Since(start); took != drainTimeout {
			t.Errorf("a consumer that does not stop took %v, want %v", took, drainTimeout)
		}

		start = time.Now()
		stopped = NewConsumers(one).Stop()
		one.stop <- nil
		<-stopped
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v after all had stopped", took)
		}
	})
}

// Nobody is left behind who still connects.
func TestStopWaitsForWhoConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSlow()
		consumers := NewConsumers(c)
		consumers.Connect(&Sources{nsqds: &List{"x:1"}, lookupds: &List{}})
		stopped := consumers.Stop()
		c.stop <- nil
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stopped, though it still connects")
		default:
		}
		c.connect <- nil
		<-stopped
	})
}
