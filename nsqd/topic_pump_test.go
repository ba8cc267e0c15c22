package nsqd

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stop while a channel's disk fails: the message is not given back to the
// topic, from where the others would get it again.
func TestStoppedPumpLeavesEachMessageOnce(t *testing.T) {
	e := testEnv(t, 0)
	tp := newTopic(e, "t", nil)
	for _, name := range []string{"a", "bad", "c"} {
		if _, err := tp.channel(name); err != nil {
			t.Fatal(err)
		}
	}
	inTheWay := filepath.Join(e.opts.DataPath, "t:bad.diskqueue.000000.dat")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	tp.run()
	if err := tp.publish(batchOf(1, "m").payload, 1, 0); err != nil {
		t.Fatal(err)
	}
	depth := func(channel string) int64 {
		d, _ := tp.existingChannel(channel).queue.depth()
		return d
	}
	for late := time.After(10 * time.Second); depth("a") == 0 || depth("c") == 0; {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatal("the channels beside the failing one got nothing")
		}
	}
	tp.stopPump()
	tp.pump.Wait()
	if own, _ := tp.queue.depth(); own != 0 || depth("a") != 1 || depth("bad") != 1 || depth("c") != 1 {
		t.Errorf("the topic has %d messages, its channels %d, %d and %d, want 0, 1, 1 and 1", own, depth("a"), depth("bad"), depth("c"))
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := tp.flush(); err != nil {
		t.Errorf("with the disk mended: %v", err)
	}
}

// Of a round that a channel cannot take when its topic stops, what is deferred stays
// deferred.
func TestStoppedPumpKeepsDeferrals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := testEnv(t, 0)
		tp := newTopic(e, "t", nil)
		ch, err := tp.channel("bad")
		if err != nil {
			t.Fatal(err)
		}
		inTheWay := filepath.Join(e.opts.DataPath, "t:bad.diskqueue.000000.dat")
		if err := os.Mkdir(inTheWay, 0o700); err != nil {
			t.Fatal(err)
		}
		tp.setPaused(true)
		tp.run()
		plain := batchOf(1, slices.Repeat([]string{"x"}, maxLent+1)...).all()
		later := batchOf(100, "later").all()
		later.b.deferral = time.Hour
		for _, s := range []span{plain, later} { // both of one round
			if err := tp.queue.putMemory(s); err != nil {
				t.Fatal(err)
			}
		}
		tp.setPaused(false)
		synctest.Wait() // the pump waits for the disk
		tp.stopPump()
		tp.pump.Wait()
		depth, _ := ch.queue.depth()
		if depth != maxLent+1 || ch.deferred.len() != 1 || ch.messages.Load() != maxLent+2 {
			t.Errorf("the channel has %d messages queued, %d deferred, %d counted, want %d, 1, %d",
				depth, ch.deferred.len(), ch.messages.Load(), maxLent+1, maxLent+2)
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		if err := tp.flush(); err != nil {
			t.Error(err)
		}
	})
}

// A disk that is full for hours must not fill the log as well.
func TestChannelThatFailsIsLoggedOnceAMinute(t *testing.T) {
	var log bytes.Buffer // read once the pump has ended
	synctest.Test(t, func(t *testing.T) {
		e := testEnv(t, 0)
		e.log = slog.New(slog.NewTextHandler(&log, nil))
		tp := newTopic(e, "t", nil)
		for _, name := range []string{"bad", "worse"} {
			if _, err := tp.channel(name); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(e.opts.DataPath, "t:"+name+".diskqueue.000000.dat"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		tp.run()
		for range maxLent + 1 {
			if err := tp.publish(batchOf(1, "m").payload, 1, 0); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(deliverReminder * 5 / 2) // of the bubble's clock
		tp.stopPump()
		tp.pump.Wait()
	})
	for _, name := range []string{"bad", "worse"} {
		if n := strings.Count(log.String(), "TOPIC(t): channel("+name+") cannot take messages"); n != 3 {
			t.Errorf("the failing channel %s was logged %d times in two minutes and a half, want 3", name, n)
		}
	}
}
