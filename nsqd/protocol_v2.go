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
	"sync"

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
		"IDENTIFY": p.identify,
		"AUTH":     p.auth,
		"SUB":      p.sub,
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

var okResponse = []byte(wire.OK)

// IOLoop owns the connection: it is the only reader, it starts the other
// goroutines, and it returns after those and the socket are gone. What
// the client had in flight is then back in its channel.
func (p *protocolV2) IOLoop(c *client) error {
	var pump sync.WaitGroup
	p.clients.add(c)
	defer p.leave(c)        // 4. others get its messages
	defer c.rechecks.Wait() //    a query has been cut off
	defer pump.Wait()       // 3. wait for the pump to notice
	defer c.conn.Close()    // 2. unblock it if it is writing
	defer c.stop(nil)       // 1. tell it

	c.commit = func() error { return p.commit(c) }
	pump.Go(func() {
		defer c.stop(errPumpEnded)
		defer p.env.recoverPanic("PROTOCOL(V2)", c.conn.RemoteAddr())
		c.stop(p.messagePump(c))
	})

	for {
		p.finishArrived(c)
		c.newLine, c.inBody = true, false
		line, err := c.br.ReadLine() // valid until the next read
		if err == nil {
			c.inBody = true
			err = p.exec(c, line)
		}
		if err == nil {
			continue
		}
		err = cmp.Or(c.failed, err) // a commit failed while reading
		if e := asWireError(err); e != nil {
			if err = p.answerError(c, e); err == nil {
				continue
			}
		}
		if errors.Is(err, net.ErrClosed) {
			err = errExiting // the daemon stops, if it was not the client's context
		}
		return cmp.Or(context.Cause(c.ctx), err)
	}
}

var errPumpEnded = errors.New("message pump ended")

// exec runs one command and appends its response to what will be written.
func (p *protocolV2) exec(c *client, line []byte) error {
	l := &c.line
	*l = wire.ParseLine(line)
	if c.needTLS && string(l.Name) != "IDENTIFY" {
		return wire.NewError(wire.Invalid, fmt.Sprintf("cannot %s in current state (TLS required)", l.Name), nil)
	}
	if string(l.Name) == "PUB" { // may join those before it
		return p.gatherPub(c, l)
	}
	if err := c.commit(); err != nil {
		return err
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

// answerError sends an error frame. It returns the error if that was the end
// of the connection.
func (p *protocolV2) answerError(c *client, e *wire.Error) error {
	if !e.Fatal() {
		p.env.log.Info(fmt.Sprintf("[%s] - %s", c.conn.RemoteAddr(), logging.Printable(e.Error())))
		c.out = wire.AppendError(c.out, e)
		return nil
	}
	c.rdy.Store(0)
	if err := c.commit(); err != nil { // of what came before; then that is the error
		e = cmp.Or(asWireError(err), e)
	}
	line := fmt.Sprintf("[%s] - %s", c.conn.RemoteAddr(), logging.Printable(e.Error()))
	if e.Err != nil && !strings.Contains(e.Desc, e.Err.Error()) { // some frames say the cause
		line += " - " + logging.Printable(e.Err.Error())
	}
	p.env.log.Log(context.Background(), severity(e.Code), line)
	c.out = wire.AppendError(c.out, e)
	if c.flush() == nil {
		c.lingerClose()
	}
	return e
}

// severity is the level at which an error that ends a connection is logged:
// mistakes of clients are routine, what the broker could not do is not.
func severity(code string) slog.Level {
	switch code {
	case wire.PubFailed, wire.MPubFailed, wire.DPubFailed, wire.AuthError:
		return slog.LevelError
	}
	return slog.LevelWarn
}

// leave undoes what the connection was part of.
func (p *protocolV2) leave(c *client) {
	p.clients.remove(c)
	c.recordLatency()
	if ch := c.channel.Load(); ch != nil {
		if err := p.topics.unsubscribe(ch, c); err != nil {
			p.env.log.Error(fmt.Sprintf("CHANNEL(%s): deletion failed", ch.name), "error", err)
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
