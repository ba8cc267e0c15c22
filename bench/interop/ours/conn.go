// A program that is the same for both libraries but for the import below: a
// conversation over a Conn.

package ours

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	nsq "github.com/seed893f581e/nsq/nsq"

	"github.com/seed893f581e/nsq/bench/interop"
)

// Converse implements interop.Library.
func (Library) Converse(addr string) ([]interop.Fact, error) {
	cfg := nsq.NewConfig()
	cfg.HeartbeatInterval = time.Second
	cfg.DefaultRequeueDelay = 0
	d := &connDelegate{events: make(chan string, 100), messages: make(chan *nsq.Message, 1)}
	c := nsq.NewConn(addr, cfg, d)
	var lines logFunc
	for _, lvl := range []nsq.LogLevel{nsq.LogLevelDebug, nsq.LogLevelInfo} {
		c.SetLoggerForLevel(lines, lvl, "(%s)")
	}
	c.SetLogger(lines, nsq.LogLevelInfo, "(%s)")
	c.SetLoggerLevel(nsq.LogLevelError)
	var f facts
	if c.String() != addr || c.IsClosing() {
		f.add("new", fmt.Sprint(c, c.IsClosing()))
	}
	identified, err := c.Connect()
	if err != nil {
		return nil, err
	}
	f.add("identified", fmt.Sprintf("%+v", *identified))
	f.add("at the address", c.RemoteAddr().String() == addr)
	f.add("RDY", fmt.Sprint(c.RDY(), c.LastRDY(), c.MaxRDY(), c.LastRdyTime().IsZero()))
	c.SetRDY(7)
	f.add("RDY set", fmt.Sprint(c.RDY(), c.LastRDY(), c.MaxRDY(), c.LastRdyTime().IsZero()))
	before := time.Now()

	// step does something and notes the events that it leads to, in any order.
	step := func(name string, n int, do func() error) {
		if err == nil {
			err = do()
		}
		var all []string
		for len(all) < n && err == nil {
			select {
			case event := <-d.events:
				if event != "heartbeat" || name == "heartbeat" {
					all = append(all, event)
				}
			case <-time.After(10 * time.Second):
				err = fmt.Errorf("%s: no event after %q", name, all)
			}
		}
		slices.Sort(all)
		f.add(name, strings.Join(all, ", "))
	}
	answer := func(how func(*nsq.Message)) func() error {
		return func() error {
			select {
			case m := <-d.messages:
				how(m)
				return nil
			case <-time.After(10 * time.Second):
				return errors.New("no message")
			}
		}
	}
	send := func(cmd *nsq.Command) func() error { return func() error { return c.WriteCommand(cmd) } }
	step("subscribe", 1, send(nsq.Subscribe("t", "ch")))
	step("ready", 1, send(nsq.Ready(1)))
	f.add("message came", c.LastMessageTime().After(before.Add(-time.Second)))
	step("requeue", 3, answer(func(m *nsq.Message) { m.Touch(); m.Requeue(-1) }))
	step("requeue without backoff", 3, answer(func(m *nsq.Message) { m.RequeueWithoutBackoff(0) }))
	step("finish", 2, answer(func(m *nsq.Message) { m.Finish() }))
	step("heartbeat", 1, func() error { return nil })
	step("finish what is not there", 1, send(nsq.Finish(nsq.MessageID{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'})))
	// By now the heartbeat is answered, which go-nsq does beside Write, without a lock.
	step("half a command", 0, func() error { _, err := c.Write([]byte("FI")); return err })
	step("the other half", 1, func() error {
		if _, err := c.Write([]byte("N 0123456789abcdeg\n")); err != nil {
			return err
		}
		return c.Flush()
	})
	step("start to close", 1, send(nsq.StartClose()))
	step("close", 1, c.Close)
	f.add("closing", c.IsClosing())
	step("close again", 0, func() error {
		_ = c.Close() // go-nsq may say that nsqd has closed it, too
		return nil
	})
	return f, err
}

// connDelegate is an nsq.ConnDelegate that notes what it is told.
type connDelegate struct {
	events   chan string
	messages chan *nsq.Message
}

var _ nsq.ConnDelegate = (*connDelegate)(nil)

func (d *connDelegate) note(format string, args ...any) { d.events <- fmt.Sprintf(format, args...) }

func (d *connDelegate) OnResponse(_ *nsq.Conn, data []byte)           { d.note("response %q", data) }
func (d *connDelegate) OnError(_ *nsq.Conn, data []byte)              { d.note("error %q", data) }
func (d *connDelegate) OnMessageFinished(_ *nsq.Conn, m *nsq.Message) { d.note("finished %q", m.Body) }
func (d *connDelegate) OnMessageRequeued(_ *nsq.Conn, m *nsq.Message) { d.note("requeued %q", m.Body) }
func (d *connDelegate) OnBackoff(*nsq.Conn)                           { d.note("backoff") }
func (d *connDelegate) OnContinue(*nsq.Conn)                          { d.note("continue") }
func (d *connDelegate) OnResume(*nsq.Conn)                            { d.note("resume") }
func (d *connDelegate) OnIOError(_ *nsq.Conn, err error)              { d.note("lost: %v", err) }
func (d *connDelegate) OnHeartbeat(*nsq.Conn)                         { d.note("heartbeat") }
func (d *connDelegate) OnClose(*nsq.Conn)                             { d.note("closed") }

func (d *connDelegate) OnMessage(_ *nsq.Conn, m *nsq.Message) {
	d.note("message %q, %d attempts", m.Body, m.Attempts)
	d.messages <- m
}
