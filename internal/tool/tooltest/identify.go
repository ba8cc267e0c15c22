package tooltest

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// Identify runs a tool against a broker that hangs up, and returns what the
// tool said of itself in IDENTIFY.
func Identify(tb testing.TB, name string, args ...string) map[string]any {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	p := Start(tb, name, append(args, "--nsqd-tcp-address="+l.Addr().String())...)
	nc, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(receiveTimeout)); err != nil {
		tb.Fatal(err)
	}
	head := make([]byte, len(wire.MagicV2+"IDENTIFY\n")+4)
	if _, err := io.ReadFull(nc, head); err != nil {
		tb.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:]))
	if _, err := io.ReadFull(nc, body); err != nil {
		tb.Fatal(err)
	}
	nc.Close()
	if r := p.End(); r.Code != 1 {
		tb.Errorf("%s %q: exit code %d, want 1, stderr:\n%s", name, args, r.Code, r.Stderr)
	}
	var said map[string]any
	if err := json.Unmarshal(body, &said); err != nil {
		tb.Fatalf("%q: %v", body, err)
	}
	return said
}
