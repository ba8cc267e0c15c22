package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) {
	tooltest.Main(m, "bench/bench_writer", "bench/bench_reader", "bench/bench_channels")
}

var summary = regexp.MustCompile(`(?m)^(\d+) messages in \d+\.\d{3} s: \d+ msgs/s, \d+\.\d MB/s, \d+\.\d{3} µs/msg\n$`)

// done returns how many messages a program says that it has dealt with.
func done(t *testing.T, r tooltest.Result) int {
	t.Helper()
	m := summary.FindStringSubmatch(r.Stdout)
	if r.Code != 0 || r.Stderr != "" || m == nil {
		t.Fatalf("%+v", r)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// topicStats returns what nsqd tells of topic t.
func topicStats(t *testing.T, d *nsqtest.NSQD) map[string]any {
	t.Helper()
	resp, err := http.Get(d.HTTPURL() + "/stats?format=json&topic=t")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var stats struct{ Topics []map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil || len(stats.Topics) != 1 {
		t.Fatalf("%+v, %v", stats, err)
	}
	return stats.Topics[0]
}

func count(t *testing.T, d *nsqtest.NSQD) int {
	t.Helper()
	return int(topicStats(t, d)["message_count"].(float64))
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 1_000_000
	d := nsqtest.Start(t, opts)
	addr := "-nsqd-tcp-address=" + d.TCPAddr()
	at := time.Now().Add(time.Second).Format(time.DateTime)
	began := time.Now()
	written := done(t, tooltest.Run(t, nil, "bench_writer", addr, "-topic=t", "-size=100", "-batch-size=50", "-runfor=50ms", "-deadline="+at))
	if early := time.Since(began); early < 50*time.Millisecond {
		t.Errorf("it was done after %v", early)
	}
	if got := count(t, d); got != written || written%50 != 0 || written == 0 {
		t.Errorf("nsqd has got %d messages, the writer says %d", got, written)
	}
	p := tooltest.Start(t, "bench_reader", addr, "-topic=t", "-channel=c", "-rdy=100", "-runfor=1h")
	nsqtest.Eventually(t, "all is read", func() bool {
		channels := topicStats(t, d)["channels"].([]any)
		if len(channels) == 0 {
			return false
		}
		c := channels[0].(map[string]any)
		return c["message_count"] == float64(written) && c["depth"] == 0.0 && c["in_flight_count"] == 0.0
	})
	p.Signal(syscall.SIGTERM)
	if read := done(t, p.End()); read != written {
		t.Errorf("%d messages were read of %d", read, written)
	}
}

func TestChannels(t *testing.T) {
	d := nsqtest.Start(t, nil)
	r := tooltest.Run(t, nil, "bench_channels", "-nsqd-tcp-address="+d.TCPAddr(), "-topic=t", "-num-channels=7", "-runfor=100ms", "-batch-size=20")
	if !regexp.MustCompile(`^7 channels in \d+\.\d{3} s\n`).MatchString(r.Stdout) {
		t.Errorf("stdout:\n%s", r.Stdout)
	}
	if delivered, published := done(t, r), count(t, d); delivered == 0 || delivered > 7*published {
		t.Errorf("%d messages were published and %d delivered", published, delivered)
	}
}

func TestMistakes(t *testing.T) {
	closed := nsqtest.ClosedPort(t)
	d := nsqtest.Start(t, nil)
	for _, c := range []struct{ command, want string }{
		{"bench_writer -size=5", "-size must be at least 16, is 5"},
		{"bench_writer -batch-size=0", "-batch-size and -connections must be positive, are 0 and "},
		{"bench_writer -runfor=0", "-runfor must be positive, is 0s"},
		{"bench_writer -topic=*", `-topic "*" is not a name for a topic`},
		{"bench_writer -deadline=now", `-deadline: parsing time "now"`},
		{"bench_writer -nsqd-tcp-address=" + closed, "dial tcp " + closed + ": connect: connection refused"},
		{"bench_writer -size=2000000 -batch-size=1 -runfor=1h -nsqd-tcp-address=" + d.TCPAddr(), "publishing: E_BAD_MESSAGE MPUB message too big"},
		{"bench_reader -rdy=0", "-rdy and -connections must be positive, are 0 and "},
		{"bench_reader -channel=", `-channel "" is not a name for a channel`},
		{"bench_reader -rdy=9999 -nsqd-tcp-address=" + d.TCPAddr(), "consuming: E_INVALID RDY count 9999 out of range 0-2500"},
		{"bench_channels -num-channels=0", "-num-channels and -rdy must be positive, are 0 and 2500"},
		{"bench_channels -channel=*", `-channel "*" with a number behind it is not a name for a channel`},
		{"bench_channels -batch-size=8001", "-batch-size must be 1 to 8000, is 8001"},
	} {
		args := strings.Fields(c.command)
		if r := tooltest.Run(t, nil, args[0], args[1:]...); r.Code != 1 || !strings.HasPrefix(r.LastLine(), c.want) {
			t.Errorf("%s: %+v, want %s", c.command, r, c.want)
		}
	}
	for _, name := range []string{"bench_writer", "bench_reader", "bench_channels"} {
		if r := tooltest.Run(t, nil, name, "-version"); r.Code != 0 || !strings.HasPrefix(r.Stdout, fmt.Sprintf("%s v", name)) {
			t.Errorf("%+v", r)
		}
	}
}
