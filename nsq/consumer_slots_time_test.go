package nsq

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"pgregory.net/rapid"
)

// Whatever comes and goes, nsqds that send all they may never have more messages in
// flight than MaxInFlight, and none of them waits for ever.
func TestMaxInFlightHolds(t *testing.T) {
	for name, failing := range map[string]bool{"messages succeed": false, "some fail": true} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				seed := rapid.Uint64().Draw(rt, "seed")
				limit := rapid.IntRange(1, 8).Draw(rt, "max-in-flight")
				steps := rapid.SliceOfN(rapid.SampledFrom([]string{
					"wait", "wait", "connect", "connect", "disconnect", "lose", "change",
				}), 1, 20).Draw(rt, "steps")
				var s *slotSim
				synctest.Test(t, func(t *testing.T) {
					s = newSlotSim(t, seed, limit, failing)
					for _, step := range append([]string{"connect", "connect", "connect"}, steps...) {
						s.do(step)
					}
					s.stop()
				})
				if s.fault != "" {
					rt.Fatal(s.fault)
				}
				if s.sent == 0 {
					rt.Fatal("nothing was sent")
				}
			})
		})
	}
}

// longestHandled is how long a message of a slotSim is handled at most. It is less
// than LowRdyTimeout.
const longestHandled = 3 * time.Second

// slotSim is a consumer and the nsqds it is connected to, on a fake clock. No two
// things happen at the same time, and nothing takes time on the wire: what nsqd
// sends, it was asked for.
type slotSim struct {
	t       *testing.T
	r       *Consumer
	failing bool
	nsqds   []*slotNSQD // that are connected
	all     sync.WaitGroup

	mu       sync.Mutex // what follows, and all numbers of the nsqds
	rand     *rand.Rand
	byAddr   map[string]*slotNSQD // all there ever were
	limit    int
	changed  time.Time // when connections or limit changed last
	inFlight int
	sent     uint64
	fault    string
}

// slotNSQD always has a message, and sends it soon after it may.
type slotNSQD struct {
	*nsqtest.FakeConn
	s        *slotSim
	addr     string
	lines    chan string
	inFlight int // sent and not handled
	gone     bool
	last     time.Time // when it sent a message
}

func newSlotSim(t *testing.T, seed uint64, limit int, failing bool) *slotSim {
	cfg := NewConfig()
	cfg.MaxInFlight, cfg.DefaultRequeueDelay = limit, 0
	cfg.BackoffMultiplier = 100 * time.Millisecond
	cfg.ReadTimeout = 5 * time.Minute // there are no heartbeats
	r, err := NewConsumer("t", "c", cfg)
	must(t, err)
	r.SetLogger(nil, LogLevelInfo)
	s := &slotSim{t: t, r: r, failing: failing, limit: limit, byAddr: map[string]*slotNSQD{}, rand: rand.New(rand.NewPCG(seed, 0))}
	r.AddConcurrentHandlers(HandlerFunc(s.handle), 100)
	return s
}

func (s *slotSim) random(most time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1 + time.Duration(s.rand.Int64N(int64(most)))
}

func (s *slotSim) do(step string) {
	after(s.random(4 * time.Second))
	s.check()
	s.mu.Lock()
	if step != "wait" {
		s.changed = time.Now()
	}
	if step == "change" {
		s.limit = s.rand.IntN(9)
		s.r.ChangeMaxInFlight(s.limit)
	}
	s.mu.Unlock()
	switch n := len(s.nsqds); {
	case step == "wait":
		after(30 * time.Second)
	case step == "connect" && n < 6:
		s.connect()
	case step == "disconnect" && n > 0:
		must(s.t, s.r.DisconnectFromNSQD(s.takeNSQD().addr))
	case step == "lose" && n > 0:
		d := s.takeNSQD()
		d.leave()
		must(s.t, s.r.DisconnectFromNSQD(d.addr)) // or it would be connected to again
	}
}

func (s *slotSim) connect() {
	addr := fmt.Sprint("pipe", s.random(1<<62))
	d := &slotNSQD{s: s, addr: addr, lines: make(chan string, 1000), FakeConn: addPipe(s.t, s.r, addr)}
	d.Reader = bufio.NewReader(d.Conn)
	s.nsqds = append(s.nsqds, d)
	s.mu.Lock()
	s.byAddr[addr] = d
	s.mu.Unlock()
	s.all.Go(d.read)
	s.all.Go(d.serve)
}

// takeNSQD removes one of the nsqds.
func (s *slotSim) takeNSQD() *slotNSQD {
	i := int(s.random(time.Duration(len(s.nsqds)))) - 1
	d := s.nsqds[i]
	s.nsqds = append(s.nsqds[:i], s.nsqds[i+1:]...)
	return d
}

func (s *slotSim) stop() {
	s.r.Stop()
	<-s.r.StopChan
	s.all.Wait()
}

func (s *slotSim) handle(m *Message) error {
	<-time.After(s.random(longestHandled))
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.byAddr[string(m.Body)]; !d.gone {
		d.inFlight--
		s.inFlight--
	}
	if s.failing && s.rand.IntN(10) == 0 {
		return errors.New("no")
	}
	return nil
}

// check finds out whether all is as it should be.
func (s *slotSim) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkLocked()
}

func (s *slotSim) checkLocked() {
	limit := s.r.currentBackoff().limit(s.limit)
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	slots, inFlight := 0, 0
	for _, c := range s.r.conns {
		slots += max(c.openRDY(), int(c.inFlight.Load()))
		inFlight += int(c.inFlight.Load())
	}
	if slots > max(limit, inFlight) {
		s.fault = fmt.Sprintf("%d slots are taken up with %d in flight and a limit of %d", slots, inFlight, limit)
	}
	// All turns, and what is handled after each.
	longest := s.r.config.RDYRedistributeInterval + time.Duration(len(s.nsqds)+1)*longestHandled
	for _, d := range s.nsqds {
		waited := time.Since(d.last)
		if since := time.Since(s.changed); since < waited {
			waited = since
		}
		if !s.failing && s.limit > 0 && waited > longest {
			s.fault = fmt.Sprintf("one of %d connections waited %v with a limit of %d", len(s.nsqds), waited, limit)
		}
	}
}

// send sends a message, and notes if that is one too many.
func (d *slotNSQD) send() {
	s := d.s
	s.mu.Lock()
	s.checkLocked()
	s.sent++
	s.inFlight++
	d.inFlight++
	d.last = time.Now()
	id := s.sent
	if limit := s.r.currentBackoff().limit(s.limit); s.inFlight > limit {
		s.fault = fmt.Sprintf("%d messages in flight with a limit of %d", s.inFlight, limit)
	}
	s.mu.Unlock()
	d.Message(id, 1, d.addr)
}

// leave closes the connection: nobody waits for what is in flight.
func (d *slotNSQD) leave() {
	d.s.mu.Lock()
	if !d.gone {
		d.gone = true
		d.s.inFlight -= d.inFlight
	}
	d.s.mu.Unlock()
	d.Conn.Close()
}

// read reads what the consumer sends all the time, so that it never waits.
func (d *slotNSQD) read() {
	defer close(d.lines)
	d.Conn.SetReadDeadline(time.Time{})
	for {
		line, _, err := d.Read()
		if err != nil {
			return
		}
		d.lines <- line
	}
}

func (d *slotNSQD) serve() {
	defer d.leave()
	ready, unanswered := 0, 0
	var due <-chan time.Time
	for {
		if due == nil && unanswered < ready {
			due = time.After(d.s.random(50 * time.Millisecond))
		}
		select {
		case line, ok := <-d.lines:
			if !ok {
				return
			}
			switch name, n, _ := strings.Cut(line, " "); name {
			case "SUB":
				d.Respond(wire.OK)
			case "CLS":
				ready = 0
				d.Respond(wire.CloseWait)
			case "RDY":
				ready, _ = strconv.Atoi(n)
			case "FIN", "REQ":
				unanswered--
			}
		case <-due:
			due = nil
			if unanswered < ready {
				unanswered++
				d.send()
			}
		}
	}
}

// A handler that never answers holds up the next in line for LowRdyTimeout, once.
func TestHungHandlersAreWrittenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 2, func(c *Config) { c.MaxInFlight = 1 })
		a, b := conns[0], conns[1]
		a.Message(1, 1, "succeed after 44s")
		after(2500 * time.Millisecond) // the turn
		a.sends("RDY 0")
		after(30*time.Second - 1)
		b.sends()
		after(1)
		b.sends("RDY 1")
		for range 2 { // turns go on as if the message were answered
			b.Message(2, 1, "succeed")
			b.sends("FIN " + nsqtest.ID(2))
			after(2500 * time.Millisecond)
			a.sends("RDY 1")
			b.sends("RDY 0")
			after(2500 * time.Millisecond)
			a.sends("RDY 0")
			b.sends("RDY 1")
		}
		after(2 * time.Second)
		a.sends("FIN " + nsqtest.ID(1))
		after(500 * time.Millisecond)
		a.sends("RDY 1")
		b.sends("RDY 0")
		a.Message(3, 1, "succeed after 10s") // which counts
		after(10*time.Second - 1)
		a.sends("RDY 0")
		b.sends()
		after(1)
		a.sends("FIN " + nsqtest.ID(3))
		b.sends("RDY 1")
		stopBackoff(r, conns...)
	})
}

// What is on its way when a turn ends counts when it arrives.
func TestLateMessageTakesUpASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 2, func(c *Config) { c.MaxInFlight = 1 })
		a, b := conns[0], conns[1]
		after(2500 * time.Millisecond)
		a.sends("RDY 0")
		b.sends("RDY 1")
		after(time.Second)
		a.Message(1, 1, "succeed after 10s")
		b.sends("RDY 0")
		after(10 * time.Second)
		a.sends("FIN " + nsqtest.ID(1))
		b.sends("RDY 1")
		after(2500*time.Millisecond - 1) // its turn begins anew
		b.sends()
		after(1)
		a.sends("RDY 1")
		b.sends("RDY 0")
		stopBackoff(r, conns...)
	})
}

// Whatever lowers the share of a connection, what it has in flight above that is
// not asked for elsewhere.
func TestSlotsOfSlowHandlers(t *testing.T) {
	fin := func(n uint64) string { return "FIN " + nsqtest.ID(n) }
	for name, run := range map[string]func(r *Consumer, a *backoffConn){
		"max-in-flight is lowered": func(r *Consumer, a *backoffConn) {
			r.ChangeMaxInFlight(2)
			a.sends("RDY 2")
			after(4 * time.Second)
			a.sends(fin(1), fin(2), fin(3), fin(4))
		},
		"a connection is added": func(r *Consumer, a *backoffConn) {
			b := addBackoffConn(a.TB.(*testing.T), r, "added")
			a.sends("RDY 2")
			b.sends()
			after(time.Second)
			a.sends(fin(1))
			b.sends("RDY 1")
			after(time.Second)
			a.sends(fin(2))
			b.sends("RDY 2")
			after(2 * time.Second)
			a.sends(fin(3), fin(4))
			b.sends()
			b.Conn.Close()
		},
		"a connection is lost": func(r *Consumer, a *backoffConn) {
			b := addBackoffConn(a.TB.(*testing.T), r, "added")
			a.sends("RDY 2")
			b.sends()
			a.Conn.Close()
			must(a.TB.(*testing.T), r.DisconnectFromNSQD("pipe0"))
			b.sends("RDY 4")
			b.Conn.Close()
		},
		"disconnected": func(r *Consumer, a *backoffConn) {
			b := addBackoffConn(a.TB.(*testing.T), r, "added")
			a.sends("RDY 2")
			must(a.TB.(*testing.T), r.DisconnectFromNSQD("pipe0"))
			a.sends("CLS")
			b.sends()
			after(3 * time.Second)
			a.sends(fin(1), fin(2), fin(3))
			b.sends("RDY 1", "RDY 2", "RDY 3")
			after(time.Second)
			b.sends("RDY 4")
			b.Conn.Close()
		},
		"back-off": func(r *Consumer, a *backoffConn) {
			b := addBackoffConn(a.TB.(*testing.T), r, "added")
			a.sends("RDY 2")
			after(2 * time.Second)
			a.sends(fin(1), fin(2))
			b.sends("RDY 1", "RDY 2")
			b.Message(9, 1, "fail")
			a.sends("RDY 0")
			b.sends("RDY 0", "REQ "+nsqtest.ID(9)+" 0")
			after(time.Second)
			a.sends(fin(3))
			for range 10 { // one of them is asked, but not while the last one is handled
				r.rebalance()
				a.sends()
				b.sends()
			}
			b.Conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, conns := backoffConsumer(t, 1, func(c *Config) { c.MaxInFlight = 4 })
				for i := range 4 {
					conns[0].Message(uint64(i+1), 1, fmt.Sprintf("succeed after %ds", i+1))
				}
				synctest.Wait()
				run(r, conns[0])
				stopBackoff(r, conns...)
			})
		})
	}
}

// Nobody looks at answers while no connection has more in flight than its RDY.
func TestAnswersAreNotWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 2, func(c *Config) { c.MaxInFlight = 4 })
		watched := func() (n int) {
			synctest.Wait()
			for _, c := range r.conns {
				if c.watched.Load() {
					n++
				}
			}
			return n
		}
		conns[0].Message(1, 1, "succeed after 1s")
		conns[0].Message(2, 1, "succeed after 2s")
		conns[1].Message(3, 1, "succeed after 5s")
		r.rebalance()
		if n := watched(); n != 0 {
			t.Errorf("%d connections are watched", n)
		}
		r.ChangeMaxInFlight(2)
		if n := watched(); n == 0 {
			t.Error("none is watched when max-in-flight is lowered")
		}
		after(2 * time.Second)
		if n := watched(); n != 0 {
			t.Errorf("%d connections are watched after the answers", n)
		}
		stopBackoff(r, conns...)
	})
}
