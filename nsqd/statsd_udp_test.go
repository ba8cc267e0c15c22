package nsqd_test

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// Whole rounds, as a daemon receives them over the network.
func TestStatsdOverUDP(t *testing.T) {
	daemon, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	opts := optionsWithPercentiles(t, 1, 0.5)
	opts.StatsdAddress = daemon.LocalAddr().String()
	opts.StatsdInterval = time.Second
	opts.BroadcastAddress = "broker.example"
	opts.StatsdExcludeEphemeral = true
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	a.post("/channel/create?topic=t&channel=tail%23ephemeral")
	a.post("/topic/create?topic=u%23ephemeral")
	c := dialRaw(t, n)
	c.consume("t", "c", 2)
	dialRaw(t, n).mpub("t", "1", "22", "333", "4444")
	c.fin(c.message())
	c.req(c.message(), time.Hour)
	c.message()
	c.message()
	c.sync()

	prefix := fmt.Sprintf("nsq.broker_example_%d.", n.RealHTTPAddr().(*net.TCPAddr).Port)
	const quiet = `topic.t.message_count:0|c topic.t.message_bytes:0|c topic.t.depth:0|g topic.t.backend_depth:0|g ` +
		`topic.t.e2e_processing_latency_100:#|g topic.t.e2e_processing_latency_50:#|g ` +
		`topic.t.channel.c.message_count:0|c topic.t.channel.c.depth:0|g topic.t.channel.c.backend_depth:0|g ` +
		`topic.t.channel.c.in_flight_count:2|g topic.t.channel.c.deferred_count:1|g ` +
		`topic.t.channel.c.requeue_count:0|c topic.t.channel.c.timeout_count:0|c topic.t.channel.c.clients:1|g ` +
		`topic.t.channel.c.e2e_processing_latency_100:#|g topic.t.channel.c.e2e_processing_latency_50:#|g ` +
		`mem.heap_objects:#|g mem.heap_idle_bytes:#|g mem.heap_in_use_bytes:#|g mem.heap_released_bytes:#|g ` +
		`mem.gc_pause_usec_100:#|g mem.gc_pause_usec_99:#|g mem.gc_pause_usec_95:#|g mem.next_gc_bytes:#|g mem.gc_runs:#|c`
	changing := regexp.MustCompile(`((?:latency_|mem\.)\w+):\d+`)
	totals := make(map[string]int)
	daemon.SetReadDeadline(time.Now().Add(20 * time.Second))
	for got := ""; got != quiet; { // what is above may take more than one round
		lines := statsdRound(t, daemon, prefix, opts.StatsdUDPPacketSize)
		for i, line := range lines {
			if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(value, "|c") {
				var delta int
				fmt.Sscan(strings.TrimSuffix(value, "|c"), &delta)
				totals[name] += delta
			}
			lines[i] = changing.ReplaceAllString(line, "$1:#")
		}
		got = strings.Join(lines, " ")
		t.Log(got)
	}
	delete(totals, "mem.gc_runs")
	const want = "map[topic.t.channel.c.message_count:4 topic.t.channel.c.requeue_count:1 topic.t.channel.c.timeout_count:0 topic.t.message_bytes:10 topic.t.message_count:4]"
	if got := fmt.Sprint(totals); got != want {
		t.Errorf("the rounds add up to\n     %s\nwant %s", got, want)
	}
}

// statsdRound receives one round and returns its lines without the prefix.
func statsdRound(t *testing.T, daemon net.PacketConn, prefix string, size int) (lines []string) {
	t.Helper()
	for {
		packet := make([]byte, 1<<16)
		n, _, err := daemon.ReadFrom(packet)
		if err != nil {
			t.Fatal(err)
		}
		text := string(packet[:n])
		if n > size || !strings.HasSuffix(text, "\n") {
			t.Errorf("a packet of %d bytes: %q", n, text)
		}
		for line := range strings.Lines(text) {
			name, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), prefix)
			if !ok {
				t.Errorf("%q does not start with %s", line, prefix)
			}
			lines = append(lines, name)
		}
		if strings.HasPrefix(lines[len(lines)-1], "mem.gc_runs:") {
			return lines
		}
	}
}
