package nsqd

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/seed893f581e/nsq/internal/compress"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/wire"
)

// tlsTimeout bounds a TLS handshake from its first byte to its last.
const tlsTimeout = 5 * time.Second

// upgrades are the layers that one IDENTIFY puts onto a connection. TLS comes
// first; at most one of the others follows.
type upgrades struct {
	tls, snappy, deflate bool
	deflateLevel         int
}

func (u upgrades) none() bool { return !u.tls && !u.snappy && !u.deflate }

// tlsInfo is what was negotiated with a client, as /stats shows it.
type tlsInfo struct {
	version     string // TLS1.0 to TLS1.3
	cipherSuite string
	protocol    string
	commonName  string // of the client's certificate, "" without one
}

var okFrame = wire.AppendFrame(nil, wire.FrameResponse, wire.OK)

// upgrade answers IDENTIFY and puts the layers onto the connection, each of
// which says OK for itself. Nobody else writes before that is done. What the
// client has sent behind IDENTIFY belongs to the first layer.
func (c *client) upgrade(answer []byte, u upgrades, config *tls.Config) error {
	if err := c.lockWrites(); err != nil {
		return err
	}
	defer c.unlockWrites()
	c.out = wire.AppendFrame(c.out, wire.FrameResponse, answer)
	err := c.writeLocked(c.out)
	c.out = c.out[:0]
	if err != nil {
		return err
	}
	if u.tls {
		if err := c.startTLS(config); err != nil {
			return wire.NewError(wire.IdentifyFailed, "IDENTIFY failed "+err.Error(), nil) // in clear
		}
		if err := c.writeLocked(okFrame); err != nil {
			return err
		}
	}
	if u.snappy || u.deflate {
		c.startCompression(u)
		return c.writeLocked(okFrame)
	}
	return nil
}

// startTLS does the handshake on the bare connection.
func (c *client) startTLS(config *tls.Config) error {
	defer c.writeArmed.Store(0) // its deadlines are not those of what follows
	if err := c.conn.SetDeadline(time.Now().Add(tlsTimeout)); err != nil {
		return err
	}
	conn := tls.Server(&resumedConn{c.conn, unread{c.br.takeAll(), c.conn}}, config)
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.tls, c.in, c.top = conn, conn, conn
	c.needTLS = false
	state := conn.ConnectionState()
	info := &tlsInfo{
		version:     tlsVersionName(state.Version),
		cipherSuite: tls.CipherSuiteName(state.CipherSuite),
		protocol:    state.NegotiatedProtocol,
		commonName:  commonName(&state),
	}
	c.changeSettings(func(s *settings) { s.tls = info })
	return nil
}

// startCompression puts snappy or deflate onto what there is.
func (c *client) startCompression(u upgrades) {
	in := &unread{c.br.takeAll(), c.in}
	if u.snappy {
		c.in, c.top = compress.NewSnappyReader(in), compress.NewSnappyWriter(c.top)
	} else {
		c.in, c.top = compress.NewDeflateReader(in), compress.NewDeflateWriter(c.top, u.deflateLevel)
	}
	c.changeSettings(func(s *settings) { s.snappy, s.deflate = u.snappy, u.deflate })
}

// lingerClose closes the connection so that the peer can still read what was
// written to it last, and knows that it is the end. Nothing is written any more.
func (c *client) lingerClose() {
	if c.lockWrites() != nil {
		return
	}
	if c.tls != nil {
		_ = c.tls.CloseWrite() // as the peer cannot take another's end for ours; it waits for nothing
	}
	sockets.LingerClose(c.conn)
}

// unread reads what was buffered of a source before the rest of it.
type unread struct {
	buffered []byte
	source   io.Reader
}

func (u *unread) Read(p []byte) (int, error) {
	if len(u.buffered) == 0 {
		return u.source.Read(p)
	}
	n := copy(p, u.buffered)
	if u.buffered = u.buffered[n:]; len(u.buffered) == 0 {
		u.buffered = nil
	}
	return n, nil
}

// A resumedConn is a connection of which something was read already.
type resumedConn struct {
	net.Conn
	in unread
}

func (c *resumedConn) Read(p []byte) (int, error) { return c.in.Read(p) }
