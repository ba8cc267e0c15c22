package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// frontBuffer holds a head with, mostly, a small body behind it.
const frontBuffer = 4 << 10

// frontBuffers are those of connections that were handed over, mostly.
var frontBuffers = sync.Pool{New: func() any { return new([frontBuffer]byte) }}

// deadlineSlack is how much later than promised a deadline may be: so long none
// is set again, which would cost more than to serve a request.
const deadlineSlack = time.Second / 2

// What becomes of a connection when the server closes depends on its state.
const (
	stateWaiting int32 = iota // for a request
	stateBusy                 // with one
	stateEnded
)

// longAgo is the deadline of what must not wait.
var longAgo = time.Unix(1, 0)

// A frontConn is a connection that a front serves. It has one goroutine; end
// alone may be called by others.
type frontConn struct {
	front *front
	conn  *conn
	state atomic.Int32

	readBy, writeBy time.Time // the deadlines that are set

	buf         []byte
	start, used int // of what was read and is no part of a request yet

	head      head
	headBy    time.Time // when all of it must have come; zero until it begins
	hasServed bool      // a request, before it

	address  string // of the peer
	body     frontBody
	response response
	answer   answer
}

func newFrontConn(f *front, nc *conn) *frontConn {
	c := &frontConn{front: f, conn: nc, buf: frontBuffers.Get().(*[frontBuffer]byte)[:], address: nc.RemoteAddr().String()}
	c.body.conn = c
	c.answer.header = make(http.Header)
	return c
}

// release is the end of c; the connection may go on.
func (c *frontConn) release() { frontBuffers.Put((*[frontBuffer]byte)(c.buf)) }

// end closes the connection unless a request runs, after which it ends by
// itself.
func (c *frontConn) end() {
	if c.state.CompareAndSwap(stateWaiting, stateEnded) {
		c.conn.Conn.SetReadDeadline(longAgo) // wakes the goroutine, which closes
	}
}

// take moves what is buffered into p.
func (c *frontConn) take(p []byte) int {
	n := copy(p, c.buf[c.start:c.used])
	c.start += n
	return n
}

// setReadBy sets the deadline for reads.
func (c *frontConn) setReadBy(t time.Time) {
	c.readBy = t
	c.conn.Conn.SetReadDeadline(t)
	if c.state.Load() == stateEnded { // end may have been before that
		c.conn.Conn.SetReadDeadline(longAgo)
	}
}

// serve serves requests until the connection is to end, or to be handed over with
// the first request that is not for the front.
func (c *frontConn) serve() (handOver bool) {
	c.headBy = time.Now().Add(headerTimeout)
	c.setReadBy(c.headBy)
	for {
		isDirect, err := c.readHead()
		if err != nil || !c.state.CompareAndSwap(stateWaiting, stateBusy) {
			return false
		}
		c.conn.setIdle(false)
		if !isDirect {
			c.conn.unread(bytes.Clone(c.buf[c.start:c.used]), c.headBy)
			return true
		}
		if !c.serveRequest() {
			return false
		}
		c.conn.setIdle(true)
		c.state.Store(stateWaiting)
		if c.front.isClosing() { // which may have been before that
			return false
		}
	}
}

// readHead waits for a request and reports whether its head is one that the front
// serves: then it is in c.head, and what follows is in the buffer. An error ends
// the connection.
func (c *frontConn) readHead() (isDirect bool, err error) {
	paths := c.front.server.direct
	for stray := 0; ; {
		for ; c.hasServed && stray < 4 && c.start < c.used && isLineEnd(c.buf[c.start]); stray++ {
			c.start++ // net/http ignores what old clients send after a body, too
		}
		got := c.buf[c.start:c.used]
		if length := bytes.Index(got, endOfHead) + len(endOfHead); length >= len(endOfHead) {
			if !c.head.parse(string(got[:length]), paths) {
				return false, nil
			}
			c.start += length
			return true, nil
		}
		if len(got) == len(c.buf) || len(got) > 0 && !c.head.mayBecome(string(got), paths) {
			return false, nil
		}
		if err := c.readMore(); err != nil {
			return false, err
		}
	}
}

var endOfHead = []byte("\r\n\r\n")

func isLineEnd(b byte) bool { return b == '\r' || b == '\n' }

// readMore reads more of a head, for which there is a deadline once it has begun.
func (c *frontConn) readMore() error {
	if c.start < c.used && c.headBy.IsZero() {
		c.headBy = time.Now().Add(headerTimeout)
		c.setReadBy(c.headBy)
	}
	c.used = copy(c.buf, c.buf[c.start:c.used])
	c.start = 0
	n, err := c.conn.Conn.Read(c.buf[c.used:])
	c.used += n
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// serveRequest answers the request in c.head, and reports whether another may
// follow.
func (c *frontConn) serveRequest() bool {
	r := &c.head.request
	r.RemoteAddr = c.address
	r.Body = &c.body
	c.body.begin(r.ContentLength)
	c.answer.begin()
	c.response = response{ResponseWriter: &c.answer}
	c.front.server.answer(&c.response, r)

	c.body.discard() // as net/http does: some clients read nothing before they have sent everything
	isCut, isClosing := c.body.left > 0, c.front.isClosing()
	err := c.write(c.answer.encode(time.Now(), isClosing || isCut && !c.body.hasEnded()))
	c.hasServed, c.headBy = true, time.Time{}
	if now := time.Now(); c.readBy.Sub(now) < idleTimeout {
		c.setReadBy(now.Add(idleTimeout + deadlineSlack))
	}
	return !isCut && !isClosing && err == nil
}

func (c *frontConn) write(b []byte) error {
	if now := time.Now(); c.writeBy.Sub(now) < writeTimeout {
		c.writeBy = now.Add(writeTimeout + deadlineSlack)
		c.conn.Conn.SetWriteDeadline(c.writeBy)
	}
	_, err := c.conn.Conn.Write(b)
	return err
}

// A frontBody is the body of the request that a frontConn serves. Its reads have
// the same deadlines as those of others.
type frontBody struct {
	conn  *frontConn
	left  int64     // of its length
	until time.Time // when all of it must have come; set by the first read that waits
	err   error     // of the connection, once there was one
}

func (b *frontBody) begin(length int64) { *b = frontBody{conn: b.conn, left: length} }

// Read implements io.Reader.
func (b *frontBody) Read(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.err != nil {
		return 0, b.err
	}
	p = p[:min(int64(len(p)), b.left)]
	if b.Buffered() > 0 {
		n = b.conn.take(p)
	} else {
		n, b.err = b.receive(p)
	}
	b.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, b.err
}

// receive waits for bytes that have not arrived yet.
func (b *frontBody) receive(p []byte) (int, error) {
	now := time.Now()
	if b.until.IsZero() {
		b.until = now.Add(maxBodyTime)
	}
	b.conn.setReadBy(bodyDeadline(now, b.until))
	n, err := b.conn.conn.Conn.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Buffered returns how many bytes have arrived that were not read.
func (b *frontBody) Buffered() int {
	return int(min(b.left, int64(b.conn.used-b.conn.start)))
}

// discard reads the rest. Where that fails some of it is left.
func (b *frontBody) discard() {
	n := b.Buffered()
	b.conn.start += n
	b.left -= int64(n)
	if b.left > 0 && b.err == nil {
		b.conn.setReadBy(time.Now().Add(bodyTimeout))
		discarded, _ := io.CopyN(io.Discard, b.conn.conn.Conn, b.left)
		b.left -= discarded
	}
}

// hasEnded reports whether the handler has seen that nothing more comes, so that
// nobody needs to be told.
func (b *frontBody) hasEnded() bool { return errors.Is(b.err, io.ErrUnexpectedEOF) }

// Close implements io.Closer.
func (b *frontBody) Close() error { return nil }
