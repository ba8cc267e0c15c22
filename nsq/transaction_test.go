package nsq

import (
	"testing"
	"testing/synctest"
	"time"
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
