package interop_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A recorder is a proxy in front of an nsqd that notes what clients send.
type recorder struct {
	tb       testing.TB
	listener net.Listener
	target   string
	running  sync.WaitGroup
	ended    context.Context

	mu       sync.Mutex // what follows
	commands []string
	identity []byte // the last body of IDENTIFY
}

// record starts a recorder that ends with the test.
func record(tb testing.TB, target string) *recorder {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	ended, end := context.WithCancel(context.Background())
	p := &recorder{tb: tb, listener: l, target: target, ended: ended}
	p.running.Go(p.serve)
	tb.Cleanup(func() {
		l.Close()
		end()
		p.running.Wait()
	})
	return p
}

func (p *recorder) addr() string { return p.listener.Addr().String() }

func (p *recorder) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.relay(client.(*net.TCPConn)) })
	}
}

// relay connects client with the target until both have ended.
func (p *recorder) relay(client *net.TCPConn) {
	defer client.Close()
	nc, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	server := nc.(*net.TCPConn)
	defer server.Close()
	stop := context.AfterFunc(p.ended, func() {
		client.Close()
		server.Close()
	})
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(client, server)
		client.CloseWrite()
	})
	p.read(io.TeeReader(client, server))
	server.CloseWrite()
	back.Wait()
}

// read notes the commands that arrive.
func (p *recorder) read(from io.Reader) {
	r := bufio.NewReader(from)
	if _, err := io.ReadFull(r, make([]byte, len("  V2"))); err != nil {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\n")
		var body []byte
		switch name, _, _ := strings.Cut(line, " "); name {
		case "IDENTIFY", "AUTH", "PUB", "MPUB", "DPUB":
			var size [4]byte
			if _, err := io.ReadFull(r, size[:]); err != nil {
				return
			}
			body = make([]byte, binary.BigEndian.Uint32(size[:]))
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
		}
		p.note(line, body)
	}
}

var messageID = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

func (p *recorder) note(line string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line = messageID.ReplaceAllString(line, "ID")
	switch {
	case line == "IDENTIFY":
		p.identity = body
	case body != nil:
		line = fmt.Sprintf("%s %q", line, body)
	}
	p.commands = append(p.commands, line)
}

func (p *recorder) noted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

// identify waits for a client and returns what it says in IDENTIFY.
func (p *recorder) identify() []byte {
	p.tb.Helper()
	p.await(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.identity
}

// last returns the last command of the kind, "" if there is none.
func (p *recorder) last(kind string) string {
	all := p.noted()
	for i := len(all) - 1; i >= 0; i-- {
		if strings.HasPrefix(all[i], kind) {
			return all[i]
		}
	}
	return ""
}

// await waits until n commands came.
func (p *recorder) await(n int) {
	p.tb.Helper()
	nsqtest.Eventually(p.tb, fmt.Sprint(n, " commands"), func() bool { return len(p.noted()) >= n })
}

// awaitLast waits until the last RDY is this one.
func (p *recorder) awaitLast(command string) {
	p.tb.Helper()
	kind, _, _ := strings.Cut(command, " ")
	nsqtest.EventuallyWithin(p.tb, 30*time.Second, command, func() bool { return p.last(kind) == command })
}
