package clustertest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// pipelineInFlight is how many messages each of the tools has in flight at most.
const pipelineInFlight = 200

// Lines go from stdin to a broker, from there to another broker, and from that
// into files, while both brokers are restarted: every line arrives, and those that
// arrive twice are few.
func TestPipeline(t *testing.T) {
	const lines = 50_000
	a, b := processes{}.nsqd(t), processes{}.nsqd(t)
	dir := t.TempDir()
	toFile := tooltest.Start(t, "nsq_to_file", "--topic=copies", "--channel=archive", "--nsqd-tcp-address="+b.tcp(),
		"--output-dir="+dir, "--gzip", "--rotate-size=200000", "--sync-interval=1s", fmt.Sprint("--max-in-flight=", pipelineInFlight))
	toNSQ := tooltest.Start(t, "nsq_to_nsq", "--topic=lines", "--channel=forward", "--nsqd-tcp-address="+a.tcp(),
		"--destination-nsqd-tcp-address="+b.tcp(), "--destination-topic=copies",
		"--consumer-opt=default_requeue_delay,100ms", // of what b refuses while it stops; 90 s otherwise
		"--status-every=0", fmt.Sprint("--max-in-flight=", pipelineInFlight))

	// a is restarted while it is published to, however late that may be. What to_nsq
	// says then is all that is needed to go on.
	stopped := make(chan struct{})
	first := publishLines(t, a, 0, lines, 10_000, stopped)
	nsqtest.Eventually(t, "a fifth of the lines is published", func() bool { return channelOf(a, "lines", "forward").Messages > lines/5 })
	a.stop()
	close(stopped)
	r := first.End()
	unconfirmed := regexp.MustCompile(`; (\d+) records? w.* not confirmed: nsqd has everything before record (\d+) and nothing after`).FindStringSubmatch(r.LastLine())
	if r.Code != 1 || unconfirmed == nil {
		t.Fatalf("to_nsq: exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	a.start()
	again, from := number(t, unconfirmed[1]), number(t, unconfirmed[2])-1
	second := publishLines(t, a, from, lines, 20_000, stopped)

	// b is restarted in the middle of what is left.
	nsqtest.EventuallyWithin(t, time.Minute, "half of the lines is in b", func() bool { return channelOf(b, "copies", "archive").Messages > lines/2 })
	b.stop()
	b.start()
	if r := second.End(); r.Code != 0 {
		t.Errorf("to_nsq: exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	for _, c := range []struct {
		broker         node
		topic, channel string
	}{{a, "lines", "forward"}, {b, "copies", "archive"}} {
		nsqtest.EventuallyWithin(t, time.Minute, "everything is finished in "+c.topic, func() bool {
			s := channelOf(c.broker, c.topic, c.channel)
			return s.Messages > 0 && s.Depth+s.InFlight+s.Deferred == 0
		})
	}
	for name, p := range map[string]*tooltest.Process{"nsq_to_nsq": toNSQ, "nsq_to_file": toFile} {
		p.Signal(syscall.SIGTERM)
		if r := p.End(); r.Code != 0 {
			t.Errorf("%s: exit code %d, stderr:\n%s", name, r.Code, r.Stderr)
		}
	}

	count, files := linesInFiles(t, dir)
	twice := 0
	for i := range lines {
		n := count[line(i)]
		if n == 0 {
			t.Errorf("%q is missing", line(i))
		}
		twice += max(0, n-1)
		delete(count, line(i))
	}
	for l := range count {
		t.Errorf("there is a line that nobody wrote: %q", l)
	}
	t.Logf("%d files, %d lines twice", files, twice)
	// Each stop may leave unsaid that something was finished: what is in flight at
	// both sides of b, and at that of a which was not published again anyway.
	if most := again + 3*pipelineInFlight; twice > most {
		t.Errorf("%d lines came more than once, want at most %d", twice, most)
	}
	if files < 10 {
		t.Errorf("%d files, want rotation to make more", files)
	}
}

func line(i int) string { return fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%100)) }

// publishLines starts to publish the lines from one number up to another, the last
// of them only once last is closed.
func publishLines(t *testing.T, n node, from, to, perSecond int, last <-chan struct{}) *tooltest.Process {
	t.Helper()
	p := tooltest.Start(t, "to_nsq", "--topic=lines", "--nsqd-tcp-address="+n.tcp(), fmt.Sprint("--rate=", perSecond))
	go func() {
		defer p.Input.Close()
		for i := from; i < to; i++ {
			if i == to-1 {
				<-last
			}
			if _, err := io.WriteString(p.Input, line(i)+"\n"); err != nil {
				return // the program has ended, which the test sees
			}
		}
	}()
	return p
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// channelStats is what an nsqd says of a channel; nothing if it has none, or does
// not answer.
type channelStats struct {
	Depth    int `json:"depth"`
	InFlight int `json:"in_flight_count"`
	Deferred int `json:"deferred_count"`
	Messages int `json:"message_count"`
}

func channelOf(n node, topic, channel string) (s channelStats) {
	_, answer := request("GET", n.http()+"/stats?format=json&include_clients=false&topic="+topic+"&channel="+channel, "")
	var stats struct {
		Topics []struct{ Channels []channelStats }
	}
	if json.Unmarshal([]byte(answer), &stats) != nil || len(stats.Topics) == 0 || len(stats.Topics[0].Channels) == 0 {
		return s
	}
	return stats.Topics[0].Channels[0]
}

// linesInFiles counts the lines in files, which all are whole.
func linesInFiles(t *testing.T, dir string) (count map[string]int, files int) {
	t.Helper()
	count = map[string]int{}
	names, err := filepath.Glob(filepath.Join(dir, "*.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := gzip.NewReader(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for l := range strings.Lines(string(text)) {
			count[strings.TrimSuffix(l, "\n")]++
		}
	}
	return count, len(names)
}
