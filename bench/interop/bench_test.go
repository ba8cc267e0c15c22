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

// compare has both libraries take turns in rounds of roundMessages, and prints
// what a message costs with each; ours must take at most half the CPU time.
// What prepare does for a round, and cleaning up, is not counted.
func compare(b *testing.B, prepare func(interop.Library) (work, cleanUp func())) {
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
	messages := float64(rounds) * roundMessages
	theirs.report(b, "go-nsq", messages)
	own.report(b, "ours", messages)
	ratio := float64(own.cpu) / float64(theirs.cpu)
	b.ReportMetric(ratio, "cpu-ratio")
	b.ReportMetric(0, "ns/op") // of both together says nothing
	if ratio > 0.5 {
		b.Errorf("our library takes %.2f of go-nsq's CPU time", ratio)
	}
}

// 100 goroutines publish with PublishAsync through one Producer.
func BenchmarkPublishAsync(b *testing.B) {
	tcpAddr, httpURL := startBroker(b)
	body := bytes.Repeat([]byte("x"), bodySize)
	compare(b, func(l interop.Library) (work, cleanUp func()) {
		p, err := l.NewProducer(tcpAddr, interop.Setup{})
		must(b, err)
		must(b, p.Ping())
		work = func() { must(b, p.PublishConcurrently("publish", body, 100, roundMessages)) }
		return work, func() {
			p.Stop()
			post(b, httpURL+"/topic/empty?topic=publish")
		}
	})
}

// One handler finishes messages as they come, with max-in-flight at 200 and
// at 2,000.
func BenchmarkConsume(b *testing.B) {
	for _, maxInFlight := range []int{200, 2000} {
		b.Run(fmt.Sprint("max-in-flight=", maxInFlight), func(b *testing.B) { benchConsume(b, maxInFlight) })
	}
}

func benchConsume(b *testing.B, maxInFlight int) {
	tcpAddr, httpURL := startBroker(b)
	post(b, httpURL+"/topic/create?topic=consume")
	post(b, httpURL+"/channel/create?topic=consume&channel=ch")
	p, err := ours.Library{}.NewProducer(tcpAddr, interop.Setup{})
	must(b, err)
	defer p.Stop()
	batch := make([][]byte, 1000)
	for i := range batch {
		batch[i] = bytes.Repeat([]byte("x"), bodySize)
	}
	compare(b, func(l interop.Library) (work, cleanUp func()) {
		for range roundMessages / len(batch) {
			must(b, p.MultiPublish("consume", batch))
		}
		var handled atomic.Int64
		all := make(chan struct{})
		r, err := l.NewConsumer("consume", "ch", interop.Setup{Options: map[string]any{"max_in_flight": maxInFlight}}, interop.Handler{
			Handle: func(interop.Message) error {
				if handled.Add(1) == roundMessages {
					close(all)
				}
				return nil
			},
		}, 1)
		must(b, err)
		work = func() {
			must(b, r.ConnectToNSQD(tcpAddr))
			<-all
			r.Stop() // with the answers to the last messages
			<-r.Stopped()
		}
		return work, func() {}
	})
}
