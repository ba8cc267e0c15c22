package nsq

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	readBufferSize = 32 << 10

	// maxQueued is how many bytes wait to be written before publishers do.
	maxQueued = 1 << 20

	// drainTimeout is how long nsqd may take to answer what it was sent and to
	// close, once we said that no more will come.
	drainTimeout = time.Second
)

// errDrained is why a connection ended that was closed in good order.
var errDrained = errors.New("connection drained")

// frameHandler is told what arrives on a connection, by the goroutine that
// called serve. It must not block; an error ends the connection. data is valid
// until the call returns; the message belongs to the handler.
type frameHandler interface {
	onResponse(data []byte) error
	onError(data []byte) error
	onMessage(m *Message) error
	// onPause is called before the connection waits for more to arrive, and at
	// its end: what a handler left to do for several frames at once is due.
	onPause() error
	onHeartbeat() // which is answered afterwards
}

// nsqdConn is a connection to one nsqd after a successful IDENTIFY. serve must be
// called once: its caller is the only reader, and it starts the only other
// goroutine, which writes. Everything else may be called from any goroutine.
//
// Commands are appended to a buffer between begin and commit; the writer takes all
// of them at once, so what is queued while it writes shares the next write.
type nsqdConn struct {
	addr     string
	cfg      *Config
	nc       net.Conn
	link     link      // nc with deadlines, what in and out end at
	in       io.Reader // the topmost layer; br reads from it
	out      io.Writer // the topmost layer
	tls      *tls.Conn // nil if it is not among the layers
	br       *bufio.Reader
	identity negotiated
	auth     *AuthResponse // nil if nsqd did not ask for a secret

	drainLimit time.Duration // how long a drained connection waits for nsqd; 0 for as long as it takes

	mu       sync.Mutex // what follows
	more     sync.Cond  // there is something for the writer to do
	written  sync.Cond  // the writer took a step, or never will again
	queued   []byte     // commands for the writer
	commands int        // how many these are
	shared   int        // how many of them were lately taken at once
	peak     int        // how much the writer took lately
	taken    uint64     // how often the writer took what was queued
	done     uint64     // how often it has written that; taken or one less
	failed   bool       // nothing more is written: a write failed, or the socket was closed
	ending   error      // why no more commands are taken; nil while they are
	cause    error      // why the socket was closed; nil while it is not
}

// dial connects to addr, introduces the client, puts on the layers that were
// agreed on, and shows its secret if nsqd asks for one. Its error is that of the
// network, an ErrIdentify, or says what nsqd thinks of the secret; when ctx ends
// before, it is that of interrupted.
func dial(ctx context.Context, addr string, cfg *Config) (*nsqdConn, error) {
	dialer := net.Dialer{Timeout: cfg.DialTimeout, LocalAddr: cfg.LocalAddr}
	nc, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		if ctx.Err() != nil {
			err = interrupted(ctx, "connecting to nsqd "+addr)
		}
		return nil, err
	}
	c := newNSQDConn(nc, addr, cfg)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	err = c.handshake()
	if !stop() {
		err = interrupted(ctx, "connecting to nsqd "+addr)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// newNSQDConn returns a connection over nc that has yet to identify itself.
func newNSQDConn(nc net.Conn, addr string, cfg *Config) *nsqdConn {
	c := &nsqdConn{addr: addr, cfg: cfg, nc: nc, drainLimit: drainTimeout}
	c.link = link{Conn: nc, cfg: cfg}
	c.more.L = &c.mu
	c.written.L = &c.mu
	c.in, c.out = &c.link, &c.link
	c.br = bufio.NewReaderSize(c.in, readBufferSize)
	return c
}

// logAuth logs what nsqd answered to the secret, if it asked for one.
func (c *nsqdConn) logAuth(l *logging) {
	if a := c.auth; a != nil {
		l.log(eventAuthAccepted, a.Identity, a.IdentityUrl, a.PermissionCount)
	}
}

// serve reads frames and hands them to h until the connection ends. When it
// returns, with the reason, the socket and both goroutines are gone.
func (c *nsqdConn) serve(h frameHandler) error {
	var writer sync.WaitGroup
	writer.Go(c.writeLoop)
	c.close(c.readLoop(h))
	writer.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// onHeartbeat is for frameHandlers that have nothing to do with heartbeats.
func (c *nsqdConn) onHeartbeat() {}

// writeLoop writes what is queued until the connection is closed or drained.
func (c *nsqdConn) writeLoop() {
	var b []byte
	for {
		var ok bool
		if b, ok = c.take(b); !ok {
			return
		}
		if len(b) == 0 { // drained
			c.closeWrite()
			return
		}
		if _, err := c.out.Write(b); err != nil {
			c.fail(err)
			c.awaitReader(drainTimeout) // nsqd may have said why
			return
		}
	}
}

// take waits for commands and returns them, leaving the buffer spent in their
// place. It returns false once the connection is closed, and nothing once it is
// drained.
func (c *nsqdConn) take(spent []byte) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = c.taken
	c.written.Broadcast()
	for len(c.queued) == 0 && c.ending == nil {
		c.more.Wait()
		if c.shared > 1 {
			// Whoever else is about to queue a command does so first: a write
			// costs more than all of them.
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
		}
	}
	switch {
	case c.cause != nil:
		c.failed = true
		c.written.Broadcast()
		return nil, false
	case len(c.queued) == 0:
		return nil, true // and who waits for the last write does not wait on
	}
	b := c.queued
	c.queued = c.reusedLocked(spent)
	c.shared, c.commands = max(c.commands, c.shared-1), 0
	c.taken++
	return b, true
}

// reusedLocked returns the buffer to reuse for what is queued next: spent, or
// nil if that was one large message, or the burst it grew for is over.
func (c *nsqdConn) reusedLocked(spent []byte) []byte {
	c.peak = max(len(spent), c.peak-c.peak/128)
	if cap(spent) > 2*maxQueued || cap(spent) > writeStep && c.peak < cap(spent)/4 {
		return nil
	}
	return spent[:0]
}

// closeWrite tells nsqd that nothing more will come, so that it answers what it
// has and closes. Closing at once could lose what nsqd has not read yet.
func (c *nsqdConn) closeWrite() {
	if c.tls != nil {
		// So that nobody else can make nsqd believe in an end. If it fails, the
		// end of the socket has to do.
		_ = c.tls.CloseWrite()
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		c.close(errDrained)
	}
	c.awaitReader(c.drainLimit)
}

// awaitReader lets the reader reach the end of what nsqd sends, for as long as
// limit says, or without limit if that is 0.
func (c *nsqdConn) awaitReader(limit time.Duration) {
	if limit > 0 {
		timeout := time.AfterFunc(limit, func() { c.close(os.ErrDeadlineExceeded) })
		defer timeout.Stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.cause == nil {
		c.more.Wait()
	}
}

// begin locks the queue of commands, to be appended to c.queued before commit.
// It fails on a connection that takes none.
func (c *nsqdConn) begin() error {
	c.mu.Lock()
	if c.ending != nil {
		c.mu.Unlock()
		return ErrClosing
	}
	return nil
}

// beginWhenRoom is begin for commands of any size and number: it waits while
// the writer is far behind. It fails with ErrClosing, or when ctx ends.
func (c *nsqdConn) beginWhenRoom(ctx context.Context) error {
	err := c.begin()
	if err == nil && len(c.queued) >= maxQueued {
		if err = c.awaitRoomLocked(ctx); err != nil {
			c.mu.Unlock()
		}
	}
	return err
}

func (c *nsqdConn) awaitRoomLocked(ctx context.Context) error {
	defer wakeWhenEnded(ctx, &c.written)()
	for len(c.queued) >= maxQueued {
		if ctx.Err() != nil {
			return interrupted(ctx, "waiting for room among what is to be written to "+c.addr)
		}
		c.written.Wait()
		if c.ending != nil {
			return ErrClosing
		}
	}
	return nil
}

func (c *nsqdConn) commit() {
	c.commands++
	c.more.Signal()
	c.mu.Unlock()
}

// send queues a command without waiting for anything. On a connection that is
// going away it is dropped.
func (c *nsqdConn) send(appendCommand func([]byte) []byte) {
	if c.begin() == nil {
		c.queued = appendCommand(c.queued)
		c.commit()
	}
}

// flush waits until everything that was queued before is written; it fails if
// the connection or ctx ends first.
func (c *nsqdConn) flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.taken
	if len(c.queued) > 0 {
		last++
	}
	if c.done < last {
		defer wakeWhenEnded(ctx, &c.written)()
	}
	// Not until the socket is closed: nsqd may have answered and closed before the
	// writer has come to say that it wrote.
	for c.done < last && !c.failed {
		if ctx.Err() != nil {
			return interrupted(ctx, "writing to "+c.addr)
		}
		c.written.Wait()
	}
	if c.done < last {
		return ErrNotConnected
	}
	return nil
}

// fail notes that a write failed.
func (c *nsqdConn) fail(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = true
	c.endLocked(reason)
}

// drain makes the connection take no more commands, and close after nsqd has
// received and answered those it took. It does not wait for that.
func (c *nsqdConn) drain() { c.end(errDrained) }

// end makes the connection take no more commands. The first reason counts.
func (c *nsqdConn) end(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(reason)
}

func (c *nsqdConn) endLocked(reason error) {
	if c.ending == nil {
		c.ending = reason
	}
	c.more.Signal()
	c.written.Broadcast()
}

// close closes the socket at once, which ends serve.
func (c *nsqdConn) close(reason error) {
	c.mu.Lock()
	c.endLocked(reason)
	c.cause = c.ending
	c.mu.Unlock()
	c.nc.Close()
}
