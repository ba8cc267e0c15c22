package nsq

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// After Stop, a doneChan is given a second for every transaction.
func TestResultsForNobodyAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResults()
		slow, nobody := make(chan *ProducerTransaction), make(chan *ProducerTransaction)
		for range 5 {
			r.deliver(&ProducerTransaction{doneChan: slow})
			r.deliver(&ProducerTransaction{doneChan: nobody})
		}
		received := 0
		receiver := make(chan struct{})
		go func() {
			defer close(receiver)
			for range 5 {
				<-time.After(900 * time.Millisecond)
				<-slow
				received++
			}
		}()
		start := time.Now()
		r.close()
		took := time.Since(start)
		<-receiver
		if took != 4500*time.Millisecond || received != 5 {
			t.Errorf("after %v, %d of 5 were received", took, received)
		}
	})
}

// pipedProducer returns a producer that is connected to the returned end of a
// pipe, so that a test can run on a fake clock.
func pipedProducer(t *testing.T) (*Producer, net.Conn) {
	p, err := NewProducer("pipe", NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(nil, LogLevelInfo)
	client, server := net.Pipe()
	c := newProducerConn(newNSQDConn(oneWay{client}, "pipe", &p.config), p.results.deliver)
	p.conn.Store(c)
	p.running.Go(func() { p.router(c) })
	return p, server
}

// oneWay is a connection whose peer does not learn that nothing more will come.
type oneWay struct{ net.Conn }

func (oneWay) CloseWrite() error { return nil }

// pipeProducer returns a producer that publishes over a pipe to a server that
// takes everything.
func pipeProducer(t *testing.T) *Producer {
	p, server := pipedProducer(t)
	nsqtest.NewFakeConn(t, server).Publishing()
	t.Cleanup(p.Stop)
	return p
}

func TestPublishersWaitForTheirDoneChan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipeProducer(t)
		undrained := make(chan *ProducerTransaction)
		for i := range maxKept {
			if err := p.PublishAsync("t", []byte("x"), undrained, i); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait() // all are answered
		returned := make(chan error, 10)
		go func() { returned <- p.PublishAsync("t", []byte("x"), undrained) }()
		go func() { returned <- p.MultiPublishAsync("t", [][]byte{[]byte("x")}, undrained) }()
		go func() { returned <- p.DeferredPublishAsync("t", 0, []byte("x"), undrained) }()
		expect := func(n int) {
			t.Helper()
			synctest.Wait()
			if len(returned) != n {
				t.Fatalf("%d calls returned, want %d", len(returned), n)
			}
		}
		expect(0)

		// Nobody else is held up: not Publish, which is submit with a channel
		// that may not leave the fake clock by way of the pool, nor the others.
		drained := make(chan *ProducerTransaction, 1)
		if err := p.submit(t.Context(), publication{topic: "t", body: []byte("x")}, &ProducerTransaction{doneChan: drained}); err != nil {
			t.Error(err)
		}
		<-drained
		for _, ch := range []chan *ProducerTransaction{drained, nil} {
			if err := p.PublishAsync("t", []byte("x"), ch); err != nil {
				t.Error(err)
			}
		}
		<-drained
		expect(0)

		if tx := <-undrained; tx.Args[0] != 0 {
			t.Errorf("the first answer is that of %v", tx.Args[0])
		}
		synctest.Wait()
		if len(returned) == 0 { // those that wait at the same time may go on at the same time
			t.Error("there is room, and none goes on")
		}
		<-undrained
		<-undrained
		expect(3)
		for range 3 {
			if err := <-returned; err != nil {
				t.Error(err)
			}
		}

		go func() { returned <- p.PublishAsync("t", []byte("x"), undrained) }()
		expect(0)
		start := time.Now()
		stopped := make(chan struct{})
		go func() { p.Stop(); close(stopped) }()
		if err := <-returned; !errors.Is(err, ErrStopped) || time.Since(start) != 0 {
			t.Errorf("after Stop: %v, %v later", err, time.Since(start))
		}
		<-stopped
	})
}

func TestPublishersWaitForAllDoneChans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newResults()
		var abandoned []chan *ProducerTransaction
		for range maxKeptInAll / maxKept {
			ch := make(chan *ProducerTransaction)
			abandoned = append(abandoned, ch)
			for range maxKept {
				r.awaitRoom(t.Context(), ch)
				r.deliver(&ProducerTransaction{doneChan: ch})
			}
		}
		r.awaitRoom(t.Context(), nil)
		returned := make(chan bool, 1)
		wait := func() { r.awaitRoom(t.Context(), make(chan *ProducerTransaction)); returned <- true }
		go wait()
		synctest.Wait()
		if len(returned) != 0 {
			t.Error("there is always room for another doneChan")
		}
		<-abandoned[3]
		<-returned
		r.deliver(&ProducerTransaction{doneChan: abandoned[3]})
		go wait()
		synctest.Wait()
		if len(returned) != 0 {
			t.Error("there is room for more than there should be")
		}
		r.release()
		<-returned
		r.close()
	})
}
