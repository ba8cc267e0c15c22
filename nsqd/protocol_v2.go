package nsqd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// protocolV2 is the protocol of producers and consumers.
type protocolV2 struct {
	env      *env
	tls      *tls.Config // nil without a certificate
	topics   *topics
	clients  *clients
	commands map[string]command
}

// A command checks and executes one command line, whose body it reads from the
// client itself. It returns the data of the response frame, nil for none, or
// an error; what is not a *wire.Error ends the connection without a frame. The
// line is valid until the command reads from the client.
type command func(c *client, l *wire.Line) (response []byte, err error)

func newProtocolV2(n *NSQD) *protocolV2 {
	p := &protocolV2{env: n.env, tls: n.certs.Server(), topics: &n.topics, clients: &n.clients}
	p.commands = map[string]command{
		"IDENTIFY": p.aside(p.identify),
		"AUTH":     p.aside(p.auth),
		"SUB":      p.aside(p.sub),
		"RDY":      p.rdy,
		"MPUB":     p.mpub,
		"DPUB":     p.dpub,
		"FIN":      p.fin,
		"REQ":      p.req,
		"TOUCH":    p.touch,
		"CLS":      p.cls,
		"NOP":      func(*client, *wire.Line) ([]byte, error) { return nil, nil },
	}
	return p
}

// aside returns a command that is executed like cmd, but aside.
func (p *protocolV2) aside(cmd command) command {
	return func(c *client, l *wire.Line) (response []byte, err error) {
		aside(func() {
			defer p.env.recoverPanic("PROTOCOL(V2)", c.conn.RemoteAddr())
			err = errPanic
			response, err = cmd(c, l)
		})
		return response, err
	}
}

var errPanic = errors.New("panic")

// aside executes f in a goroutine of its own and waits for it. It is for what is
// rare and needs much stack: that goes with the goroutine, while a connection
// would keep it for as long as it is idle afterwards.
func aside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

var okResponse = []byte(wire.OK)

// IOLoop owns the connection: it is the only reader, it starts the other
// goroutines, and it returns after those and the socket are gone. What
// the client had in flight is then back in its channel.
func (p *protocolV2) IOLoop(c *client) error {
	p.clients.add(c)
	defer p.leave(c)
	c.protocol = p
	c.setHeartbeat(c.settings.Load().heartbeat)
	c.pumping.Add(1)
	go p.messagePump(c)
	for {
		p.finishArrived(c)
		var line []byte // valid until the next read
		var err error
		c.newLine, c.inBody = true, false
		if c.br.Buffered() == 0 { // with less on the stack than where it is read
			if err = p.commit(c); err == nil && !c.pipeline.hasRoom() {
				err = c.prepareRead()
			}
		}
		if err == nil {
			line, err = c.br.ReadLine()
		}
		if err == nil {
			c.inBody = true
			err = p.exec(c, line)
		}
		if err != nil {
			if err = p.fail(c, err); err != nil {
				return err
			}
		}
	}
}

// fail answers a command that could not be read or executed. It returns why
// the connection ends, nil if it does not.
func (p *protocolV2) fail(c *client, err error) error {
	err = cmp.Or(c.failed, err) // a commit failed while reading
	if e := asWireError(err); e != nil {
		if err = p.answerError(c, e); err == nil {
			return nil
		}
	}
	if errors.Is(err, net.ErrClosed) {
		err = errExiting // the daemon stops, if it was not the client's context
	}
	return cmp.Or(context.Cause(c.ctx), err)
}

// exec runs one command and appends its response to what will be written.
func (p *protocolV2) exec(c *client, line []byte) error {
	l := &c.line
	l.Parse(line)
	if c.needTLS && string(l.Name) != "IDENTIFY" {
		return wire.NewError(wire.Invalid, fmt.Sprintf("cannot %s in current state (TLS required)", l.Name), nil)
	}
	if err := p.before(c, l); err != nil {
		return err
	}
	if string(l.Name) == "PUB" {
		return p.gatherPub(c, l)
	}
	cmd := p.commands[string(l.Name)]
	if cmd == nil {
		return wire.NewError(wire.Invalid, fmt.Sprintf("invalid command %s", l.Name), nil)
	}
	response, err := cmd(c, l)
	if err != nil {
		return err
	}
	if response != nil {
		c.out = wire.AppendFrame(c.out, wire.FrameResponse, response)
	}
	return nil
}

// before completes what must be before a command: of publishes those may join that came
// before.
func (p *protocolV2) before(c *client, l *wire.Line) error {
	switch string(l.Name) {
	case "PUB":
		return nil
	case "MPUB", "DPUB":
		return p.commit(c)
	default:
		return p.complete(c)
	}
}

// answerError sends an error frame. It returns the error if that was the end
// of the connection.
func (p *protocolV2) answerError(c *client, e *wire.Error) error {
	if !e.Fatal() {
		p.env.log.Info(fmt.Sprintf("[%s] - %s", c.conn.RemoteAddr(), logging.Printable(e.Error())), "client", logging.Said(c.conn.RemoteAddr()))
		c.out = wire.AppendError(c.out, e)
		return nil
	}
	c.rdy.Store(0)
	if err := p.complete(c); err != nil { // of what came before; then that is the error
		e = cmp.Or(asWireError(err), e)
	}
	line := fmt.Sprintf("[%s] - %s", c.conn.RemoteAddr(), logging.Printable(e.Error()))
	if e.Err != nil && !strings.Contains(e.Desc, e.Err.Error()) { // some frames say the cause
		line += " - " + logging.Printable(e.Err.Error())
	}
	p.env.log.Log(context.Background(), severity(e), line)
	c.out = wire.AppendError(c.out, e)
	if c.flush() == nil {
		c.lingerClose()
	}
	return e
}

// severity is the level at which an error that ends a connection is logged:
// mistakes of clients are routine, what the broker could not do is not, unless it
// was told to.
func severity(e *wire.Error) slog.Level {
	if errors.Is(e, errDraining) {
		return slog.LevelInfo
	}
	switch e.Code {
	case wire.PubFailed, wire.MPubFailed, wire.DPubFailed, wire.AuthError:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// leave ends the connection and undoes what it was part of.
func (p *protocolV2) leave(c *client) {
	c.close(nil)
	p.await(c) // before anything else that waits
	c.pumping.Wait()
	c.rechecks.Wait() // a query has been cut off
	c.stopHeartbeat()
	p.clients.remove(c)
	c.recordLatencies(time.Now())
	c.tellFinished()
	if ch := c.channel.Load(); ch != nil {
		if err := p.topics.unsubscribe(ch, c); err != nil {
			p.env.log.Error(fmt.Sprintf("CHANNEL(%s): deletion failed", ch.name), "topic", logging.Said(ch.topic.name), "channel", logging.Said(ch.name), "error", err)
		}
	}
}

// asWireError returns the error that the client is told, nil if err is none.
func asWireError(err error) *wire.Error {
	e, _ := errors.AsType[*wire.Error](err)
	return e
}

// errState says that a command is not allowed now.
func errState(command string) error {
	return wire.NewError(wire.Invalid, "cannot "+command+" in current state", nil)
}
