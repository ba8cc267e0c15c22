package clustertest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	fleetNodes  = 1000
	fleetTopics = 1000 // of each node, with a channel
	fleetBatch  = 250  // commands that a node sends at once
)

// registrar is a connection to an nsqlookupd, as an nsqd has it.
type registrar struct {
	conn net.Conn
	br   *bufio.Reader
	buf  [512]byte
}

func identify(address string, node int) (*registrar, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	r := &registrar{conn: conn, br: bufio.NewReader(conn)}
	body := fmt.Appendf(nil, `{"broadcast_address":"node%d.example","hostname":"node%d","http_port":4151,"tcp_port":4150,"version":"1.4.0"}`, node, node)
	return r, r.do(wire.AppendIdentify([]byte(wire.MagicV1), body), 1)
}

// do sends commands and waits for their replies.
func (r *registrar) do(commands []byte, n int) error {
	if _, err := r.conn.Write(commands); err != nil {
		return err
	}
	for range n {
		reply, err := wire.ReadResponse(r.br, r.buf[:], len(r.buf))
		if err != nil {
			return err
		}
		if len(reply) > 1 && reply[0] == 'E' {
			return fmt.Errorf("refused: %s", reply)
		}
	}
	return nil
}

func (r *registrar) registerFleetTopics() error {
	var batch []byte
	for i := range fleetTopics {
		batch = wire.AppendRegister(batch, fmt.Sprint("topic-of-a-usual-length-", i), "channel")
		if (i+1)%fleetBatch == 0 {
			if err := r.do(batch, fleetBatch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// BenchmarkFleet has 1,000 nodes register 1,000 topics each, with a channel, with
// an nsqlookupd that is a process of its own, and then asks that for all of them
// again and again. It reports how long the fleet takes, and how long a
// registration of another node takes meanwhile, from command to reply.
func BenchmarkFleet(b *testing.B) {
	for b.Loop() {
		tcpAddress, httpAddress := startQuietLookupd(b)
		begin := time.Now()
		fleet := registerFleet(b, tcpAddress)
		b.ReportMetric(time.Since(begin).Seconds(), "s/fleet")
		for _, path := range []string{"/lookup?topic=topic-of-a-usual-length-1", "/topics", "/nodes", "/debug"} {
			report(b, path, probe(b, tcpAddress, func() error { return list(b.Context(), "http://"+httpAddress+path) }))
		}
		for _, r := range fleet {
			r.conn.Close()
		}
	}
}

// startQuietLookupd starts an nsqlookupd that does not log a line for each of a
// million registrations, and so not where it listens.
func startQuietLookupd(b *testing.B) (tcpAddress, httpAddress string) {
	tcpAddress, httpAddress = nsqtest.ClosedPort(b), nsqtest.ClosedPort(b)
	tooltest.Start(b, "nsqlookupd", "--log-level=warn", "--tcp-address="+tcpAddress, "--http-address="+httpAddress)
	nsqtest.Eventually(b, "nsqlookupd listens", func() bool { return list(b.Context(), "http://"+httpAddress+"/ping") == nil })
	return tcpAddress, httpAddress
}

func registerFleet(b *testing.B, address string) []*registrar {
	fleet := make([]*registrar, fleetNodes)
	errs := make([]error, fleetNodes)
	var registering sync.WaitGroup
	for i := range fleet {
		registering.Go(func() {
			if fleet[i], errs[i] = identify(address, i); errs[i] == nil {
				errs[i] = fleet[i].registerFleetTopics()
			}
		})
	}
	registering.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	return fleet
}

// list reads a whole answer.
func list(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// probeTime is how long the answers of one kind are asked for.
const probeTime = 3 * time.Second

// probe registers one topic after the other while answer is called again and
// again, and returns how long each registration took.
func probe(b *testing.B, address string, answer func() error) (took []time.Duration) {
	r, err := identify(address, fleetNodes)
	if err != nil {
		b.Fatal(err)
	}
	defer r.conn.Close()
	end := time.Now().Add(probeTime)
	var asking sync.WaitGroup
	asking.Go(func() {
		for time.Now().Before(end) {
			if err := answer(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	for i := 0; time.Now().Before(end); i++ {
		command := wire.AppendRegister(nil, fmt.Sprint("another-topic-", i), "channel")
		start := time.Now()
		if err := r.do(command, 1); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	asking.Wait()
	return took
}

func report(b *testing.B, beside string, took []time.Duration) {
	slices.Sort(took)
	b.Logf("%d registrations beside %s: median %s, 99.9 %% at most %s, longest %s", len(took), beside,
		took[len(took)/2].Round(time.Microsecond), took[len(took)*999/1000].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
}
