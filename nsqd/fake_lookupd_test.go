package nsqd_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// A lookupNet is the network of a bubble: fake nsqlookupds by address, and host
// names. Where nothing is, connections are refused.
type lookupNet struct {
	mu    sync.Mutex
	at    map[string]*fakeLookupd
	hosts map[string][]string
	local net.Addr // of the broker's end; nil for none
	asked map[string]int
	hung  bool // the resolver never answers

	apis    map[string]*nsqtest.PipeListener // HTTP APIs of nsqlookupds, by address
	refusal error                            // what an attempt to connect gets where nothing is; nil for errRefused
}

// startWithLookupds runs a broker in a bubble that is configured with the given
// nsqlookupds, and returns its log, too.
func startWithLookupds(tb testing.TB, ln *lookupNet, opts *nsqd.Options, addresses ...string) (*bubble, *loggingtest.Buffer) {
	tb.Helper()
	if opts == nil {
		opts = nsqtest.Options(tb)
	}
	var log loggingtest.Buffer
	opts.Logger = log.Logger(slog.LevelInfo)
	opts.LookupdTCPAddresses = addresses
	ln.asked = make(map[string]int)
	b := startInBubble(tb, opts, func(n *nsqd.NSQD) {
		n.ReachLookupdsBy(ln.dial, ln.resolve)
		if ln.apis != nil {
			n.AskLookupdsBy(ln.dial)
		}
	})
	tb.Cleanup(func() { // after the broker has stopped
		ln.mu.Lock()
		defer ln.mu.Unlock()
		for _, l := range ln.at {
			l.kill()
		}
	})
	tb.Cleanup(func() { // no nsqlookupd delays a stop
		start := time.Now()
		b.stop()
		if d := time.Since(start); d >= 100*time.Millisecond { // an HTTP request may just be ending
			tb.Errorf("the broker stopped after %s", d)
		}
	})
	synctest.Wait()
	return b, &log
}

var errRefused = errors.New("connection refused")

func (ln *lookupNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ln.mu.Lock()
	l, local, refusal := ln.at[address], ln.local, cmp.Or(ln.refusal, errRefused)
	api := ln.apis[address]
	ln.mu.Unlock()
	if api != nil {
		return api.TryDial(ctx)
	}
	if network != "tcp" || l == nil {
		return nil, refusal
	}
	if l.lost {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	conn, err := l.listener.TryDial(ctx)
	if err != nil {
		return nil, err
	}
	return localConn{conn, cmp.Or(l.local, local)}, nil
}

func (ln *lookupNet) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if ln.hung {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.asked[host]++
	ips, ok := ln.hosts[host]
	if network != "ip" || !ok {
		return nil, errors.New("no such host")
	}
	var addrs []netip.Addr
	for _, ip := range ips {
		addrs = append(addrs, netip.MustParseAddr(ip))
	}
	return addrs, nil
}

// put makes an nsqlookupd listen at an address; nil takes it away.
func (ln *lookupNet) put(address string, l *fakeLookupd) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.at == nil {
		ln.at = make(map[string]*fakeLookupd)
	}
	delete(ln.at, address)
	if l != nil {
		ln.at[address] = l
	}
}

// name makes a host name lead to the given addresses, with none to nothing.
func (ln *lookupNet) name(host string, ips ...string) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.hosts == nil {
		ln.hosts = make(map[string][]string)
	}
	ln.hosts[host] = ips
	if ips == nil {
		delete(ln.hosts, host)
	}
}

// A localConn has another local address.
type localConn struct {
	net.Conn
	local net.Addr
}

func (c localConn) LocalAddr() net.Addr {
	if c.local == nil {
		return c.Conn.LocalAddr()
	}
	return c.local
}

// A fakeLookupd speaks V1 byte by byte as its script says. With none it is a
// good one.
type fakeLookupd struct {
	script   func(s *lookupSession, command string) error // answers one command; an error ends the connection
	mute     bool                                         // never reads
	lost     bool                                         // like a host that is gone: nothing comes back
	identity string                                       // answer to IDENTIFY; "" for one made of name
	name     string
	local    net.Addr // of the broker's end; nil for that of the network
	listener *nsqtest.PipeListener

	ended chan struct{}
	end   sync.Once

	mu       sync.Mutex
	sessions []*lookupSession
	running  sync.WaitGroup
}

// goodIdentity is what a fake called name answers to IDENTIFY.
func goodIdentity(name string) string {
	return fmt.Sprintf(`{"broadcast_address":"%s.example","hostname":%[1]q,"http_port":4161,"tcp_port":4160,"version":"1.3.0"}`, name)
}

// listen serves connections until kill. It must be called in the bubble.
func (l *fakeLookupd) listen() *fakeLookupd {
	l.listener, l.ended = nsqtest.NewPipeListener(), make(chan struct{})
	if l.identity == "" {
		l.identity = goodIdentity(l.name)
	}
	l.running.Go(func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			s := &lookupSession{lookupd: l, conn: conn}
			s.br = bufio.NewReader(io.TeeReader(conn, s))
			l.mu.Lock()
			l.sessions = append(l.sessions, s)
			select {
			case <-l.ended: // and cut, perhaps
				conn.Close()
			default:
			}
			l.mu.Unlock()
			l.running.Go(s.serve)
		}
	})
	return l
}

// kill closes everything and waits.
func (l *fakeLookupd) kill() {
	l.listener.Close()
	l.end.Do(func() { close(l.ended) })
	l.cut()
	l.running.Wait()
}

// cut closes the connections.
func (l *fakeLookupd) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.sessions {
		s.conn.Close()
	}
}

// connections returns how many there have been.
func (l *fakeLookupd) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sessions)
}

// last returns the newest connection.
func (l *fakeLookupd) last(tb testing.TB) *lookupSession {
	tb.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sessions) == 0 {
		tb.Fatal("the broker has not connected")
	}
	return l.sessions[len(l.sessions)-1]
}

// A lookupSession is one connection to a fake.
type lookupSession struct {
	lookupd *fakeLookupd
	conn    net.Conn
	br      *bufio.Reader

	mu       sync.Mutex
	raw      bytes.Buffer // all that came
	taken    int          // of raw, by takeRaw
	commands []string
	done     bool
}

// Write keeps what is read.
func (s *lookupSession) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.raw.Write(p)
}

func (s *lookupSession) serve() {
	defer func() {
		s.conn.Close()
		s.mu.Lock()
		s.done = true
		s.mu.Unlock()
	}()
	if s.lookupd.mute {
		<-s.lookupd.ended
		return
	}
	if _, err := s.br.Discard(len("  V1")); err != nil {
		return
	}
	for {
		command, err := s.read()
		if err == nil {
			s.mu.Lock()
			s.commands = append(s.commands, command)
			s.mu.Unlock()
			err = s.answer(command)
		}
		if err != nil {
			return
		}
	}
}

// read returns a command line, and behind a space the body of IDENTIFY.
func (s *lookupSession) read() (string, error) {
	line, err := s.br.ReadString('\n')
	if line != "IDENTIFY\n" || err != nil {
		return strings.TrimSuffix(line, "\n"), err
	}
	var size [4]byte
	if _, err := io.ReadFull(s.br, size[:]); err != nil {
		return "", err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(s.br, body)
	return "IDENTIFY " + string(body), err
}

func (s *lookupSession) answer(command string) error {
	if s.lookupd.script != nil {
		return s.lookupd.script(s, command)
	}
	return s.answerWell(command)
}

func (s *lookupSession) answerWell(command string) error {
	if strings.HasPrefix(command, "IDENTIFY ") {
		return s.reply(s.lookupd.identity)
	}
	return s.reply("OK")
}

func (s *lookupSession) reply(text string) error {
	_, err := s.conn.Write(response(text))
	return err
}

func response(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}

// takeRaw returns what came since the last call.
func (s *lookupSession) takeRaw() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.raw.String()[s.taken:]
	s.taken = s.raw.Len()
	return text
}

// registered returns what is registered, as nsqlookupd counts it: sorted,
// "topic" or "topic channel".
func (s *lookupSession) registered() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	set := make(map[string]bool)
	if s.done {
		return nil // with the connection
	}
	for _, command := range s.commands {
		verb, name, _ := strings.Cut(command, " ")
		topic, _, _ := strings.Cut(name, " ")
		switch {
		case verb == "REGISTER":
			set[topic], set[name] = true, true
		case verb == "UNREGISTER":
			delete(set, name)
			if name == topic {
				maps.DeleteFunc(set, func(other string, _ bool) bool { return strings.HasPrefix(other, topic+" ") })
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// isDone reports whether the connection is closed.
func (s *lookupSession) isDone() bool {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

func wantLines(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// pass lets time pass in a bubble, and what it brings happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
