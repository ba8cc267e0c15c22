package nsqd_test

import (
	"errors"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What a client may cost that begins something and stalls.
const (
	mostMemory  = 32 << 10
	mostLatency = 10 * time.Millisecond
	longestStop = 5 * time.Second
)

// stalls are the beginnings after which a client sends nothing more.
var stalls = []struct {
	name string
	sent string
	addr func(*childBroker) net.Addr
}{
	{"nothing", "", overTCP},
	{"half the magic", "  ", overTCP},
	{"the magic", "  V2", overTCP},
	{"half a line", "  V2PUB stal", overTCP},
	{"a line of almost 16 KiB", "  V2PUB " + strings.Repeat("x", wire.MaxLineLen-100), overTCP},
	{"PUB with half its body", "  V2PUB stalled\n\x00\x00\x04\x00" + strings.Repeat("x", 512), overTCP},
	{"PUB of 1 MiB", "  V2PUB stalled\n\x00\x10\x00\x00x", overTCP},
	{"DPUB of 1 MiB", "  V2DPUB stalled 100\n\x00\x10\x00\x00x", overTCP},
	{"MPUB of 5 MiB", "  V2MPUB stalled\n\x00\x50\x00\x00\x00\x0f\xff\xff\x00\x00\x00\x01x", overTCP},
	{"IDENTIFY of 5 MiB", "  V2IDENTIFY\n\x00\x50\x00\x00{\"client_id\":\"x", overTCP},
	{"HTTP, half a header", "POST /pub?topic=stalled HTTP/1.1\r\nHost: nsqd\r\nContent-Le", overHTTP},
	{"HTTP, half a body", "POST /pub?topic=stalled HTTP/1.1\r\nHost: nsqd\r\nContent-Length: 1000000\r\n\r\nhalf", overHTTP},
	{"HTTP, a chunk of 5 MB", "POST /mpub?topic=stalled HTTP/1.1\r\nHost: nsqd\r\nTransfer-Encoding: chunked\r\n\r\n4fffff\r\nhalf", overHTTP},
	{"HTTPS, half a handshake", "\x16\x03\x01\x02\x00\x01", overHTTPS},
	{"TCP, half a TLS handshake", string(wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"feature_negotiation":true,"tls_v1":true}`))) + "\x16\x03\x01\x02\x00\x01", overTCP},
	{"snappy, half a chunk", string(wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"feature_negotiation":true,"snappy":true}`))) + "\xff\x06\x00\x00sNaPpY\x00\xff", overTCP},
	{deflateStall, string(wire.AppendIdentify([]byte(wire.MagicV2), []byte(`{"feature_negotiation":true,"deflate":true}`))) + "\xf2", overTCP},
}

// Deflate needs a window of 32 KiB and tables, whatever has come.
const deflateStall = "deflate, half a block"

func overTCP(b *childBroker) net.Addr   { return b.tcp }
func overHTTP(b *childBroker) net.Addr  { return b.http }
func overHTTPS(b *childBroker) net.Addr { return b.https }

// 2,000 connections begin something and stall: others hardly notice, each
// costs little memory, and none of them holds up a stop.
func TestStalledConnections(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	const connections = 2000
	b := startChildBroker(t, 10_000)
	healthy := newPair(b)
	before := healthy.p99()

	last := b.state()
	first := last
	began := time.Now()
	for i, s := range stalls {
		n := connections*(i+1)/len(stalls) - connections*i/len(stalls)
		for range n {
			connect(t, s.addr(b)).send([]byte(s.sent))
		}
		var now childState
		nsqtest.Eventually(t, "each connection has its goroutine", func() bool {
			healthy.send()
			now = b.state()
			return now.Goroutines >= last.Goroutines+n
		})
		each := (now.Memory - last.Memory) / int64(n)
		t.Logf("%-25s %6d bytes for each of %d connections", s.name, each, n)
		most := int64(mostMemory)
		if s.name == deflateStall {
			most *= 3
		}
		if each > most && !nsqtest.RaceEnabled { // whose stacks are larger
			t.Errorf("%s: %d bytes for each connection, want at most %d", s.name, each, most)
		}
		last = now
	}
	t.Logf("%d connections after %v: %d bytes each, %d goroutines", connections, time.Since(began), (last.Memory-first.Memory)/connections, last.Goroutines)

	after := healthy.p99()
	t.Logf("p99 from PUB to the consumer: %v before, %v beside the stalled connections", before, after)
	if after-before > mostLatency {
		t.Errorf("p99 grew from %v to %v", before, after)
	}

	for range 20 {
		deaf := b.dial() // does not read what it asked for
		deaf.consume("deaf", "c", 2500)
		deaf.send(wire.AppendMPub(nil, "deaf", byteSlices(slices.Repeat([]string{strings.Repeat("x", 100_000)}, 40))))
		half := b.dial() // will not send more, but listens
		half.send([]byte("PUB t\n\x00\x00\x00\x05half"))
		half.conn.(interface{ CloseWrite() error }).CloseWrite()
	}
	if took := b.stop(); took > longestStop {
		t.Errorf("the stop took %v", took)
	} else {
		t.Logf("the stop took %v", took)
	}
}

// A pair is a publisher and a consumer that are well behaved.
type pair struct {
	publisher, consumer *rawClient
}

func newPair(b *childBroker) *pair {
	p := &pair{b.dial(), b.dial()}
	p.consumer.consume("healthy", "c", 1)
	return p
}

// send has a message go through and returns how long it took.
func (p *pair) send() time.Duration {
	start := time.Now()
	p.publisher.send(wire.AppendPub(nil, "healthy", []byte("m")))
	m := p.consumer.message()
	took := time.Since(start)
	p.publisher.want(ok)
	p.consumer.fin(m)
	return took
}

// p99 is the least of several rounds, as others use the machine, too: what the
// broker is slow at shows in every one.
func (p *pair) p99() time.Duration {
	least := time.Hour
	for range 5 {
		took := make([]time.Duration, 400)
		for i := range took {
			took[i] = p.send()
		}
		slices.Sort(took)
		least = min(least, took[len(took)*99/100])
	}
	return least
}

// Beyond --max-connections clients wait until one goes; HTTP has its share.
func TestMaxConnections(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MaxConnections = 8 // one of them for HTTP alone
	n := nsqtest.Start(t, opts)
	served := make([]*rawClient, 7)
	for i := range served {
		served[i] = dialRaw(t, n)
		served[i].pub("t", "m")
	}
	waiting := dialRaw(t, n)
	waiting.send(wire.AppendPub(nil, "t", []byte("m")))
	api := newAPI(t, n)
	defer api.client.CloseIdleConnections()
	api.want(http.StatusOK, "OK", "GET", "/ping", "")
	if f, err := waiting.tryFrame(100 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one connection too many was answered %v, %v", f, err)
	}
	served[3].close()
	waiting.want(ok)
	for range 20 { // which wait, and do not hold up the stop
		dialRaw(t, n).send([]byte("PUB t\n"))
	}
	start := time.Now()
	n.Stop()
	if took := time.Since(start); took > longestStop {
		t.Errorf("the stop took %v", took)
	}
}
