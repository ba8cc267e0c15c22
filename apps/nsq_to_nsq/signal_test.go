//go:build unix

package main

import (
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// Whatever arrived when the program ends was finished, and nothing is lost.
func TestSignalInTheMiddle(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		from, a, b := nsqtest.Start(t, large(t)), nsqtest.Start(t, large(t)), nsqtest.Start(t, large(t))
		bodies := numbers(10_000)
		tooltest.Publish(t, from, "t", bodies...)
		p := forwarding(t, from, []tooltest.Broker{a, b}, "-topic=t")
		underWay(t, a)
		p.Signal(s)
		if r := p.End(); r.Code != 0 || strings.Contains(r.Stderr, "ERR") {
			t.Errorf("%v: exit code %d, stderr:\n%s", s, r.Code, r.Stderr)
		}
		left := tooltest.Drain(t, from, "t", "nsq_to_nsq")
		all := slices.Concat(left, take(t, a, a.HTTPURL(), "t"), take(t, b, b.HTTPURL(), "t"))
		slices.Sort(all)
		complete(t, all, bodies, 0)
		t.Logf("%v: %d messages were left", s, len(left))
	}
}

// process is an nsqd that can be stopped as a process can.
type process struct {
	*tooltest.Process
	tcp, url string
}

func (p *process) TCPAddr() string { return p.tcp }

func startProcess(t *testing.T) *process {
	t.Helper()
	p := tooltest.Start(t, "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--data-path="+t.TempDir(), "--mem-queue-size=1000000")
	address := func(protocol string) string {
		re, found := regexp.MustCompile(` `+protocol+`: listening on (\S+)\n`), []string(nil)
		nsqtest.Eventually(t, "nsqd listens", func() bool { found = re.FindStringSubmatch(p.Errors.String() + p.Output.String()); return found != nil })
		return found[1]
	}
	return &process{p, address("TCP"), "http://" + address("HTTP")}
}

// freeze stops the program, and waits until it does not answer any more: a signal
// does not stop all of a process at once.
func (p *process) freeze(t *testing.T) {
	t.Helper()
	p.Signal(syscall.SIGSTOP)
	client := &http.Client{Timeout: 200 * time.Millisecond}
	nsqtest.Eventually(t, "nsqd does not answer any more", func() bool {
		resp, err := client.Get(p.url + "/ping")
		if err != nil {
			return true
		}
		resp.Body.Close()
		return false
	})
	client.CloseIdleConnections()
}

// left returns how many messages of topic t the program has not finished.
func (p *process) left(t *testing.T) int {
	s, _ := channelStats(t, p.url, "t", "nsq_to_nsq")
	return s.Depth + s.InFlight + s.Deferred
}

// A destination that hangs does not hold up the other, and what was sent to it
// goes there as well: when it has been silent for a while, or when the connection
// is given up.
func TestDestinationHangs(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		said string // on stderr, once
	}{
		"the connection stays":       {nil, " has not answered for 5s: "},
		"the connection is given up": {[]string{"-producer-opt=heartbeat_interval,1s", "-producer-opt=read_timeout,2s"}, ": i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, a, b := startProcess(t), startProcess(t), startProcess(t)
			p := forwarding(t, from, []tooltest.Broker{a, b}, append(c.args, "-topic=t", "-consumer-opt=msg_timeout,4s")...)
			bodies := numbers(5000)
			tooltest.Publish(t, from, "t", bodies[:1000]...)
			nsqtest.Eventually(t, "both have messages", func() bool { return topicDepth(t, a.url, "t") > 20 && topicDepth(t, b.url, "t") > 20 })
			a.freeze(t)
			tooltest.Publish(t, from, "t", bodies[1000:]...)
			start := time.Now()
			nsqtest.Eventually(t, "the other works on", func() bool { return topicDepth(t, b.url, "t") > 3500 })
			if took := time.Since(start); took > answerTimeout-time.Second {
				t.Errorf("the other had 3,500 messages only after %v", took)
			}
			nsqtest.Eventually(t, "all messages are finished", func() bool { return from.left(t) == 0 })
			if s, _ := channelStats(t, from.url, "t", "nsq_to_nsq"); s.Timeouts+s.Requeues > 0 {
				t.Errorf("%+v of the source, want no message that came again", s)
			}
			if strings.Count(p.Errors.String(), c.said) != 1 {
				t.Errorf("stderr does not say once %q:\n%s", c.said, p.Errors.String())
			}
			a.Signal(syscall.SIGCONT)
			nsqtest.Eventually(t, "it has messages again", func() bool { return topicDepth(t, a.url, "t") > 20 })
			all := append(take(t, a, a.url, "t"), take(t, b, b.url, "t")...)
			slices.Sort(all)
			complete(t, all, bodies, inFlight)
		})
	}
}

// When no destination answers, messages stay in flight, and a signal gives them
// back.
func TestSignalWhileDestinationHangs(t *testing.T) {
	t.Parallel()
	from, to := startProcess(t), startProcess(t)
	p := forwarding(t, from, []tooltest.Broker{to}, "-topic=t", "-consumer-opt=msg_timeout,4s")
	tooltest.Publish(t, from, "t", "first")
	nsqtest.Eventually(t, "a message is there", func() bool { return topicDepth(t, to.url, "t") == 1 })
	to.freeze(t)
	tooltest.Publish(t, from, "t", numbers(10)...)
	nsqtest.Eventually(t, "messages are in flight", func() bool {
		s, _ := channelStats(t, from.url, "t", "nsq_to_nsq")
		return s.InFlight == 10
	})
	p.Signal(syscall.SIGTERM)
	start := time.Now()
	if r := p.End(); r.Code != 0 || time.Since(start) > 2*answerTimeout {
		t.Errorf("exit code %d after %v, stderr:\n%s", r.Code, time.Since(start), r.Stderr)
	}
	var s stats
	nsqtest.Eventually(t, "the messages are back", func() bool { s, _ = channelStats(t, from.url, "t", "nsq_to_nsq"); return s.Depth == 10 })
	if s.Timeouts > 0 {
		t.Errorf("%+v of the source, want none that ever timed out", s)
	}
}

// What one slow destination takes long for is touched until it answers.
func TestSlowDestination(t *testing.T) {
	t.Parallel()
	from, to := startProcess(t), startProcess(t)
	p := forwarding(t, from, []tooltest.Broker{to}, "-topic=t", "-consumer-opt=msg_timeout,2s")
	tooltest.Publish(t, from, "t", "first")
	nsqtest.Eventually(t, "a message is there", func() bool { return topicDepth(t, to.url, "t") == 1 })
	to.freeze(t)
	start := time.Now()
	tooltest.Publish(t, from, "t", numbers(100)...)
	nsqtest.Eventually(t, "a time-out has passed", func() bool { return time.Since(start) > 2500*time.Millisecond })
	s, _ := channelStats(t, from.url, "t", "nsq_to_nsq")
	if s.InFlight != 100 || s.Timeouts+s.Requeues > 0 {
		t.Errorf("%+v of the source, want 100 messages in flight, stderr:\n%s", s, p.Errors.String())
	}
	to.Signal(syscall.SIGCONT)
	nsqtest.Eventually(t, "all messages are finished", func() bool { return from.left(t) == 0 })
	complete(t, take(t, to, to.url, "t"), append([]string{"first"}, numbers(100)...), 0)
}
