package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/process"
)

func TestMissingLinesAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fake clock
		publisher := &process.Process{Done: make(chan struct{})}
		j := &job{
			nsqd:     &process.Process{Done: make(chan struct{})},
			arriving: make(chan string),
			tally:    newTally([]string{"000001 a", "000002 b", "000003 c"}),
		}
		go func() {
			j.arriving <- "000003 c"
			<-time.After(time.Minute) // a publisher may take its time
			close(publisher.Done)
			j.arriving <- "000001 a"
		}()
		start := time.Now()
		err := j.collect(t.Context(), publisher, 3)
		if took := time.Since(start); err != nil || took != time.Minute+silence || j.tally.count != 2 {
			t.Errorf("%v after %v, with %d lines", err, took, j.tally.count)
		}
	})
}
