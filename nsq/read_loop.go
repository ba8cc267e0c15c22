package nsq

import (
	"io"

	"github.com/seed893f581e/nsq/internal/wire"
)

// readLoop reads frames and hands them to h until the connection ends.
func (c *nsqdConn) readLoop(h frameHandler) error {
	err := c.readFrames(h)
	_ = h.onPause() // the connection has ended for another reason
	return err
}

func (c *nsqdConn) readFrames(h frameHandler) error {
	limit := 0
	if c.cfg.MaxMsgSize > 0 {
		limit = max(1, int(c.cfg.MaxMsgSize)-wire.SizeLen) // less the frame type
	}
	for {
		if err := c.pauseUnless(wire.FrameHeaderLen, h); err != nil {
			return err
		}
		t, n, err := wire.ReadFrameHeader(c.br, limit)
		if err == nil {
			err = c.pauseUnless(n, h)
		}
		if err == nil {
			err = c.readFrame(t, n, h)
		}
		if err != nil {
			return err
		}
	}
}

// pauseUnless tells h that the connection waits, unless n bytes are there.
func (c *nsqdConn) pauseUnless(n int, h frameHandler) error {
	if c.br.Buffered() >= n {
		return nil
	}
	return h.onPause()
}

// readFrame reads n bytes of data and hands them to h.
func (c *nsqdConn) readFrame(t wire.FrameType, n int, h frameHandler) error {
	if t == wire.FrameMessage {
		m, err := c.readMessage(n)
		if err != nil {
			return err
		}
		return h.onMessage(m)
	}
	data, err := c.readData(n)
	switch {
	case err != nil:
		return err
	case t == wire.FrameResponse && string(data) == wire.Heartbeat:
		h.onHeartbeat()
		c.send(wire.AppendNop)
		return nil
	case t == wire.FrameResponse:
		return h.onResponse(data)
	case t == wire.FrameError:
		return h.onError(data)
	}
	return detailed(ErrInvalidResponse, "unexpected frame type %d", t)
}

// readMessage reads n bytes as a message. Before a small one has arrived,
// nothing is allocated for it.
func (c *nsqdConn) readMessage(n int) (*Message, error) {
	size := n - wire.MessageHeaderLen
	if size < 0 {
		return nil, ErrShortMessage
	}
	if size <= maxRoom {
		data, err := c.readData(n)
		if err != nil {
			return nil, err
		}
		m := newMessage(size)
		c.fillHeader(m, data)
		copy(m.Body, data[wire.MessageHeaderLen:])
		return m, nil
	}
	header, err := c.readData(wire.MessageHeaderLen)
	if err != nil {
		return nil, err
	}
	m := new(Message)
	c.fillHeader(m, header)
	m.Body, err = wire.ReadBody(c.br, nil, size)
	return m, err
}

func (c *nsqdConn) fillHeader(m *Message, header []byte) {
	w, _ := wire.ParseMessage(header) // it is long enough
	m.ID, m.Timestamp, m.Attempts, m.NSQDAddress = w.ID, w.Timestamp, w.Attempts, c.addr
}

// readData reads n bytes. They are valid until the next read, as most of the
// time they are still in the buffer.
func (c *nsqdConn) readData(n int) ([]byte, error) {
	if n > c.br.Size() {
		return wire.ReadBody(c.br, nil, n)
	}
	data, err := c.br.Peek(n)
	if err == io.EOF && n > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = c.br.Discard(n) // they stay where they are
	}
	return data, err
}
