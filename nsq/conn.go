package nsq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// Conn is one connection to an nsqd, for programs that send the commands of the
// protocol themselves; Producer and Consumer need none. It connects once: Connect,
// then WriteCommand, while what arrives goes to a ConnDelegate, then Close. It
// answers heartbeats, and the messages that it delivers can be answered by their
// methods.
//
// The methods may be called from any goroutine, and from the delegate; but none
// that writes waits for what only the delegate, while it is called, could read.
type Conn struct {
	addr     string
	config   Config
	delegate ConnDelegate
	log      *logging
	messages connMessages

	rdy         atomic.Int64
	lastRDY     atomic.Int64 // when a RDY of more than 0 was set, in nanoseconds since the Unix epoch
	lastMessage atomic.Int64 // when a message arrived, in the same unit

	handling context.Context // ends when answers reach nobody
	abandon  context.CancelCauseFunc

	reading sync.Mutex // reading from nsqd; held by the reader but while it calls the delegate

	mu       sync.Mutex // what follows; may be held while nsqdConn.mu is taken
	dialling context.CancelFunc
	nsqd     *nsqdConn // nil until it is connected
	inFlight int       // given to the delegate and not answered
	answers  ring[connAnswer]
	answered sync.Cond   // there are answers, or the connection has ended
	closing  bool        // Close was called
	ended    bool        // there was a connection
	timeout  *time.Timer // bounds closing
}

// NewConn returns a connection to the nsqd at addr, host:port, that is yet to be
// made. It copies config, and panics if that was not made by NewConfig or if there
// is no delegate.
func NewConn(addr string, config *Config, delegate ConnDelegate) *Conn {
	switch {
	case config.usable() != nil:
		panic("Config must be created with NewConfig()")
	case delegate == nil:
		panic("ConnDelegate must not be nil")
	}
	c := &Conn{addr: addr, config: *config, delegate: delegate, log: silentLogging(addr)}
	c.messages.conn = c
	c.answered.L = &c.mu
	c.handling, c.abandon = context.WithCancelCause(context.Background())
	c.lastMessage.Store(time.Now().UnixNano())
	return c
}

// Connect connects, introduces the client, puts on TLS and compression as they
// were agreed on, and shows the secret if nsqd asks for one. It returns what nsqd
// answered to IDENTIFY; from then on the delegate is called, until OnClose. After
// an error it may be called again; its error is ErrAlreadyConnected where there is
// or was a connection, and ErrClosing after Close.
func (c *Conn) Connect() (*IdentifyResponse, error) {
	return c.ConnectContext(context.Background())
}

// ConnectContext is Connect that gives up when ctx ends, which does not matter to
// the connection afterwards.
func (c *Conn) ConnectContext(ctx context.Context) (*IdentifyResponse, error) {
	if err := c.config.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := c.startDialling(cancel); err != nil {
		return nil, err
	}
	nc, err := dial(ctx, c.addr, &c.config)
	if err = c.dialled(nc, err); err != nil {
		return nil, err
	}
	c.log.log(eventConnected)
	nc.logAuth(c.log)
	resp := nc.identity.IdentifyResponse
	go c.run(nc)
	return &resp, nil
}

func (c *Conn) startDialling(cancel context.CancelFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.nsqd != nil || c.dialling != nil:
		return ErrAlreadyConnected
	case c.closing:
		return ErrClosing
	}
	c.dialling = cancel
	return nil
}

func (c *Conn) dialled(nc *nsqdConn, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialling = nil
	if c.closing {
		if err == nil {
			nc.close(ErrClosing)
		}
		return ErrClosing
	}
	c.nsqd = nc
	return err
}

// Close ends the connection. What was written is sent, and nsqd has a second to
// answer it. If messages are in flight, they can first be answered, for 30
// seconds; meanwhile nsqd is asked for no more, and messages that arrive all the
// same are requeued at once. Close does not wait for any of that: OnClose is called
// when everything has ended. The error is always nil.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	c.closing = true
	switch {
	case c.dialling != nil:
		c.dialling()
	case c.nsqd == nil || c.ended:
	case c.inFlight == 0:
		c.nsqd.drain()
	default:
		// Where messages come from, RDY is allowed.
		c.nsqd.send(func(b []byte) []byte { return wire.AppendRdy(b, 0) })
		c.timeout = time.AfterFunc(stopTimeout, func() { c.nsqd.close(errCloseTimeout) })
	}
	return nil
}

// IsClosing reports whether Close was called or the connection was lost.
func (c *Conn) IsClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.ended
}

// RDY returns what SetRDY was last given, 0 at first.
func (c *Conn) RDY() int64 { return c.rdy.Load() }

// LastRDY is another name for RDY.
func (c *Conn) LastRDY() int64 { return c.rdy.Load() }

// SetRDY notes what the last RDY said; it does not send it.
func (c *Conn) SetRDY(rdy int64) {
	c.rdy.Store(rdy)
	if rdy > 0 {
		c.lastRDY.Store(time.Now().UnixNano())
	}
}

// LastRdyTime returns when SetRDY was last given more than 0, or the Unix epoch if
// it never was.
func (c *Conn) LastRdyTime() time.Time { return time.Unix(0, c.lastRDY.Load()) }

// LastMessageTime returns when the last message arrived; before the first, when the
// Conn was made.
func (c *Conn) LastMessageTime() time.Time { return time.Unix(0, c.lastMessage.Load()) }

// MaxRDY returns the highest RDY that nsqd accepts: 2500 until it has said so.
func (c *Conn) MaxRDY() int64 {
	if nc := c.connection(); nc != nil {
		return nc.identity.MaxRdyCount
	}
	return defaultMaxRDY
}

// RemoteAddr returns the address of nsqd's end, nil before it is connected.
func (c *Conn) RemoteAddr() net.Addr {
	if nc := c.connection(); nc != nil {
		return nc.nc.RemoteAddr()
	}
	return nil
}

// String returns the address that NewConn was given.
func (c *Conn) String() string { return c.addr }

// connection returns nil before Connect has succeeded.
func (c *Conn) connection() *nsqdConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nsqd
}

// Read reads what follows the frame that was read last, with everything that TLS
// and compression put around it taken off. It is for a delegate that expects
// something other than frames, and for nobody else: while the delegate is not
// called, the Conn itself reads, and Read waits.
func (c *Conn) Read(p []byte) (int, error) {
	nc := c.connection()
	if nc == nil {
		return 0, ErrNotConnected
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	return nc.br.Read(p)
}

// Write sends bytes, which must be whole commands, and returns when they are
// written. p is not kept.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.write(context.Background(), func(b []byte) []byte { return append(b, p...) }); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteCommand sends a command and returns when it is written. Commands of several
// goroutines share writes. The error is ErrNotConnected before Connect, ErrClosing
// on a connection that takes no more, or why it could not be written.
func (c *Conn) WriteCommand(cmd *Command) error {
	return c.WriteCommandContext(context.Background(), cmd)
}

// WriteCommandContext is WriteCommand, whose waiting ends with ctx. The command may
// have been written, or be written later, then.
func (c *Conn) WriteCommandContext(ctx context.Context, cmd *Command) error {
	return c.write(ctx, func(b []byte) []byte { return wire.AppendCommand(b, cmd.Name, cmd.Params, cmd.Body) })
}

// Flush returns when everything before it is written; nothing is kept back, so that
// it is needed only to wait for what other goroutines send.
func (c *Conn) Flush() error { return c.FlushContext(context.Background()) }

// FlushContext is Flush, whose waiting ends with ctx.
func (c *Conn) FlushContext(ctx context.Context) error {
	nc := c.connection()
	if nc == nil {
		return ErrNotConnected
	}
	return nc.flushed(ctx)
}

func (c *Conn) write(ctx context.Context, appendCommand func([]byte) []byte) error {
	nc := c.connection()
	if nc == nil {
		return ErrNotConnected
	}
	if err := nc.beginWhenRoom(ctx); err != nil {
		return err
	}
	nc.queued = appendCommand(nc.queued)
	nc.commit()
	return nc.flushed(ctx)
}

// flushed is flush with the reason why the connection ended.
func (c *nsqdConn) flushed(ctx context.Context) error {
	err := c.flush(ctx)
	if err != ErrNotConnected { //nolint:errorlint // a context may end with any cause
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.ending, errDrained) {
		return ErrClosing
	}
	return c.ending
}

// SetLogger makes l, a *log.Logger or what has its method Output, receive the log
// lines of level lvl and above. In each of them, format stands before what happened,
// with the address in the place of its verb; an empty one is "(%s)". A nil logger
// means silence, as it is at first.
func (c *Conn) SetLogger(l logger, lvl LogLevel, format string) {
	c.log.to.change(func(t *targets) { t.setAll(c.target(l, format), lvl) })
}

// SetLoggerForLevel makes l receive the log lines of exactly the level lvl, as
// SetLogger does. A nil logger means silence.
func (c *Conn) SetLoggerForLevel(l logger, lvl LogLevel, format string) {
	if lvl >= 0 && lvl <= LogLevelMax {
		c.log.to.change(func(t *targets) { t.of[lvl] = c.target(l, format) })
	}
}

func (c *Conn) target(l logger, format string) target {
	if format == "" {
		return target{lines: l}
	}
	return target{lines: l, prefix: fmt.Sprintf(format, c.addr)}
}

// SetLoggerLevel sets the lowest level that is logged.
func (c *Conn) SetLoggerLevel(lvl LogLevel) { c.log.SetLoggerLevel(lvl) }

// SetSlogger makes l receive what is logged as records, as that of a Producer does.
func (c *Conn) SetSlogger(l *slog.Logger) { c.log.SetSlogger(l) }
