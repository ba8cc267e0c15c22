//go:build unix

package interop_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/nsqd"
)

const (
	brokerEnv     = "NSQ_INTEROP_BROKER" // data path of the broker that the process is to be
	roundMessages = 100_000
	bodySize      = 100
)

// TestMain makes the process a broker if it was started to be one, so that a
// benchmark measures nothing but the client.
func TestMain(m *testing.M) {
	path := os.Getenv(brokerEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := runBroker(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runBroker runs a broker until stdin ends, and tells its addresses on stdout.
func runBroker(path string) error {
	signal.Ignore(os.Interrupt) // the end of stdin comes after it
	opts := nsqd.NewOptions()
	opts.TCPAddress, opts.HTTPAddress, opts.HTTPSAddress = "127.0.0.1:0", "127.0.0.1:0", ""
	opts.BroadcastAddress = "127.0.0.1"
	opts.DataPath = path
	opts.MemQueueSize = 2 * roundMessages
	n, err := nsqd.New(opts)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Main() }()
	fmt.Println(n.RealTCPAddr(), n.RealHTTPAddr())
	io.Copy(io.Discard, os.Stdin)
	if err := n.Exit(); err != nil {
		return err
	}
	return <-ended
}

// startBroker runs a broker in a process of its own until the benchmark's end.
func startBroker(b *testing.B) (tcpAddr, httpURL string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), brokerEnv+"="+b.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(b, err)
	stdout, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Error("the broker:", err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	must(b, err)
	tcpAddr, httpAddr, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok {
		b.Fatalf("the broker said %q", line)
	}
	return tcpAddr, "http://" + httpAddr
}

// post has the broker do what the path says.
func post(b *testing.B, url string) {
	b.Helper()
	resp, err := http.Post(url, "", nil)
	must(b, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("POST %s: %s", url, resp.Status)
	}
}

// A cost is what this process has used.
type cost struct {
	cpu    time.Duration
	allocs uint64
	bytes  uint64
}

func costNow(b *testing.B) cost {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{
		cpu:    time.Duration(u.Utime.Nano() + u.Stime.Nano()),
		allocs: m.Mallocs,
		bytes:  m.TotalAlloc,
	}
}

// add runs work and adds what it costs.
func (c *cost) add(b *testing.B, work func()) {
	b.Helper()
	runtime.GC() // what the round before left is not this one's
	before := costNow(b)
	work()
	after := costNow(b)
	c.cpu += after.cpu - before.cpu
	c.allocs += after.allocs - before.allocs
	c.bytes += after.bytes - before.bytes
}

// report prints the cost of each of n messages.
func (c *cost) report(b *testing.B, name string, n float64) {
	b.ReportMetric(float64(c.cpu.Nanoseconds())/n, name+"-cpu-ns/msg")
	b.ReportMetric(float64(c.allocs)/n, name+"-allocs/msg")
	b.ReportMetric(float64(c.bytes)/n, name+"-B/msg")
}

// most is the part of go-nsq's CPU time that ours may take.
const most = 0.5

// compare has both libraries take turns in rounds of messages, and prints what
// a message costs with each; ours must take no more than most of the CPU time.
// What prepare does for a round, and cleaning up, is not counted.
func compare(b *testing.B, messages int, prepare func(interop.Library) (work, cleanUp func())) {
	b.Helper()
	var theirs, own cost
	rounds := 0
	turn := func(l interop.Library, c *cost) {
		work, cleanUp := prepare(l)
		c.add(b, work)
		cleanUp()
	}
	for b.Loop() {
		// Whoever is second finds the machine as the first left it.
		if rounds%2 == 0 {
			turn(gonsq.Library{}, &theirs)
			turn(ours.Library{}, &own)
		} else {
			turn(ours.Library{}, &own)
			turn(gonsq.Library{}, &theirs)
		}
		rounds++
	}
	n := float64(rounds * messages)
	theirs.report(b, "go-nsq", n)
	own.report(b, "ours", n)
	ratio := float64(own.cpu) / float64(theirs.cpu)
	b.ReportMetric(ratio, "cpu-ratio")
	b.ReportMetric(0, "ns/op") // of both together says nothing
	if ratio > most {
		b.Errorf("our library takes %.2f of go-nsq's CPU time, not %.2f or less", ratio, most)
	}
}

// 100 goroutines publish through one Producer, with PublishAsync.
func BenchmarkPublishAsync(b *testing.B) {
	benchPublish(b, roundMessages, interop.Producer.PublishConcurrently)
}

// 100 goroutines publish through one Producer, and each waits for the answer to
// every message.
func BenchmarkPublish(b *testing.B) {
	benchPublish(b, roundMessages/2, interop.Producer.PublishInTurn)
}

func benchPublish(b *testing.B, messages int, publish func(p interop.Producer, topic string, body []byte, goroutines, n int) error) {
	tcpAddr, httpURL := startBroker(b)
	body := bytes.Repeat([]byte("x"), bodySize)
	compare(b, messages, func(l interop.Library) (work, cleanUp func()) {
		p, err := l.NewProducer(tcpAddr, interop.Setup{})
		must(b, err)
		must(b, p.Ping())
		work = func() { must(b, publish(p, "publish", body, 100, messages)) }
		return work, func() {
			p.Stop()
			post(b, httpURL+"/topic/empty?topic=publish")
		}
	})
}

// Handlers finish messages as they come.
func BenchmarkConsume(b *testing.B) {
	for _, c := range []consumeCase{
		{maxInFlight: 200, handlers: 1, brokers: 1},
		{maxInFlight: 2000, handlers: 1, brokers: 1},
		{maxInFlight: 2000, handlers: 8, brokers: 1},
		{maxInFlight: 2000, handlers: 8, brokers: 4},
	} {
		b.Run(fmt.Sprintf("max-in-flight=%d/handlers=%d/brokers=%d", c.maxInFlight, c.handlers, c.brokers), c.run)
	}
}

type consumeCase struct{ maxInFlight, handlers, brokers int }

func (c consumeCase) run(b *testing.B) {
	var addrs []string
	var producers []interop.Producer
	for range c.brokers {
		tcpAddr, httpURL := startBroker(b)
		post(b, httpURL+"/topic/create?topic=consume")
		post(b, httpURL+"/channel/create?topic=consume&channel=ch")
		p, err := ours.Library{}.NewProducer(tcpAddr, interop.Setup{})
		must(b, err)
		defer p.Stop()
		addrs = append(addrs, tcpAddr)
		producers = append(producers, p)
	}
	batch := make([][]byte, 1000)
	for i := range batch {
		batch[i] = bytes.Repeat([]byte("x"), bodySize)
	}
	compare(b, roundMessages, func(l interop.Library) (work, cleanUp func()) {
		for i := range roundMessages / len(batch) {
			must(b, producers[i%len(producers)].MultiPublish("consume", batch))
		}
		var handled atomic.Int64
		all := make(chan struct{})
		r, err := l.NewConsumer("consume", "ch", interop.Setup{Options: map[string]any{"max_in_flight": c.maxInFlight}}, interop.Handler{
			Handle: func(interop.Message) error {
				if handled.Add(1) == roundMessages {
					close(all)
				}
				return nil
			},
		}, c.handlers)
		must(b, err)
		work = func() {
			must(b, r.ConnectToNSQDs(addrs))
			<-all
			r.Stop() // with the answers to the last messages
			<-r.Stopped()
		}
		return work, func() {}
	})
}
