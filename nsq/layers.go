package nsq

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/seed893f581e/nsq/internal/compress"
	"github.com/seed893f581e/nsq/internal/wire"
)

// writeStep is how much is written under one deadline.
const writeStep = 64 << 10

// link is a network connection that has a deadline of its own for every read
// and every step of a write: a slow connection is not a dead one. All layers are
// above it, so that its deadlines hold for what really moves.
type link struct {
	net.Conn
	cfg      *Config
	until    time.Time // of all reads together, if it is not zero; for the reader only
	lastRead time.Time // when the last bytes arrived; for the reader only
}

func (l *link) Read(p []byte) (int, error) {
	deadline := time.Now().Add(l.cfg.ReadTimeout)
	if !l.until.IsZero() && l.until.Before(deadline) {
		deadline = l.until
	}
	if err := l.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := l.Conn.Read(p)
	l.lastRead = time.Now()
	return n, err
}

func (l *link) Write(b []byte) (int, error) {
	written := 0
	for written < len(b) {
		if err := l.SetWriteDeadline(time.Now().Add(l.cfg.WriteTimeout)); err != nil {
			return written, err
		}
		n, err := l.Conn.Write(b[written:min(written+writeStep, len(b))])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// upgrade puts onto the connection what nsqd granted: TLS first, then a
// compression. Each of them says OK for itself. None of them keeps anything back
// of what is written.
func (c *nsqdConn) upgrade() error {
	granted := &c.identity
	switch {
	case c.cfg.TlsV1 && !granted.TLSv1:
		return ErrNoTLS
	case granted.Deflate && granted.Snappy:
		return detailed(ErrInvalidResponse, "nsqd granted both deflate and snappy")
	}
	if granted.TLSv1 {
		if err := c.startTLS(); err != nil {
			return err
		}
	}
	if granted.Deflate {
		return c.put("Deflate", compress.NewDeflateReader(c.rest()), compress.NewDeflateWriter(c.out, c.cfg.DeflateLevel))
	}
	if granted.Snappy {
		return c.put("Snappy", compress.NewSnappyReader(c.rest()), compress.NewSnappyWriter(c.out))
	}
	return nil
}

func (c *nsqdConn) startTLS() error {
	// What has arrived already is for TLS to refuse: as an answer, anybody could
	// have sent it.
	c.tls = tls.Client(&handshakeConn{&c.link, c.rest()}, c.cfg.tlsFor(c.addr))
	if err := c.tls.Handshake(); err != nil {
		return err
	}
	return c.put("TLS", c.tls, c.tls)
}

// handshakeConn is a connection of which something was read already.
type handshakeConn struct {
	*link
	in io.Reader
}

func (c *handshakeConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// put makes in and out the topmost layer and waits for nsqd to confirm it.
func (c *nsqdConn) put(layer string, in io.Reader, out io.Writer) error {
	c.in, c.out = in, out
	c.br.Reset(in)
	data, err := c.readAnswer()
	if refused := (ErrProtocol{}); errors.As(err, &refused) || err == nil && string(data) != wire.OK {
		return detailed(errors.Join(ErrInvalidResponse, err), "invalid response from %s upgrade", layer)
	}
	return err
}

// rest is what the next layer reads: nsqd may have begun it already, and then
// its first bytes were read together with the answer before.
func (c *nsqdConn) rest() io.Reader {
	buffered, _ := c.br.Peek(c.br.Buffered())
	if len(buffered) == 0 {
		return c.in
	}
	return io.MultiReader(bytes.NewReader(bytes.Clone(buffered)), c.in)
}

// tlsFor returns how to do TLS with the nsqd at addr.
func (c *Config) tlsFor(addr string) *tls.Config {
	t := c.cloneTLS()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(addr) // addr was dialed
	}
	return t
}
