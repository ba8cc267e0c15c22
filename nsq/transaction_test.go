package nsq

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTransactionQueue(t *testing.T) {
	var q transactionQueue
	if q.pop() != nil {
		t.Error("an empty queue holds something")
	}
	pushed, popped := 0, 0
	for pushed < 1000 { // two in, one out: it grows in all states
		for range 2 {
			q.push(&ProducerTransaction{Args: []any{pushed}})
			pushed++
		}
		if tx := q.pop(); tx.Args[0] != popped {
			t.Fatalf("got %v, want %d", tx.Args[0], popped)
		}
		popped++
	}
	for ; popped < pushed; popped++ {
		if tx := q.pop(); tx.Args[0] != popped {
			t.Fatalf("got %v, want %d", tx.Args[0], popped)
		}
	}
	if q.pop() != nil {
		t.Error("an emptied queue holds something")
	}
}

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
