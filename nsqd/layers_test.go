package nsqd_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

const askTLS = `{"feature_negotiation":true,"tls_v1":true}`

// certifiedOptions are those of a broker with a certificate.
func certifiedOptions(tb testing.TB) *nsqd.Options {
	opts := nsqtest.Options(tb)
	withCertificate(tb, opts)
	return opts
}

// identifyFor sends IDENTIFY and returns the answer.
func identifyFor(c *rawClient, request string) frame {
	c.tb.Helper()
	c.send(wire.AppendIdentify(nil, []byte(request)))
	return c.next()
}

// A handshake has five seconds, however little by little it comes.
func TestStalledHandshakeIsCut(t *testing.T) {
	for name, trickle := range map[string]string{
		"nothing comes":   "",
		"a byte a second": "\x16\x03\x01\x10\x00\x01\x00\x0f\xfc\x03\x03",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, certifiedOptions(t))
			c := b.dial()
			identifyFor(c, askTLS)
			start := time.Now()
			var sending sync.WaitGroup
			defer sending.Wait()
			sending.Go(func() {
				for i := range trickle {
					if c.trySend([]byte(trickle[i:i+1])) != nil {
						return
					}
					<-time.After(time.Second)
				}
			})
			f := c.next()
			wantDue(t, name+": the error came", start, 5*time.Second)
			if f.kind != wire.FrameError || !strings.HasPrefix(f.data, "E_IDENTIFY_FAILED IDENTIFY failed ") || !strings.HasSuffix(f.data, "i/o timeout") {
				t.Errorf("%s: got %v", name, f)
			}
			c.wantClosed()
		})
	}
}

// No heartbeat comes between the answer to IDENTIFY and the handshake.
func TestHeartbeatWaitsForTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, certifiedOptions(t))
		c := b.dial()
		identifyFor(c, `{"feature_negotiation":true,"tls_v1":true,"snappy":true,"heartbeat_interval":1000}`)
		<-time.After(3500 * time.Millisecond)
		for _, layer := range []string{"tls", "snappy"} {
			if err := c.upgrade(layer); err != nil {
				t.Fatal(err)
			}
			if f, err := c.tryFrame(time.Minute); f != ok {
				t.Fatalf("the first frame in %s is %v, %v", layer, f, err)
			}
		}
		for range 3 {
			if f, err := c.tryFrame(time.Minute); f != heartbeat {
				t.Fatalf("got %v, %v, want a heartbeat", f, err)
			}
			c.nop()
		}
	})
}

// A recordingConn notes what is written with each call.
type recordingConn struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
}

func (c *recordingConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, bytes.Clone(b))
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// Some clients change their pipeline between the answer and the first frame in
// the new layer and break when both come in one read.
func TestAnswerAndFirstFrameAreSeparateWrites(t *testing.T) {
	for _, layer := range []string{"snappy", "deflate"} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, nil)
			client, server := net.Pipe()
			recorder := &recordingConn{Conn: server}
			b.listener.Offer(recorder)
			c := newRawClient(t, client, bubblePatience)
			c.send([]byte(wire.MagicV2))
			if err := (way{layers: []string{layer}}).negotiate(c); err != nil {
				t.Fatal(err)
			}
			recorder.mu.Lock()
			defer recorder.mu.Unlock()
			if len(recorder.writes) != 2 {
				t.Fatalf("%s: %d writes, want 2", layer, len(recorder.writes))
			}
			if _, _, rest, err := wire.ParseFrame(recorder.writes[0], 0); err != nil || len(rest) > 0 {
				t.Errorf("%s: the first write has %d bytes behind its frame, %v", layer, len(rest), err)
			}
		})
	}
}

// A helloFirst is a client's connection whose ClientHello goes out in one write
// with the IDENTIFY that asks for TLS; the answer is left out of what is read.
type helloFirst struct {
	net.Conn
	identify []byte // nil when sent
}

func (c *helloFirst) Write(b []byte) (int, error) {
	if c.identify == nil {
		return c.Conn.Write(b)
	}
	_, err := c.Conn.Write(append(c.identify, b...))
	if c.identify = nil; err != nil {
		return 0, err
	}
	_, _, err = wire.ReadFrame(c.Conn, nil, 0)
	return len(b), err
}

func TestHandshakeBehindIdentifyInOnePacket(t *testing.T) {
	n := nsqtest.Start(t, certifiedOptions(t))
	c := dialRaw(t, n)
	conn := tls.Client(&helloFirst{c.conn, wire.AppendIdentify(nil, []byte(askTLS))}, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	c.br.Reset(conn)
	c.want(ok)
	c.sync()
}

// The peer of a TLS connection can tell the broker's end from one that
// somebody on the way made, and reads the error before it.
func TestFatalErrorInTLSEndsWithANotice(t *testing.T) {
	n := nsqtest.Start(t, certifiedOptions(t))
	c := way{layers: []string{"tls"}}.dial(t, n.RealTCPAddr())
	c.send(append([]byte("PUB t\n\x7f\xff\xff\xff"), make([]byte, 100<<10)...))
	c.wantError("E_BAD_MESSAGE PUB message too big 2147483647 > 1048576")
	if _, err := c.conn.(*layeredConn).Conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after the error came %v, want the notice of the end", err)
	}
}

func TestClientCertificatePolicies(t *testing.T) {
	ca := certstest.NewCA(t)
	roots, _ := ca.Write(t, t.TempDir(), "ca")
	self, right := certstest.SelfSigned(t), ca.Issue(t)
	for _, policy := range []struct {
		name              string
		none, self, right bool
	}{
		{"", true, true, true},
		{"require", false, true, true},
		{"require-verify", false, false, true},
	} {
		opts := certifiedOptions(t)
		opts.TLSClientAuthPolicy, opts.TLSRootCAFile = policy.name, roots
		n := nsqtest.Start(t, opts)
		for name, client := range map[string]struct {
			certificate *tls.Certificate
			accepted    bool
		}{
			"none":        {nil, policy.none},
			"self-signed": {&self.Certificate, policy.self},
			"right":       {&right.Certificate, policy.right},
		} {
			c := dialRaw(t, n)
			identifyFor(c, askTLS)
			config := &tls.Config{InsecureSkipVerify: true}
			if client.certificate != nil { // is sent whatever the server would like
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client.certificate, nil }
			}
			err := c.startTLS(config)
			var f frame
			if err == nil {
				f, err = c.tryNext()
			}
			if accepted := err == nil && f == ok; accepted != client.accepted {
				t.Errorf("policy %q, certificate %s: %v, %v", policy.name, name, f, err)
			}
			c.close()
		}
		c := dialRaw(t, n)
		c.send(wire.AppendPub(nil, "t", []byte("in clear")))
		if f := c.next(); (f == ok) != (policy.name == "") {
			t.Errorf("policy %q: publishing in clear is answered with %v", policy.name, f)
		}
	}
}

func TestLeastVersion(t *testing.T) {
	opts := certifiedOptions(t)
	opts.TLSMinVersion = tls.VersionTLS13
	n := nsqtest.Start(t, opts)
	for version, accepted := range map[uint16]bool{tls.VersionTLS12: false, tls.VersionTLS13: true} {
		c := dialRaw(t, n)
		identifyFor(c, askTLS)
		err := c.startTLS(&tls.Config{InsecureSkipVerify: true, MaxVersion: version})
		if (err == nil) != accepted {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// servedName is the name in the certificate that a new connection sees.
func servedName(tb testing.TB, n *nsqtest.NSQD) string {
	tb.Helper()
	c := way{layers: []string{"tls"}}.dial(tb, n.RealTCPAddr())
	defer c.close()
	return c.conn.(*layeredConn).Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestNewCertificatesAreForNewConnections(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) (cert, key string) {
		return certstest.SelfSigned(t, certstest.Named(name)).Write(t, dir, "server")
	}
	opts := nsqtest.Options(t)
	opts.TLSCert, opts.TLSKey = write("first")
	n := nsqtest.Start(t, opts)
	old := way{layers: []string{"tls"}}.dial(t, n.RealTCPAddr())

	write("second")
	if err := n.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := servedName(t, n); got != "second" {
		t.Errorf("after Reload a connection sees %q", got)
	}
	if err := os.WriteFile(opts.TLSKey, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.Reload(); err == nil || !strings.Contains(err.Error(), opts.TLSKey) {
		t.Errorf("Reload of a broken key says %v, want it to name %s", err, opts.TLSKey)
	}
	if got := servedName(t, n); got != "second" {
		t.Errorf("with a broken key a connection sees %q", got)
	}
	write("third")
	nsqtest.Eventually(t, "a changed file is in force", func() bool { return servedName(t, n) == "third" })
	old.sync()
}

// Messages of all sizes go through every layer in both directions, while
// heartbeats and answers do as well.
func TestLargeMessagesInEveryLayer(t *testing.T) {
	const consumers, producers, each = 8, 3, 3
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			opts := nsqtest.Options(t)
			w.configure(t, opts)
			n := nsqtest.Start(t, opts)
			var mu sync.Mutex
			seen := make(map[[sha256.Size]byte]int) // 1 when published, 0 when received
			left := producers * each
			done := make(chan struct{})

			var publishing, running sync.WaitGroup
			for range consumers {
				c := w.dial(t, n.RealTCPAddr())
				c.consume("large", "c", 3)
				running.Go(func() {
					for {
						f, err := c.tryNext()
						if err != nil {
							return // closed below
						}
						m, err := wire.ParseMessage([]byte(f.data))
						if err == nil {
							err = c.trySend(wire.AppendFin(nil, m.ID))
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						seen[sha256.Sum256(m.Body)]--
						if left--; left == 0 {
							close(done)
						}
						mu.Unlock()
					}
				})
				defer c.close()
			}
			for p := range producers {
				c := w.dial(t, n.RealTCPAddr())
				publishing.Go(func() {
					defer c.close()
					rng := rand.New(rand.NewPCG(1, uint64(p)))
					for i := range each {
						body := make([]byte, 1+rng.IntN(int(opts.MaxMsgSize)))
						if i == 0 {
							body = make([]byte, opts.MaxMsgSize)
						}
						for at := range body { // half of it can be compressed
							if at%16 < 8 {
								body[at] = byte(rng.Uint32())
							}
						}
						mu.Lock()
						seen[sha256.Sum256(body)]++
						mu.Unlock()
						if err := c.trySend(wire.AppendPub(nil, "large", body)); err != nil {
							t.Error(err)
							return
						}
						if f, err := c.tryNext(); f != ok {
							t.Errorf("PUB is answered with %v, %v", f, err)
							return
						}
					}
				})
			}
			select {
			case <-done:
			case <-time.After(5 * time.Minute):
				t.Error("messages are missing")
			}
			publishing.Wait() // the last OK may come after the last message
			n.Stop()
			running.Wait()
			for _, count := range seen {
				if count != 0 {
					t.Errorf("a body was published and received %d times more or less", count)
				}
			}
		})
	}
}

// What holds for a plain connection holds in the layers: who does not read is
// dropped, and delays a stop by no more than what consumers are given to answer.
func TestConsumerThatDoesNotReadIsDroppedInEveryLayer(t *testing.T) {
	for _, w := range ways {
		if w.unix {
			continue // there is no network in a bubble
		}
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, certifiedOptions(t))
			zombie := b.dial()
			if err := w.negotiate(zombie); err != nil {
				t.Fatal(err)
			}
			zombie.identify(`{"heartbeat_interval":1000}`)
			zombie.consume("t", "c", 10)
			b.wantHeir(w.name)

			stalled := b.dial()
			if err := w.negotiate(stalled); err != nil {
				t.Fatal(err)
			}
			stalled.consume("t2", "c", 10)
			b.dial().mpub("t2", bodies("m", 3)...)
			refused := b.dial()
			if err := w.negotiate(refused); err != nil {
				t.Fatal(err)
			}
			refused.send([]byte("WHAT\n")) // and does not read the answer
			handshaking := b.dial()
			identifyFor(handshaking, askTLS)
			synctest.Wait()
			start := time.Now()
			b.stop()
			wantDue(t, w.name+": the broker stopped", start, 500*time.Millisecond)
		})
	}
}

func TestStatisticsShowTheLayers(t *testing.T) {
	n := nsqtest.Start(t, certifiedOptions(t))
	for _, w := range ways {
		if w.unix {
			continue
		}
		c := w.dial(t, n.RealTCPAddr())
		c.pub("from-"+strings.ReplaceAll(w.name, "+", "-"), "x")
		resp, err := http.Get(n.HTTPURL() + "/stats?format=json&topic=from-" + strings.ReplaceAll(w.name, "+", "-"))
		if err != nil {
			t.Fatal(err)
		}
		var snapshot stats.Stats
		err = errors.Join(json.NewDecoder(resp.Body).Decode(&snapshot), resp.Body.Close())
		if err != nil || len(snapshot.Producers) != 1 {
			t.Fatalf("%s: %d producers, %v", w.name, len(snapshot.Producers), err)
		}
		p := snapshot.Producers[0]
		want := stats.Client{}
		for _, layer := range w.layers {
			switch layer {
			case "tls":
				state := layeredState(c.conn)
				want.TLS, want.TLSVersion, want.TLSCipherSuite, want.TLSProtocolIsSet = true, "TLS1.3", tls.CipherSuiteName(state.CipherSuite), true
			case "snappy":
				want.Snappy = true
			case "deflate":
				want.Deflate = true
			}
		}
		got := stats.Client{
			TLS: p.TLS, TLSVersion: p.TLSVersion, TLSCipherSuite: p.TLSCipherSuite, TLSProtocol: p.TLSProtocol, TLSProtocolIsSet: p.TLSProtocolIsSet,
			Snappy: p.Snappy, Deflate: p.Deflate,
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: statistics show %+v, want %+v", w.name, got, want)
		}
		c.close()
	}
}

// layeredState returns what TLS has negotiated somewhere below conn.
func layeredState(conn net.Conn) tls.ConnectionState {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			return c.ConnectionState()
		case *layeredConn:
			conn = c.Conn
		default:
			return tls.ConnectionState{}
		}
	}
}

// An encoder of deflate takes a megabyte: idle connections share them.
func TestIdleCompressedConnectionsHoldLittle(t *testing.T) {
	const connections, limit = 100, 96 << 10
	for _, layer := range []string{"snappy", "deflate"} {
		n := nsqtest.Start(t, nil)
		first, err := compressed(layer, wire.AppendPub(nil, "t", bytes.Repeat([]byte("x"), 1000)))
		if err != nil {
			t.Fatal(err)
		}
		before := heap()
		for range connections {
			c := dialRaw(t, n)
			identifyFor(c, fmt.Sprintf(`{"feature_negotiation":true,%q:true}`, layer))
			c.send(first)
			// what is answered is not unpacked: the client's memory would be counted, too
		}
		nsqtest.Eventually(t, "all are served", func() bool {
			counts, _ := n.TopicCounts("t")
			return counts.Depth == connections
		})
		each := (int64(heap()) - int64(before)) / connections
		t.Logf("%s: %d bytes for each connection", layer, each)
		if each > limit {
			t.Errorf("%s: an idle connection holds %d bytes, want at most %d", layer, each, limit)
		}
	}
}
