package nsq

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Each of 100 connections has its turn within five seconds with one message in
// flight, whether messages wait on all of them or on none.
func TestHundredConnectionsTakeTurns(t *testing.T) {
	const pipes = 100
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := NewConfig() // with the defaults: MaxInFlight is 1
			r, err := NewConsumer("t", "c", cfg)
			must(t, err)
			r.SetLogger(nil, LogLevelInfo)
			r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
			conns := make([]*turnServer, pipes)
			var serving sync.WaitGroup
			for i := range conns {
				conns[i] = &turnServer{FakeConn: addPipe(t, r, fmt.Sprint("pipe", i)), busy: busy}
				serving.Go(conns[i].serve)
			}
			after(20 * time.Second)
			if sum := totalRDY(r); sum != 1 {
				t.Errorf("%s: RDY adds up to %d", name, sum)
			}
			r.Stop()
			<-r.StopChan
			serving.Wait()
			for i, c := range conns {
				if len(c.turns) < 3 {
					t.Errorf("%s: connection %d had %d turns in 20s", name, i, len(c.turns))
				}
				for j := 1; j < len(c.turns); j++ {
					if waited := c.turns[j].Sub(c.turns[j-1]); waited > 5*time.Second {
						t.Errorf("%s: connection %d waited %v for turn %d", name, i, waited, j)
					}
				}
				if handled := c.messages > 3; handled != busy {
					t.Errorf("%s: connection %d had %d messages handled", name, i, c.messages)
				}
			}
		})
	}
}

// turnServer is an nsqd that notes when it may send. While it may, it always has a
// message if it is busy, but not more than one in a millisecond.
type turnServer struct {
	*nsqtest.FakeConn
	busy     bool
	turns    []time.Time
	messages uint64
}

func (s *turnServer) serve() {
	defer s.Conn.Close()
	s.Conn.SetReadDeadline(time.Time{})
	ready, inFlight := false, false
	for {
		line, _, err := s.Read()
		if err != nil {
			return
		}
		switch name, _, _ := strings.Cut(line, " "); {
		case name == "SUB":
			s.Respond(wire.OK)
		case name == "CLS":
			s.Respond(wire.CloseWait)
		case line == "RDY 1":
			ready = true
			s.turns = append(s.turns, time.Now())
		case line == "RDY 0":
			ready = false
		case name == "FIN":
			inFlight = false
			<-time.After(time.Millisecond)
		}
		if s.busy && ready && !inFlight {
			inFlight = true
			s.messages++
			s.Conn.Write(wire.AppendMessageFrame(nil, 1, 1, s.messages, []byte("x"))) // until the consumer goes
		}
	}
}

func rdyOf(conns []*backoffConn) string {
	synctest.Wait()
	var all []string
	for _, c := range conns {
		all = append(all, strings.Join(c.drained(), ","))
	}
	return strings.Join(all, "|")
}

func TestMaxInFlightChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 3, func(c *Config) { c.MaxInFlight = 9 })
		for _, tt := range []struct {
			maxInFlight int
			want        string
		}{
			{9, "||"},
			{12, "RDY 4|RDY 4|RDY 4"},
			{4, "RDY 1|RDY 1|RDY 1"},
			{2, "||RDY 0"}, // at once, although there are more connections than messages
			{1, "|RDY 0|"},
			{0, "RDY 0||"},
			{-1, "||"},
			{1, "RDY 1||"},
			{2, "|RDY 1|"},
			{3, "||RDY 1"},
			{6, "RDY 2|RDY 2|RDY 2"},
			{0, "RDY 0|RDY 0|RDY 0"},
			{7, "RDY 2|RDY 2|RDY 2"},
		} {
			r.ChangeMaxInFlight(tt.maxInFlight)
			if got := rdyOf(conns); got != tt.want {
				t.Errorf("MaxInFlight %d: the connections are sent %s, want %s", tt.maxInFlight, got, tt.want)
			}
		}
		stopBackoff(r, conns...)
	})
}

// Connections on which nothing comes leave their share to those that have
// messages, and get it back with the first one.
func TestBusyConnectionsGetMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 3, func(c *Config) { c.MaxInFlight = 12 })
		var sent [3][]string // but for the answers to what keeps the first one busy
		note := func() string {
			synctest.Wait()
			for i, c := range conns {
				for _, line := range c.drained() {
					if line != "FIN "+nsqtest.ID(1) {
						sent[i] = append(sent[i], line)
					}
				}
			}
			return fmt.Sprint(sent)
		}
		keepBusy := func(d time.Duration) string {
			sent = [3][]string{}
			for end := time.Now().Add(d); time.Now().Before(end); after(500 * time.Millisecond) {
				conns[0].Message(1, 1, "succeed")
				note()
			}
			return note()
		}
		conns[2].Message(2, 1, "succeed after 25s") // not idle before that
		for _, tt := range []struct {
			name string
			d    time.Duration
			want string
		}{
			{"at first", 9 * time.Second, "[[] [] []]"},
			{"one is idle", 2 * time.Second, "[[RDY 5] [RDY 1] [RDY 5]]"},
			{"a message is handled for long", 13 * time.Second, "[[] [] []]"},
			{"two are idle", 12 * time.Second, "[[RDY 10] [] [FIN " + nsqtest.ID(2) + " RDY 1]]"},
		} {
			if got := keepBusy(tt.d); got != tt.want {
				t.Errorf("%s: the connections are sent %s, want %s", tt.name, got, tt.want)
			}
		}
		sent = [3][]string{}
		conns[1].Message(3, 1, "succeed after 1s")
		if got, want := note(), "[[RDY 5] [RDY 5] []]"; got != want {
			t.Errorf("when a message comes: %s, want %s", got, want)
		}
		after(30 * time.Second) // and nothing at all comes
		if got := totalRDY(r); got != 12 {
			t.Errorf("RDY adds up to %d when nothing comes", got)
		}
		stopBackoff(r, conns...)
	})
}
