package nsqd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// hostnameTimeout is how long an nsqlookupd waits until it is known whether the
// host name resolves.
const hostnameTimeout = time.Second

// broadcastAddress is the host under which clients reach this node, as /info
// shows it: the one that nsqlookupds were told, if they were.
func (n *NSQD) broadcastAddress() string {
	if told := n.lookups.announced.Load(); told != nil {
		return *told
	}
	return n.opts.BroadcastAddress
}

// broadcastTCPPort is the port that goes with it; 0 for a unix socket.
func (n *NSQD) broadcastTCPPort() int {
	return cmp.Or(n.opts.BroadcastTCPPort, max(0, port(n.RealTCPAddr())))
}

// broadcastHTTPPort is the same for HTTP, also 0 where that is off.
func (n *NSQD) broadcastHTTPPort() int {
	return cmp.Or(n.opts.BroadcastHTTPPort, max(0, port(n.RealHTTPAddr())))
}

// broadcastAddress returns the host to announce over a connection with that
// local address. A host name that nobody can resolve, as in many containers, is
// of no use to clients: then it is the address from which the nsqlookupd is
// reached, unless --broadcast-address was given.
func (c *lookupConn) broadcastAddress(local net.Addr) string {
	p := c.peer
	n := p.name.l.n
	host := n.opts.BroadcastAddress
	why := ""
	if !n.broadcastGiven {
		why = p.name.l.hostnameFault(p.ctx, host)
	}
	if own, ok := n.ownAddress(local); why != "" && ok {
		address := p.name.l.outerAddress(own)
		if own.IsLoopback() {
			c.forLoopback = address
		}
		host = address.String()
	}
	told := n.lookups.announced.Swap(&host) // by any peer
	if host != cmp.Or(p.announced, n.opts.BroadcastAddress) && (told == nil || *told != host) {
		p.logAnnounced(host, why)
	}
	p.announced = host
	return host
}

func (p *lookupPeer) logAnnounced(host, why string) {
	if why == "" {
		p.log.Info(p.prefix() + fmt.Sprintf("clients are told to connect to %s, which resolves now", host))
		return
	}
	p.log.Info(p.prefix() + fmt.Sprintf("clients are told to connect to %s: the host name %q %s; --broadcast-address chooses another",
		host, p.name.l.n.opts.BroadcastAddress, why))
}

// hostnameFault says why clients cannot reach a node by its host name, "" if
// they can.
func (l *lookups) hostnameFault(ctx context.Context, host string) string {
	ctx, cancel := context.WithTimeout(ctx, hostnameTimeout)
	defer cancel()
	ips, err := l.resolve(ctx, "ip", host)
	if err != nil || len(ips) == 0 {
		return "cannot be resolved"
	}
	for _, ip := range ips {
		if !ip.Unmap().IsLoopback() {
			return ""
		}
	}
	return "leads to this machine only"
}

// ownAddress returns the address under which clients reach this node in the
// network of local: where it listens on one address only, that one.
func (n *NSQD) ownAddress(local net.Addr) (netip.Addr, bool) {
	for _, a := range []net.Addr{n.RealTCPAddr(), local} {
		tcp, ok := a.(*net.TCPAddr)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(tcp.IP)
		if ip = ip.Unmap(); ok && !ip.IsUnspecified() {
			return ip, true
		}
	}
	return netip.Addr{}, false
}

// errOuterAddress says that clients on other machines could not use what an
// nsqlookupd on this one was told.
var errOuterAddress = errors.New("it is told another address of this node, by which it is reached from elsewhere")

// outerAddress returns what to announce for an own address. An nsqlookupd on the
// same machine serves clients on others, too, if there is one elsewhere: instead
// of a loopback address it is told the one by which that is reached, over a new
// connection if it is known only now.
func (l *lookups) outerAddress(own netip.Addr) netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.IsLoopback() {
		return cmp.Or(l.outer, own)
	}
	l.outer = own
	for c := range l.conns {
		if l.isToldAnotherLocked(c) {
			c.close(errOuterAddress)
		}
	}
	return own
}

// isToldAnotherLocked reports whether an nsqlookupd was told what outerAddress
// does not return any more.
func (l *lookups) isToldAnotherLocked(c *lookupConn) bool {
	return c.forLoopback.IsValid() && l.outer.IsValid() && c.forLoopback != l.outer
}
