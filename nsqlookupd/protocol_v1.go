package nsqlookupd

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/wire"
)

// How long a connection may take for what. One that has identified may be
// silent for ever: a host that is gone is found by the keep-alive of TCP.
const (
	identifyTimeout = time.Minute      // of silence, for who has not identified
	commandTimeout  = 30 * time.Second // from the first byte of a command to the last of its body
	writeTimeout    = 10 * time.Second // for responses
)

// maxLine is the longest command line, its LF included; nsqd sends 142 bytes at
// most.
const maxLine = 4 << 10

// protocolV1 is the protocol of nsqd. It is the same for all connections.
type protocolV1 struct {
	db       *database
	log      *slog.Logger
	identity []byte // the answer to IDENTIFY
	commands map[string]command
	stopping atomic.Bool // connections are about to be closed: nobody looks at the registry any more
}

// A command checks and executes one command line, whose body it reads from the
// client itself. It returns the response or an error, which ends the connection
// and is told to the client if it is a *wire.Error. The line is valid until the
// command reads from the client.
type command func(c *client, l *wire.Line) (response []byte, err error)

func newProtocolV1(db *database, log *slog.Logger, identity []byte) *protocolV1 {
	p := &protocolV1{db: db, log: log, identity: identity}
	p.commands = map[string]command{
		"IDENTIFY":   p.identify,
		"REGISTER":   p.register,
		"UNREGISTER": p.unregister,
		"PING":       p.ping,
	}
	return p
}

// A client is one connection. Only its IOLoop uses it.
type client struct {
	conn      net.Conn
	br        *bufio.Reader // of the client itself
	responses []byte        // not written yet
	producer  *producer     // nil before IDENTIFY

	inCommand bool      // some of a command has arrived
	until     time.Time // when all of it must have; zero while no deadline was needed
}

func newClient(conn net.Conn) *client {
	c := &client{conn: conn}
	c.br = bufio.NewReaderSize(c, maxLine)
	return c
}

// IOLoop owns the connection: it reads commands, and writes the responses as
// soon as the next command is not there yet. It returns when the connection is
// at its end; what the client had registered is gone before its peer can see
// that.
func (p *protocolV1) IOLoop(conn net.Conn) error {
	c := newClient(conn)
	defer p.leave(c) // also where a command panics
	for {
		line, err := c.readLine()
		if err == nil {
			err = p.exec(c, line)
		}
		if err == nil {
			continue
		}
		p.leave(c)
		if e, ok := errors.AsType[*wire.Error](err); ok && !errors.Is(err, net.ErrClosed) {
			p.logError(conn, e)
			c.responses = wire.AppendResponse(c.responses, e.Error())
		}
		if c.flush() == nil {
			sockets.LingerClose(conn)
		}
		return err
	}
}

func (p *protocolV1) logError(conn net.Conn, e *wire.Error) {
	fields := []any{"client", logging.Said(conn.RemoteAddr())}
	if e.Err != nil {
		fields = append(fields, "cause", logging.Printable(e.Err.Error()))
	}
	p.log.Warn(fmt.Sprintf("PROTOCOL(V1): [%s] %s", conn.RemoteAddr(), logging.Printable(e.Error())), fields...)
}

// leave takes a client out of the registry, unless all of that is about to go:
// it may be much.
func (p *protocolV1) leave(c *client) {
	if c.producer == nil || p.stopping.Load() {
		return
	}
	p.db.disconnect(c.producer)
	p.log.Info(fmt.Sprintf("DB: client(%s) disconnected", c.conn.RemoteAddr()), "client", logging.Said(c.conn.RemoteAddr()))
	c.producer = nil
}

// exec runs one command and appends its response to what will be written.
func (p *protocolV1) exec(c *client, line []byte) error {
	l := wire.ParseLineV1(line)
	cmd := p.commands[string(l.Name)]
	if cmd == nil {
		return wire.NewError(wire.Invalid, "invalid command "+string(l.Name), nil)
	}
	response, err := cmd(c, &l)
	if err != nil {
		return err
	}
	c.responses = wire.AppendResponse(c.responses, response)
	return nil
}

var errLineTooLong = wire.NewError(wire.Invalid, fmt.Sprintf("command line of more than %d bytes", maxLine), nil)

// readLine returns the next command line. It is valid until the next read.
func (c *client) readLine() ([]byte, error) {
	c.inCommand = false
	if _, err := c.br.Peek(1); err != nil {
		return nil, err
	}
	c.inCommand, c.until = true, time.Time{}
	line, err := c.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		err = errLineTooLong
	}
	return line, err
}

// Read reads from the connection. What is to be written is written first: the
// reader's buffer holds no whole command when it asks for more.
func (c *client) Read(b []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	c.conn.SetReadDeadline(c.readDeadline())
	return c.conn.Read(b)
}

func (c *client) readDeadline() time.Time {
	switch {
	case !c.inCommand && c.producer != nil:
		return time.Time{}
	case !c.inCommand:
		return time.Now().Add(identifyTimeout)
	}
	if c.until.IsZero() {
		c.until = time.Now().Add(commandTimeout)
	}
	return c.until
}

// flush writes the responses that wait.
func (c *client) flush() error {
	if len(c.responses) == 0 {
		return nil
	}
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.conn.Write(c.responses)
	c.responses = c.responses[:0]
	return err
}
