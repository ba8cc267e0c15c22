package nsq

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A topic that does not exist yet, and each nsqd that has it later, is consumed as
// soon as nsqlookupd knows of it.
func TestNewProducersAreConsumedAtOnce(t *testing.T) {
	const limit = 100 * time.Millisecond
	var nsqds []string
	for i := range 5 {
		addr := nsqtest.Start(t, nil).TCPAddr()
		if err := newTestProducer(t, addr, nil).Publish("t", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		nsqds = append(nsqds, addr)
	}
	f := startFakeLookupd(t)
	f.set(func(f *fakeLookupd) { f.known = false })
	bodies := make(chan string, 10)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	mustConnect(t, r, f.url)
	eventually(t, "a watch", func() bool { return len(f.asked("/watch")) == 1 })

	var took []time.Duration
	for i := range nsqds {
		start := time.Now()
		f.list(nsqds[:i+1]...)
		if got := receive(t, "the message", bodies); got != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", got, i)
		}
		took = append(took, time.Since(start))
	}
	t.Logf("from being listed to the handler: %v", took)
	// A machine that is busy with other things may be late once.
	slices.Sort(took)
	if took[len(took)/2] > limit {
		t.Errorf("messages came after %v, want less than %v", took, limit)
	}
}

// registrar registers an nsqd with an nsqlookupd, as the nsqd itself would.
type registrar struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

func register(t testing.TB, l *nsqtest.Lookupd, nsqd, topic string) *registrar {
	t.Helper()
	nc, err := net.Dial("tcp", l.TCPAddr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &registrar{t, nc, bufio.NewReader(nc)}
	host, port, _ := net.SplitHostPort(nsqd)
	body := fmt.Sprintf(`{"broadcast_address":"%s","hostname":"h","tcp_port":%s,"http_port":1,"version":"1"}`, host, port)
	c.send(wire.AppendCommand([]byte(wire.MagicV1), []byte("IDENTIFY"), nil, []byte(body)))
	c.send(wire.AppendCommand(nil, []byte("REGISTER"), [][]byte{[]byte(topic)}, nil))
	return c
}

func (c *registrar) send(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
	if answer, err := ReadResponse(c.br, 0); err != nil || strings.HasPrefix(string(answer), "E_") {
		c.t.Fatalf("nsqlookupd: %q, %v", answer, err)
	}
}

// The same with two nsqlookupds as they are, one of which knows each nsqd.
func TestRealLookupds(t *testing.T) {
	lookupds := []*nsqtest.Lookupd{nsqtest.StartLookupd(t, nil), nsqtest.StartLookupd(t, nil)}
	nsqds := []*nsqtest.NSQD{nsqtest.Start(t, nil), nsqtest.Start(t, nil)}
	bodies := make(chan string, 10)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	mustConnect(t, r, lookupds[0].HTTPAddr(), lookupds[1].HTTPURL())

	var registered []*registrar
	for i, d := range nsqds {
		if err := newTestProducer(t, d.TCPAddr(), nil).Publish("t", []byte(d.TCPAddr())); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		registered = append(registered, register(t, lookupds[i], d.TCPAddr(), "t"))
		if got := receive(t, "the message", bodies); got != d.TCPAddr() {
			t.Errorf("got %q, want %q", got, d.TCPAddr())
		}
		t.Logf("from REGISTER to the handler: %v", time.Since(start))
	}

	// An nsqlookupd that restarts has an empty list at first.
	lookupds[1].Restart()
	start := time.Now()
	eventually(t, "the restarted nsqlookupd is asked", func() bool {
		u, _ := r.union()
		return slices.Equal(u.addrs, []string{nsqds[0].TCPAddr()})
	})
	if n := r.Stats().Connections; n != 2 {
		t.Errorf("%d connections after the restart", n)
	}
	register(t, lookupds[1], nsqds[1].TCPAddr(), "t")
	eventually(t, "all are listed again", func() bool { u, _ := r.union(); return len(u.addrs) == 2 })
	t.Logf("heard from the restarted nsqlookupd after %v", time.Since(start))

	registered[0].nc.Close()
	nsqds[0].Stop()
	eventually(t, "an nsqd that is gone is given up", func() bool { return !r.wants(nsqds[0].TCPAddr()) })
	if n := r.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
}
