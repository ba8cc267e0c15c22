package nsqd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	lookupWriteTimeout = time.Second
	lookupReplyTimeout = 5 * time.Second // for each reply; an nsqlookupd on a busy machine may be slow
	lookupPingInterval = 15 * time.Second
	lookupBatchSize    = 16 << 10 // bytes of commands that are written before their replies are waited for
)

var errHTTPPort = errors.New("it speaks HTTP: --lookupd-tcp-address takes the TCP port of an nsqlookupd, by default 4160")

// A lookupConn is one connection to an nsqlookupd. Commands are written by serve
// alone; readReplies, which it starts, takes the replies and notices at once
// when the connection is lost.
type lookupConn struct {
	peer   *lookupPeer
	nc     net.Conn
	br     *bufio.Reader
	ctx    context.Context // ends, and closes the socket, when the connection is lost
	stop   context.CancelCauseFunc
	answer lookupIdentity // to IDENTIFY

	forLoopback netip.Addr // announced in place of a loopback address, or one itself; zero if there was none to announce

	changed changes       // what is to be told; guarded by lookups.mu
	wake    chan struct{} // a token while changed has something, or lookups.hidden has changed
	told    bool          // of all there is, but for what is in changed

	batch    []lookupCommand // not written yet, or not answered
	out      []byte          // their bytes
	answered chan struct{}   // a token when all of a batch is

	mu      sync.Mutex      // pending, and that the deadline for reading follows it
	pending []lookupCommand // those without a reply
}

// nodeIdentity is what this node tells of itself. Its keys are sorted.
type nodeIdentity struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	HTTPPort         int    `json:"http_port"`
	TCPPort          int    `json:"tcp_port"`
	TopologyRegion   string `json:"topology_region"`
	TopologyZone     string `json:"topology_zone"`
	Version          string `json:"version"`
}

// lookupIdentity is what an nsqlookupd tells of itself.
type lookupIdentity struct {
	BroadcastAddress string `json:"broadcast_address"`
	Hostname         string `json:"hostname"`
	HTTPPort         int    `json:"http_port"`
	TCPPort          int    `json:"tcp_port"`
	Version          string `json:"version"`
}

// httpAddress returns host:port of the HTTP API, "" where that is not known.
func (i *lookupIdentity) httpAddress() string {
	if i.BroadcastAddress == "" || i.HTTPPort <= 0 || i.HTTPPort > 65535 {
		return ""
	}
	return net.JoinHostPort(i.BroadcastAddress, strconv.Itoa(i.HTTPPort))
}

// directHTTPAddress returns where the HTTP API would be at the address that is
// connected.
func (c *lookupConn) directHTTPAddress() string {
	host, _, _ := net.SplitHostPort(c.peer.address) // it was dialed
	return net.JoinHostPort(host, strconv.Itoa(c.answer.HTTPPort))
}

func newLookupConn(p *lookupPeer, nc net.Conn) *lookupConn {
	c := &lookupConn{
		peer:     p,
		nc:       nc,
		br:       bufio.NewReader(nc),
		changed:  make(changes),
		wake:     make(chan struct{}, 1),
		answered: make(chan struct{}, 1),
	}
	c.ctx, c.stop = context.WithCancelCause(p.ctx)
	context.AfterFunc(c.ctx, func() { nc.Close() })
	return c
}

// close ends the connection; the first reason is kept.
func (c *lookupConn) close(reason error) {
	c.stop(reason)
	c.nc.Close()
}

// identify says who this node is. It is the first thing on the connection, and
// waits for the answer.
func (c *lookupConn) identify() error {
	n := c.peer.name.l.n
	body, err := json.Marshal(nodeIdentity{
		BroadcastAddress: c.broadcastAddress(c.nc.LocalAddr()),
		Hostname:         config.Hostname(),
		HTTPPort:         n.broadcastHTTPPort(),
		TCPPort:          n.broadcastTCPPort(),
		TopologyRegion:   n.opts.TopologyRegion,
		TopologyZone:     n.opts.TopologyZone,
		Version:          version.Binary,
	})
	if err != nil {
		return err
	}
	c.nc.SetReadDeadline(time.Now().Add(lookupReplyTimeout))
	if err := c.write(wire.AppendIdentify([]byte(wire.MagicV1), body)); err != nil {
		return err
	}
	if start, _ := c.br.Peek(len("HTTP")); string(start) == "HTTP" {
		return errHTTPPort
	}
	reply, err := c.readReply(nil)
	if err != nil {
		return fmt.Errorf("no answer to IDENTIFY: %w", err)
	}
	if json.Unmarshal(reply, &c.answer) != nil {
		return fmt.Errorf("unusable answer to IDENTIFY: %s", logging.Printable(reply))
	}
	return c.nc.SetReadDeadline(time.Time{})
}

func (c *lookupConn) write(b []byte) error {
	c.nc.SetWriteDeadline(time.Now().Add(lookupWriteTimeout))
	_, err := c.nc.Write(b)
	return err
}

// readReply reads one reply, into buf where that is large enough.
func (c *lookupConn) readReply(buf []byte) ([]byte, error) {
	reply, err := wire.ReadResponse(c.br, buf, int(c.peer.name.l.n.opts.MaxBodySize))
	if errors.Is(err, io.EOF) {
		err = errors.New("closed by the nsqlookupd")
	}
	return reply, err
}

// serve registers everything there is, then every change as soon as it is made,
// until the connection is lost. It returns why, with the socket closed.
func (c *lookupConn) serve() error {
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() { c.close(c.readReplies()) })
	err := c.tell()
	c.close(err)
	return context.Cause(c.ctx)
}

func (c *lookupConn) tell() error {
	if err := c.catchUp(); err != nil {
		return err
	}
	ticker := time.NewTicker(lookupPingInterval)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-c.wake:
			err = c.catchUp()
		case <-ticker.C:
			err = c.send(slices.Values([]lookupCommand{{verb: ping}}))
		case <-c.ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// catchUp tells what is not told yet: everything where there was nothing to tell
// before, that all is gone where there is nothing to tell any more.
func (c *lookupConn) catchUp() error {
	topics, refused := &c.peer.name.l.n.topics, &c.peer.refused
	changed, hidden := c.takeChanged()
	wasTold := c.told
	c.told = !hidden
	switch {
	case !hidden && wasTold:
		return c.send(changed.commands(topics, refused))
	case !hidden:
		return c.send(registrations(topics, refused))
	}
	err := c.send(withdrawals(changed.commands(topics, refused)))
	if err == nil && wasTold {
		err = c.send(unregistrations(topics))
	}
	return err
}

// takeChanged returns what has changed, and whether that is for nobody to know.
func (c *lookupConn) takeChanged() (taken changes, hidden bool) {
	l := c.peer.name.l
	l.mu.Lock()
	defer l.mu.Unlock()
	taken = c.changed
	c.changed = make(changes)
	return taken, l.hidden
}

// send writes commands, as many at once as lookupBatchSize allows, and returns
// when all have a reply.
func (c *lookupConn) send(commands iter.Seq[lookupCommand]) error {
	for command := range commands {
		c.batch = append(c.batch, command)
		c.out = command.appendTo(c.out)
		if len(c.out) >= lookupBatchSize {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return c.flush()
}

// flush writes the batch and waits for its replies, so that no side ever has to
// hold more than a batch for the other.
func (c *lookupConn) flush() error {
	if len(c.batch) == 0 {
		return nil
	}
	c.mu.Lock()
	c.pending = c.batch
	c.nc.SetReadDeadline(time.Now().Add(lookupReplyTimeout))
	c.mu.Unlock()
	if err := c.write(c.out); err != nil {
		return err
	}
	select {
	case <-c.answered:
		c.batch, c.out = c.batch[:0], c.out[:0]
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// readReplies takes one reply after another until the connection is lost.
func (c *lookupConn) readReplies() error {
	buf := make([]byte, 512)
	for {
		reply, err := c.readReply(buf)
		if err != nil {
			return err
		}
		command, ok := c.repliedTo()
		if !ok {
			return fmt.Errorf("a reply to nothing: %s", logging.Printable(reply))
		}
		if err := c.take(command, reply); err != nil {
			return err
		}
	}
}

// repliedTo returns the command that a reply belongs to. Each reply gives the
// next one time; nothing has to come where nothing is waited for.
func (c *lookupConn) repliedTo() (lookupCommand, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		return lookupCommand{}, false
	}
	command := c.pending[0]
	c.pending = c.pending[1:]
	if len(c.pending) > 0 {
		c.nc.SetReadDeadline(time.Now().Add(lookupReplyTimeout))
		return command, true
	}
	c.nc.SetReadDeadline(time.Time{})
	giveToken(c.answered)
	return command, true
}

// take looks at a reply. Only an error says anything, and what is no error is
// as good as OK.
func (c *lookupConn) take(command lookupCommand, reply []byte) error {
	if !bytes.HasPrefix(reply, []byte("E_")) {
		return nil
	}
	err := fmt.Errorf("%s is refused: %s", command, logging.Printable(reply))
	if wire.ParseError(reply).Code == wire.Invalid {
		return err // it does not speak of the name: the nsqlookupd is at a loss where we are
	}
	if c.peer.refused.add(command, time.Now()) {
		c.peer.log.Warn(c.peer.prefix() + err.Error())
	}
	return nil
}
