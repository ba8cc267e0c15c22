package nsqd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// A childBroker is a broker in a process of its own, so that its memory and
// its files are not those of the test's clients.
type childBroker struct {
	tb    testing.TB
	cmd   *exec.Cmd // nil once it was killed
	in    io.Writer
	out   *bufio.Scanner
	tcp   net.Addr
	http  net.Addr
	https net.Addr
}

// childOptions are passed to the process in its environment.
type childOptions struct {
	DataPath     string
	MemQueueSize int64
	Durability   nsqd.Durability
}

// childState is what the process tells of itself.
type childState struct {
	Memory     int64 // heap and stacks in use
	Goroutines int
	Files      int // open ones, where the system shows them
	Panics     uint64
	TCP        string // addresses
	HTTP       string
	HTTPS      string
	Stopped    time.Duration // that Exit took
}

const (
	childEnv    = "NSQD_TEST_BROKER"
	childPrefix = "child broker: " // of the lines that are for the parent
)

// isChildBroker is the first thing that a test with a child broker does. In
// the child it serves to the end and returns true.
func isChildBroker(t *testing.T) bool {
	env := os.Getenv(childEnv)
	if env == "" {
		return false
	}
	var o childOptions
	if err := json.Unmarshal([]byte(env), &o); err != nil {
		t.Fatal(err)
	}
	opts := nsqtest.Options(t)
	opts.DataPath, opts.MemQueueSize, opts.Durability = o.DataPath, o.MemQueueSize, o.Durability
	opts.HTTPSAddress = "127.0.0.1:0"
	opts.TLSCert, opts.TLSKey = certstest.SelfSigned(t).Write(t, t.TempDir(), "server")
	n := nsqtest.Start(t, opts)
	tell := func(s childState) {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(os.Stdout, "%s%s\n", childPrefix, line)
	}
	tell(childState{TCP: n.TCPAddr(), HTTP: n.RealHTTPAddr().String(), HTTPS: n.RealHTTPSAddr().String()})
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() && commands.Text() == "state" {
		tell(childState{Memory: nsqtest.MemoryInUse(), Goroutines: runtime.NumGoroutine(), Files: nsqtest.OpenFiles(), Panics: n.Panics()})
	}
	start := time.Now()
	n.Stop()
	tell(childState{Stopped: time.Since(start)})
	return true
}

// startChildBroker starts the calling test again as a child broker. Words in
// front are a command that gets the child's command line as its arguments.
func startChildBroker(t *testing.T, memQueueSize int64, before ...string) *childBroker {
	t.Helper()
	return startChild(t, childOptions{DataPath: t.TempDir(), MemQueueSize: memQueueSize}, before...)
}

func startChild(t *testing.T, o childOptions, before ...string) *childBroker {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	test, _, _ := strings.Cut(t.Name(), "/") // which in the child is the broker before it has subtests
	args := append(before, self, "-test.run=^"+test+"$")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &childBroker{tb: t, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	t.Cleanup(func() {
		if c.cmd == nil {
			return
		}
		in.Close() // has it stop
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer kill.Stop()
		rest, _ := io.ReadAll(out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the child broker: %v\n%s", err, rest)
		}
	})
	s := c.hear()
	for address, to := range map[string]*net.Addr{s.TCP: &c.tcp, s.HTTP: &c.http, s.HTTPS: &c.https} {
		if *to, err = net.ResolveTCPAddr("tcp", address); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// hear returns what the child tells next.
func (c *childBroker) hear() (s childState) {
	c.tb.Helper()
	for c.out.Scan() {
		line, ok := strings.CutPrefix(c.out.Text(), childPrefix)
		if !ok {
			c.tb.Log(c.out.Text())
			continue
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			c.tb.Fatal(err)
		}
		return s
	}
	c.tb.Fatal("the child broker is gone")
	return s
}

func (c *childBroker) state() childState {
	c.tb.Helper()
	io.WriteString(c.in, "state\n") // hear tells if that failed
	return c.hear()
}

// stop stops the broker and returns how long that took.
func (c *childBroker) stop() time.Duration {
	c.tb.Helper()
	io.WriteString(c.in, "stop\n")
	return c.hear().Stopped
}

// kill ends the process at once and returns when it is gone.
func (c *childBroker) kill() {
	c.tb.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.tb.Fatal(err)
	}
	c.cmd.Wait() // tells that it was killed
	c.cmd = nil
}

// dial opens a connection and sends the magic.
func (c *childBroker) dial() *rawClient {
	c.tb.Helper()
	client := connect(c.tb, c.tcp)
	client.send([]byte("  V2"))
	return client
}
