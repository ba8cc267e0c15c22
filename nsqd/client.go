package nsqd

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/histogram"
	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// The states of a connection, with the numbers that /stats shows.
const (
	stateInit       = 0
	stateSubscribed = 3
	stateClosing    = 4
)

// A client is one connection. IOLoop is its only reader and writes the
// replies; messagePump writes messages and heartbeats, both by write, which
// takes whole frames. TLS and compression are layers between them and the
// socket (layers.go).
type client struct {
	env       *env
	conn      net.Conn // the socket, for its deadlines and its end
	connected time.Time
	ctx       context.Context // ends with the connection, for the reason it ended
	stop      context.CancelCauseFunc
	pumping   sync.WaitGroup
	pump      pump // used by messagePump only

	// Used by IOLoop only.
	br       *readBuffer
	line     wire.Line // the command that is executed; here, or each would be allocated
	in       io.Reader // what br reads from: conn, or the layers on it
	tls      *tls.Conn // nil without TLS
	needTLS  bool      // before anything but IDENTIFY
	out      []byte    // replies that are not written yet
	pending  publish
	pipeline *pipeline // nil before the first publish that waits for stable storage
	protocol *protocolV2
	failed   error         // of a publish in the middle of a read
	newLine  bool          // the next read waits for a command line: its deadline starts
	inBody   bool          // of a command whose line was read
	endless  bool          // no deadline is set, as nothing of a command has come
	freed    bool          // messages were finished since the pump was last told
	kept     *[]store.Run  // messages finished that the log of the channel was not told of; nil where it has none
	done     latency.Batch // messages finished since their latency was last recorded, by Unix time
	stored   latency.Batch // publishes whose OK is not written, by the daemon's clock

	settings  atomic.Pointer[settings]
	state     atomic.Int32
	channel   atomic.Pointer[channel] // set by SUB
	rdy       atomic.Int64
	auth      atomic.Pointer[clientAuth] // set by AUTH
	refused   atomic.Pointer[wire.Error] // why IOLoop must end the connection, found by another goroutine
	rechecks  sync.WaitGroup             // the re-check of the subscription's authorization
	inflight  inflight
	expiry    scanItem
	heartbeat heartbeat

	publishLatency *histogram.Histogram // that it shares with some others

	quiet        chan struct{} // made by CLS; closed by the pump when it has sent its last message
	wake         chan struct{} // a token: RDY or channel have changed, there is room, a heartbeat is due, or it is the end
	waitsForRoom atomic.Bool   // the pump could take messages if there were room in flight

	writing    chan struct{} // holds a token while somebody writes; who holds it may use top
	top        io.Writer     // conn, or the layers on it
	writeArmed atomic.Int64  // when the write deadline was last set; 0 for anew with the next write

	messages   atomic.Uint64 // sent
	fromMemory atomic.Uint64 // given to it from memory, counted where near consumers come first
	finished   atomic.Uint64
	requeued   atomic.Uint64

	mu        sync.Mutex // pubCounts
	pubCounts map[string]*uint64
}

// settings are what IDENTIFY negotiates. They are replaced as a whole.
type settings struct {
	clientID            string
	hostname            string
	userAgent           string
	heartbeat           time.Duration // 0 when off
	outputBufferSize    int64
	outputBufferTimeout time.Duration
	sampleRate          int32 // percent, 0 when off
	msgTimeout          time.Duration
	topologyRegion      string
	topologyZone        string

	// The layers that are on.
	tls             *tlsInfo // nil for none
	snappy, deflate bool
}

func newClient(e *env, conn net.Conn) *client {
	c := &client{
		env:       e,
		conn:      conn,
		connected: time.Now(),
		wake:      make(chan struct{}, 1),
		writing:   make(chan struct{}, 1),
		in:        conn,
		top:       conn,
		needTLS:   e.opts.TLSRequired != TLSNotRequired,
	}
	c.ctx, c.stop = context.WithCancelCause(context.Background())
	c.br = newReadBuffer(connReader{c})
	c.publishLatency = e.publishLatency.Stripe(e.accepted.Add(1))
	c.expiry.fire = func(now int64) int64 { return c.channel.Load().timeOut(c, now) }
	c.heartbeat.item = scanItem{fire: c.heartbeatDue, brief: true}
	host := remoteIP(conn.RemoteAddr().String())
	c.settings.Store(&settings{
		clientID:            host,
		hostname:            host,
		heartbeat:           defaultHeartbeatInterval,
		outputBufferSize:    defaultOutputBufferSize,
		outputBufferTimeout: e.opts.OutputBufferTimeout,
		msgTimeout:          e.opts.MsgTimeout,
	})
	return c
}

// close ends the connection: reads and writes fail, and the pump ends. The
// first reason it is given is the reason it ended.
func (c *client) close(reason error) {
	c.stop(reason)
	c.conn.Close()
	c.wakePump()
}

// connReader reads from the connection for the client's buffer. It is called
// when the buffer holds no more complete command, so before it waits it
// publishes what is pending, waits for what is under way, and writes the replies.
type connReader struct{ c *client }

func (r connReader) Read(p []byte) (int, error) {
	c := r.c
	if err := c.protocol.commit(c); err != nil {
		c.failed = err
		return 0, err
	}
	if n := c.readArrived(p); n > 0 {
		return n, nil
	}
	if err := c.prepareRead(); err != nil {
		return 0, err
	}
	n, err := 0, error(nil)
	if c.refused.Load() == nil { // after the deadline, which refuse sets in the other order
		n, err = c.in.Read(p)
	}
	if e := c.refused.Load(); e != nil {
		c.rechecks.Wait() // whose deadline would cut the time that the peer has to read the error
		c.failed = e
		return 0, e
	}
	return n, err
}

// prepareRead does all that comes before a read, and once.
func (c *client) prepareRead() error {
	if err := c.settle(); err != nil {
		c.failed = err
		return err
	}
	if c.br.size <= minReadBuffer && cap(c.out) > minReadBuffer {
		c.out = nil // what many replies needed goes when a large read buffer does
	}
	begun := c.inBody || c.br.Buffered() > 0
	needsDeadline := c.newLine || c.endless && begun
	if !needsDeadline && !c.hasLatencies() {
		return nil
	}
	now := time.Now() // once for both
	c.recordLatencies(now)
	if !needsDeadline {
		return nil
	}
	c.newLine = false
	deadline := c.readDeadline(now, begun)
	c.endless = deadline.IsZero()
	return c.conn.SetReadDeadline(deadline)
}

// readDeadline is two heartbeats from now. Where heartbeats are off a client
// may be silent for ever, but not in the middle of a command: what has begun
// must come within two of the longest heartbeats.
func (c *client) readDeadline(now time.Time, begun bool) time.Time {
	hb := c.settings.Load().heartbeat
	if hb == 0 {
		if !begun {
			return time.Time{}
		}
		hb = c.env.opts.MaxHeartbeatInterval
	}
	return now.Add(2 * hb)
}

// settle completes all commands so far: it publishes what is pending, writes
// the replies and tells the pump of room.
func (c *client) settle() error {
	err := c.protocol.complete(c)
	c.tellFinished()
	if c.freed {
		c.freed = false
		c.roomChanged()
	}
	if err != nil {
		return err
	}
	return c.flush()
}

// tellFinished tells the channel's log what was finished.
func (c *client) tellFinished() {
	if c.kept != nil && len(*c.kept) > 0 {
		c.channel.Load().queue.log.finish(*c.kept)
		*c.kept = (*c.kept)[:0]
	}
}

// flush writes the replies.
func (c *client) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	return err
}

// write writes whole frames, which then have left every layer. It has a
// deadline of one heartbeat to one and a quarter, which is not set anew for
// every write.
func (c *client) write(b []byte) error {
	if err := c.lockWrites(); err != nil {
		return err
	}
	err := c.writeLocked(b)
	c.unlockWrites()
	return err
}

// lockWrites makes the caller the only one who writes. It fails when the
// connection has ended. A lock that one can wait for along with that.
func (c *client) lockWrites() error {
	select {
	case c.writing <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.writing <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

func (c *client) unlockWrites() { <-c.writing }

func (c *client) writeLocked(b []byte) error {
	if _, due := c.writeDeadline(); due {
		var err error
		aside(func() { err = c.armWritesLocked() })
		if err != nil {
			return err
		}
	}
	_, err := c.top.Write(b)
	return err
}

// armWritesLocked sets the write deadline anew if that is due.
func (c *client) armWritesLocked() error {
	left, due := c.writeDeadline()
	if !due {
		return nil
	}
	c.writeArmed.Store(c.env.now())
	return c.conn.SetWriteDeadline(time.Now().Add(left))
}

// writeDeadline returns how long a write may take from now on if the deadline is
// set now, and whether it must be.
func (c *client) writeDeadline() (left time.Duration, due bool) {
	hb := c.settings.Load().heartbeat
	if hb == 0 {
		hb = c.env.opts.MaxHeartbeatInterval
	}
	slack := hb / 4
	armed := c.writeArmed.Load()
	return hb + slack, armed == 0 || time.Duration(c.env.now()-armed) > slack
}

// changeSettings replaces the settings by a copy with a change. Only IOLoop
// does that.
func (c *client) changeSettings(change func(*settings)) {
	s := *c.settings.Load()
	change(&s)
	c.settings.Store(&s)
}

// room returns how many more messages the client may be sent. Once the daemon
// stops that is none: taking and failing to send would count as an attempt.
func (c *client) room() int {
	rdy := int(c.rdy.Load())
	if rdy == 0 || c.env.stopping.Load() {
		return 0
	}
	return rdy - c.inflight.len()
}

// roomChanged tells the pump that fewer messages are in flight.
func (c *client) roomChanged() {
	if c.waitsForRoom.Load() {
		c.wakePump()
	}
}

func (c *client) wakePump() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// hasPublished reports whether the client has published anything.
func (c *client) hasPublished() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pubCounts) > 0
}

// countPublished counts messages that the client published, by topic.
func (c *client) countPublished(topic []byte, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := c.pubCounts[string(topic)]
	if count == nil {
		count = new(uint64)
		if c.pubCounts == nil {
			c.pubCounts = make(map[string]*uint64)
		}
		c.pubCounts[string(topic)] = count
	}
	*count += uint64(n)
}
