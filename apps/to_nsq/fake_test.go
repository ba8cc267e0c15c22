package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// answer is what a fake nsqd says to a PUB or MPUB: OK, or an error.
type answer string

const hangUp answer = ""

// fakeNSQD takes any number of connections. It answers a PUB or MPUB when, and
// how, the test says.
type fakeNSQD struct {
	t         *testing.T
	addr      string
	published chan []string // the bodies of each PUB or MPUB; closed by stop
	answers   chan answer
	stop      func() // waits until all clients have gone, and answers none; it may be called again
}

func startFake(t *testing.T) *fakeNSQD {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeNSQD{
		t:         t,
		addr:      l.Addr().String(),
		published: make(chan []string, 1000),
		answers:   make(chan answer),
	}
	stopped := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				f.serve(nc, stopped)
			})
		}
	})
	f.stop = sync.OnceFunc(func() {
		l.Close()
		close(stopped)
		all.Wait()
		close(f.published)
	})
	t.Cleanup(f.stop)
	return f
}

// serve plays nsqd until the client has gone.
func (f *fakeNSQD) serve(nc net.Conn, stopped <-chan struct{}) {
	br := bufio.NewReader(nc)
	if _, err := io.ReadFull(br, make([]byte, len(wire.MagicV2))); err != nil {
		return
	}
	for {
		command, body, err := readCommand(br)
		if err != nil {
			return
		}
		reply := answer(wire.OK)
		switch command {
		case "NOP":
			continue
		case "PUB":
			f.published <- []string{string(body)}
		case "MPUB":
			f.published <- split(body)
		}
		if strings.HasSuffix(command, "PUB") {
			select {
			case reply = <-f.answers:
			case <-stopped:
				return
			}
		}
		frameType := wire.FrameResponse
		switch {
		case reply == hangUp:
			return
		case reply != wire.OK:
			frameType = wire.FrameError
		}
		if _, err := nc.Write(wire.AppendFrame(nil, frameType, string(reply))); err != nil {
			return
		}
	}
}

// readCommand reads a command and its body, which all but NOP have.
func readCommand(br *bufio.Reader) (name string, body []byte, err error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	name, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	if name == "NOP" {
		return name, nil, nil
	}
	size, err := wire.ReadSize(br)
	if err != nil {
		return "", nil, err
	}
	body, err = wire.ReadBody(br, nil, int(size))
	return name, body, err
}

// split returns the bodies in that of an MPUB.
func split(batch []byte) []string {
	var bodies []string
	for batch = batch[4:]; len(batch) > 0; {
		size := binary.BigEndian.Uint32(batch)
		bodies = append(bodies, string(batch[4:4+size]))
		batch = batch[4+size:]
	}
	return bodies
}

// expect waits for a PUB or MPUB.
func (f *fakeNSQD) expect(want ...string) {
	f.t.Helper()
	select {
	case got := <-f.published:
		if !slices.Equal(got, want) {
			f.t.Fatalf("published %q, want %q", got, want)
		}
	case <-time.After(patience):
		f.t.Fatalf("nothing was published, want %q", want)
	}
}
