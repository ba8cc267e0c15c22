package nsqtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Manner is a way in which a connection is cut.
type Manner int

// How connections are cut. A Cut's Pause is for those that take a while.
const (
	Closed     Manner = iota // both ends are closed
	Reset                    // both ends are reset
	HalfClosed               // the receiver sees the end; what it answers arrives still, for a pause
	Stalled                  // nothing moves any more, for a pause
	Lopsided                 // the receiver sees the end, and the sender does after a pause
	manners
)

func (m Manner) String() string {
	return [...]string{"closed", "reset", "half-closed", "stalled", "lopsided"}[m]
}

// A Cut says when and how a connection ends.
type Cut struct {
	After   int64 // bytes that still arrive, in one direction; no cut below 0
	Answers bool  // counted in what the server sends, not the client
	Manner  Manner
	Pause   time.Duration
}

// NoCut lets a connection end by itself.
var NoCut = Cut{After: -1}

// RandomCut returns a cut anywhere in the first most bytes of a connection, as
// likely in the first 30 as behind them if most is 1,000.
func RandomCut(rnd *rand.Rand, most int64) Cut {
	return Cut{
		After:   int64(math.Exp(rnd.Float64()*math.Log(float64(most)))) - 1,
		Answers: rnd.IntN(2) == 0,
		Manner:  Manner(rnd.IntN(int(manners))),
		Pause:   time.Duration(rnd.Int64N(int64(300 * time.Millisecond))),
	}
}

// A Proxy passes connections on to a server, byte by byte where these are
// counted, and cuts them. It ends with the test.
type Proxy struct {
	Addr string // to connect to

	target  string
	ln      net.Listener
	plan    func() Cut // for the next connection; called by one goroutine
	healed  atomic.Bool
	ctx     context.Context // ends with the proxy
	cancel  context.CancelFunc
	serving sync.WaitGroup
	cuts    [manners]atomic.Int64
}

// NewProxy starts a proxy for the server at target. plan is asked for every
// connection, in the order in which they are made.
func NewProxy(tb testing.TB, target string, plan func() Cut) *Proxy {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: ln.Addr().String(), target: target, ln: ln, plan: plan}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.serving.Go(p.accept)
	tb.Cleanup(p.Close)
	return p
}

// Heal ends cutting: what is passed on from now on arrives.
func (p *Proxy) Heal() { p.healed.Store(true) }

// Close closes the proxy and all connections. It may be called again.
func (p *Proxy) Close() {
	p.ln.Close()
	p.cancel()
	p.serving.Wait()
}

// Cuts returns how many connections were cut.
func (p *Proxy) Cuts() (n int64) {
	for i := range p.cuts {
		n += p.cuts[i].Load()
	}
	return n
}

// String returns how many connections were cut, and how.
func (p *Proxy) String() string {
	var how []string
	for m := range manners {
		how = append(how, fmt.Sprintf("%d %s", p.cuts[m].Load(), m))
	}
	return fmt.Sprintf("%d cuts (%s)", p.Cuts(), strings.Join(how, ", "))
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		cut := p.plan()
		p.serving.Go(func() { p.serve(client.(*net.TCPConn), cut) })
	}
}

func (p *Proxy) serve(client *net.TCPConn, cut Cut) {
	defer client.Close()
	nc, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	server := nc.(*net.TCPConn)
	c := &proxied{proxy: p, cut: cut, frozen: make(chan struct{}), over: make(chan struct{})}
	c.end = sync.OnceFunc(func() {
		close(c.over)
		client.Close()
		server.Close()
	})
	defer c.end()
	defer context.AfterFunc(p.ctx, c.end)()
	var pumps sync.WaitGroup
	pumps.Go(func() { c.pump(server, client, !cut.Answers) })
	pumps.Go(func() { c.pump(client, server, cut.Answers) })
	pumps.Wait()
}

// proxied is one connection.
type proxied struct {
	proxy  *Proxy
	cut    Cut
	frozen chan struct{} // closed when nothing is to move any more
	over   chan struct{} // closed when both ends are
	end    func()        // closes both, once
}

// pump passes on what comes from src, and makes the cut if that counts what
// comes from there.
func (c *proxied) pump(dst, src *net.TCPConn, counted bool) {
	buf := make([]byte, 16<<10)
	left := c.cut.After
	for {
		counted = counted && left >= 0 && !c.proxy.healed.Load()
		room := buf
		if counted {
			if left == 0 {
				c.perform(dst, src)
				return
			}
			room = buf[:min(left, int64(len(buf)))]
		}
		n, err := src.Read(room)
		left -= int64(n)
		select {
		case <-c.frozen:
			<-c.over
			return
		default:
		}
		if _, failed := dst.Write(room[:n]); failed != nil {
			c.end()
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			dst.CloseWrite()
			return
		case err != nil:
			c.end()
			return
		}
	}
}

// perform cuts the connection after dst has got the last byte.
func (c *proxied) perform(dst, src *net.TCPConn) {
	c.proxy.cuts[c.cut.Manner].Add(1)
	switch c.cut.Manner {
	case Reset:
		dst.SetLinger(0)
		src.SetLinger(0)
	case HalfClosed:
		dst.CloseWrite()
		c.pause()
	case Stalled:
		close(c.frozen)
		c.pause()
	case Lopsided:
		close(c.frozen)
		dst.Close()
		c.pause()
	}
	c.end()
}

func (c *proxied) pause() {
	timer := time.NewTimer(c.cut.Pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.over:
	}
}
