package nsqd_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// A broker that finds no byte free for the durable topics of an earlier run, which had given up its
// reserve and ended as it should, even if their meta.json is damaged, or was killed, delivers them, says what is
// wrong, stops at once when it is told to, and goes on by itself when there is room.
func TestStartWithoutAByteFree(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	for _, d := range []nsqd.Durability{nsqd.Disk, nsqd.Fsync} {
		for _, end := range []string{"stopped", "killed", "damaged"} {
			for reserve := range int64(2) {
				t.Run(fmt.Sprintf("%v,%s,min-free-disk=%d", d, end, reserve), func(t *testing.T) {
					startWithoutAByteFree(t, d, end == "killed", end == "damaged", reserve)
				})
			}
		}
	}
}

func startWithoutAByteFree(t *testing.T, d nsqd.Durability, kill, damaged bool, reserve int64) {
	data := nsqtest.SmallDisk(t, 64<<20) // large enough that what a log cuts off is no room for another reserve
	child := startChild(t, childOptions{DataPath: data, MemQueueSize: 100, Durability: d})
	c, from := child.dial(), child.dial()
	c.consume("t", "c", 1)
	from.dpub("t", 500*time.Millisecond, "later")
	from.mpub("t", bodies("m", 10)...)
	first := c.message()
	c.fin(first)
	if kill {
		child.kill()
	} else {
		child.stop()
	}
	if damaged {
		metas, err := filepath.Glob(filepath.Join(data, "store", "topics", "*", "meta.json"))
		if err != nil || len(metas) != 1 {
			t.Fatalf("meta.json of topics: %q, %v", metas, err)
		}
		writeFile(t, metas[0], "")
	}
	if err := os.Remove(filepath.Join(data, "store", "reserve")); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(data, "ballast")
	nsqtest.FillDisk(t, ballast)

	var log loggingtest.Buffer
	opts := nsqtest.Options(t)
	opts.DataPath, opts.Durability, opts.MinFreeDisk = data, d, reserve
	opts.Logger = log.Logger(slog.LevelWarn)
	n, stop := startOnFullDisk(t, opts)
	if kill && d == nsqd.Fsync { // the end of the log that it cut off made room
		nsqtest.FillDisk(t, ballast+"2")
	} else {
		wantPing(t, n, 500, noSpace)
	}
	c = dialRaw(t, n)
	c.consume("t", "c", 20)
	finished := string(first.Body)
	wanted := slices.DeleteFunc(append(bodies("m", 10), "later"), func(body string) bool { return body == finished })
	got := c.take(10)
	if kill && slices.Contains(got, finished) { // that was not noted before the kill
		wanted = append(wanted, finished)
		got = append(got, c.take(1)...)
	}
	if !slices.Equal(sorted(got), sorted(wanted)) {
		t.Errorf("got %q, want %q", got, wanted)
	}
	c.sync()
	wantCounts(t, n, "t", "c", nsqd.Counts{})
	p := &publisher{t: t, n: n, topic: "t"}
	if refused := p.pub(1000); !strings.HasPrefix(refused, "E_PUB_FAILED PUB failed ") || !strings.Contains(refused, noSpace) {
		t.Errorf("refused with %q", refused)
	}
	wantPing(t, n, 500, noSpace)
	wantLittleCPU(t)
	stop(kill && d == nsqd.Fsync) // there was room to open the index: what it has to note may fit into its files
	if lines := strings.Count(log.String(), "positions are not written"); lines > 1 || strings.Count(log.String(), "\n") > 6 {
		t.Errorf("it logged %s", log.String())
	}

	n, _ = startOnFullDisk(t, opts)
	if again, _ := n.ChannelCounts("t", "c"); again.Depth > int64(len(wanted)) {
		t.Errorf("after another start there is %+v", again)
	}
	c = dialRaw(t, n)
	c.consume("t", "c", 20)
	nsqtest.Eventually(t, "what was not noted is finished again", func() bool { // the deferred one may be on its way
		takeBeforeAnswer(c)
		counts, _ := n.ChannelCounts("t", "c")
		return counts == (nsqd.Counts{})
	})
	for _, file := range []string{ballast, ballast + "2"} {
		os.Remove(file) // the second may not be there; if the disk stays full, the test fails
	}
	eventuallyWell(t, n)
	p.n = n
	if refused := p.pub(1000); refused != "" {
		t.Errorf("with space again, refused with %q", refused)
	}
	c.take(1)
	c.sync()
	wantCounts(t, n, "t", "c", nsqd.Counts{})
	if err := n.Exit(); err != nil {
		t.Errorf("with space again, Exit: %v", err)
	}
	wantCounts(t, nsqtest.Start(t, opts), "t", "c", nsqd.Counts{})
}

// takeBeforeAnswer finishes what is delivered before a command is answered.
func takeBeforeAnswer(c *rawClient) {
	c.tb.Helper()
	c.send(wire.AppendPub(nil, "sync#ephemeral", []byte("x")))
	for f := c.next(); f != ok; f = c.next() {
		m, err := wire.ParseMessage([]byte(f.data))
		if f.kind != wire.FrameMessage || err != nil {
			c.tb.Fatalf("got %v, want a message or an answer", f)
		}
		c.fin(m)
	}
}

// startOnFullDisk is nsqtest.Start for a broker that cannot stop without an error, unless it
// may stop cleanly; stop stops it.
func startOnFullDisk(t *testing.T, opts *nsqd.Options) (n *nsqtest.NSQD, stop func(cleanly bool)) {
	t.Helper()
	start := time.Now()
	d, err := nsqd.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	wantSoon(t, "New", start)
	ended := make(chan error, 1)
	go func() { ended <- d.Main() }()
	t.Cleanup(func() {
		d.Exit()
		<-ended
	})
	return &nsqtest.NSQD{NSQD: d, TB: t, Opts: opts}, func(cleanly bool) {
		t.Helper()
		start := time.Now()
		if err := d.Exit(); err == nil && !cleanly || err != nil && !strings.Contains(err.Error(), noSpace) {
			t.Errorf("Exit on a full disk: %v", err)
		}
		wantSoon(t, "Exit", start)
	}
}

func wantSoon(t *testing.T, what string, start time.Time) {
	t.Helper()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%s took %v", what, took)
	}
}

// wantLittleCPU has the process, in which nothing goes on but that a broker waits for room,
// take less than a fifth of one CPU.
func wantLittleCPU(t *testing.T) {
	t.Helper()
	const during = 600 * time.Millisecond
	before := cpuTime(t)
	<-time.After(during)
	if took := cpuTime(t) - before; took > during/5 {
		t.Errorf("it takes %v of CPU in %v", took, during)
	}
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
