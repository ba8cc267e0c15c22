package nsqd_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/process/processtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// A publisher knows which of its messages were acknowledged.
type publisher struct {
	t     *testing.T
	n     *nsqtest.NSQD
	topic string
	next  int
	acked []string
}

// pub publishes one message over TCP and returns why it was refused.
func (p *publisher) pub(size int) (refused string) {
	p.t.Helper()
	body := fmt.Sprintf("%06d%s", p.next, strings.Repeat("x", size))
	p.next++
	c := dialRaw(p.t, p.n)
	defer c.close()
	c.send(wire.AppendPub(nil, p.topic, []byte(body)))
	switch f := c.next(); {
	case f == ok:
		p.acked = append(p.acked, body)
		return ""
	case f.kind == wire.FrameError:
		return f.data
	default:
		p.t.Fatalf("got %v", f)
		return ""
	}
}

// fill publishes until the disk is full.
func (p *publisher) fill(size int) (refused string) {
	p.t.Helper()
	for range 100_000 {
		if refused = p.pub(size); refused != "" {
			return refused
		}
	}
	p.t.Fatal("nothing was refused")
	return ""
}

// fillOverHTTP publishes until that is refused for want of space: it may not be
// at once, where the topic's memory has given messages to its channels.
func (p *publisher) fillOverHTTP(a *api, target string, bodies ...string) {
	p.t.Helper()
	for range 100 {
		resp, text, err := a.try("POST", target, strings.NewReader(strings.Join(bodies, "\n")))
		if err != nil {
			p.t.Fatal(err)
		}
		if resp.StatusCode != 200 {
			if resp.StatusCode != 507 || text != `{"message":"DISK_FULL"}` {
				p.t.Errorf("%s: refused with %d %s", target, resp.StatusCode, text)
			}
			return
		}
		p.acked = append(p.acked, bodies...)
	}
	p.t.Fatal("nothing was refused")
}

// wantAll takes everything that was acknowledged from a channel.
func (p *publisher) wantAll(channel string) {
	p.t.Helper()
	c := dialRaw(p.t, p.n)
	defer c.close()
	c.consume(p.topic, channel, 100)
	got := make([]string, 0, len(p.acked))
	for range p.acked {
		m := c.message()
		got = append(got, string(m.Body))
		c.fin(m)
	}
	slices.Sort(got)
	slices.Sort(p.acked)
	if !slices.Equal(got, p.acked) {
		p.t.Errorf("channel %s gave other messages than the %d acknowledged", channel, len(p.acked))
	}
	c.sync()
	if counts, _ := p.n.ChannelCounts(p.topic, channel); counts != (nsqd.Counts{}) {
		p.t.Errorf("channel %s: left over is %+v", channel, counts)
	}
}

func wantPing(t *testing.T, n *nsqtest.NSQD, status int, text string) {
	t.Helper()
	resp, got, err := newAPI(t, n).try("GET", "/ping", nil)
	if err != nil || resp.StatusCode != status || !strings.Contains(got, text) {
		t.Errorf("/ping: %v %q, %v; want %d %q", resp, got, err, status, text)
	}
}

func eventuallyWell(t *testing.T, n *nsqtest.NSQD) {
	t.Helper()
	a := newAPI(t, n)
	nsqtest.Eventually(t, "/ping is OK", func() bool {
		_, text, err := a.try("GET", "/ping", nil)
		return err == nil && text == "OK"
	})
}

const noSpace = "no space left on device"

// TestFullDisk fills the disk of a topic's and a channel's backlog. Publishes are
// refused with the reason; consuming goes on, and makes room; what was
// acknowledged is all there in the end, also after a restart.
func TestFullDisk(t *testing.T) {
	for _, way := range []string{"space is given back", "space is made by consuming"} {
		t.Run(way, func(t *testing.T) {
			nsqtest.Parallel(t)
			opts := nsqtest.Options(t)
			opts.DataPath = nsqtest.SmallDisk(t, 2<<20)
			opts.MemQueueSize = 5
			opts.MaxBytesPerFile = 100_000
			opts.MinFreeDisk = 1                        // until the disk itself refuses
			opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
			ballast := filepath.Join(opts.DataPath, "ballast")
			writeFile(t, ballast, strings.Repeat("x", 800_000))
			n := nsqtest.Start(t, opts)
			a := newAPI(t, n)
			a.post("/topic/create?topic=t")
			a.post("/channel/create?topic=t&channel=c")
			a.post("/channel/create?topic=t&channel=d")

			p := &publisher{t: t, n: n, topic: "t"}
			refused := p.fill(2000)
			if !strings.HasPrefix(refused, "E_PUB_FAILED PUB failed ") || !strings.Contains(refused, noSpace) {
				t.Errorf("refused with %q", refused)
			}
			p.fillOverHTTP(a, "/pub?topic=t", strings.Repeat("x", 100_000))
			p.fillOverHTTP(a, "/mpub?topic=t", slices.Repeat([]string{strings.Repeat("x", 9999)}, 50)...)
			wantPing(t, n, 500, "NOK - ")
			wantPing(t, n, 500, noSpace)

			if way == "space is given back" {
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
				eventuallyWell(t, n) // without a publish
			} else {
				p.wantAll("c")
				p.wantAll("d")
				eventuallyWell(t, n)
				p.acked = nil
			}
			if refused := p.pub(2000); refused != "" {
				t.Errorf("with space again, refused with %q", refused)
			}
			acked := len(p.acked)
			p.n = n.Restart()
			p.wantAll("c")
			p.wantAll("d")
			t.Logf("%d messages were acknowledged in all, %d left for the end; none is lost", p.next, acked)
		})
	}
}

// TestStopOnAFullDisk stops a broker whose disk has no room for publishers any
// more: what it holds in memory by then, in flight and deferred, too, fits into
// what was kept free.
func TestStopOnAFullDisk(t *testing.T) {
	for name, memQueueSize := range map[string]int64{"memory in use": 50, "no memory": 0} {
		t.Run(name, func(t *testing.T) {
			nsqtest.Parallel(t)
			opts := nsqtest.Options(t)
			opts.DataPath = nsqtest.SmallDisk(t, 8<<20)
			opts.MemQueueSize = memQueueSize
			opts.MinFreeDisk = 3 << 20
			opts.Logger = slog.New(slog.DiscardHandler)
			n := nsqtest.Start(t, opts)
			a := newAPI(t, n)
			a.post("/topic/create?topic=t")
			a.post("/channel/create?topic=t&channel=c")
			holder := dialRaw(t, n)
			defer holder.close()
			holder.consume("t", "c", 20)

			p := &publisher{t: t, n: n, topic: "t"}
			if refused := p.fill(2000); !strings.Contains(refused, noSpace) || !strings.Contains(refused, "are kept for") {
				t.Errorf("refused with %q", refused)
			}
			for range 20 {
				holder.message()
			}
			wantPing(t, n, 500, noSpace)
			p.n = n.Restart()
			p.wantAll("c")
			t.Logf("%d messages were acknowledged; none is lost", len(p.acked))
		})
	}
}

// TestReadyWithTheDiskReserve has somebody else fill the disk of a broker, of which nothing
// is to be written.
func TestReadyWithTheDiskReserve(t *testing.T) {
	nsqtest.Parallel(t)
	opts := nsqtest.Options(t)
	opts.DataPath = nsqtest.SmallDisk(t, 8<<20)
	opts.MinFreeDisk = 3 << 20
	a := newAPI(t, nsqtest.Start(t, opts))
	ready := func() bool {
		resp, _, err := a.try("GET", "/health/ready", nil)
		return err == nil && resp.StatusCode == 200
	}
	nsqtest.Eventually(t, "it has started", ready)
	ballast := filepath.Join(opts.DataPath, "ballast")
	writeFile(t, ballast, strings.Repeat("x", 6<<20))
	nsqtest.Eventually(t, "it is not ready, and says why", func() bool {
		resp, text, err := a.try("GET", "/health/ready", nil)
		return err == nil && resp.StatusCode == 503 && strings.HasPrefix(text, "disk full: ") &&
			strings.HasSuffix(text, " bytes are free, fewer than the 3145728 of --min-free-disk\n")
	})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	nsqtest.Eventually(t, "it is ready again", ready)
}

// TestFullDiskWithoutMemory has a backlog in a topic when its first channel
// appears, which may keep nothing in memory and cannot write: it is consumed all
// the same.
func TestFullDiskWithoutMemory(t *testing.T) {
	nsqtest.Parallel(t)
	opts := nsqtest.Options(t)
	opts.DataPath = nsqtest.SmallDisk(t, 1<<20)
	opts.MemQueueSize = 0
	opts.MinFreeDisk = 1                        // until the disk itself refuses
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	ballast := filepath.Join(opts.DataPath, "ballast")
	writeFile(t, ballast, strings.Repeat("x", 200_000))
	n := nsqtest.Start(t, opts)
	p := &publisher{t: t, n: n, topic: "t"}
	p.fill(2000)
	if refused := p.fill(1); !strings.Contains(refused, noSpace) { // not a byte is left
		t.Errorf("refused with %q", refused)
	}
	p.wantAll("c")
	t.Logf("%d messages were acknowledged and then consumed on a full disk", len(p.acked))
	wantPing(t, n, 500, noSpace)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventuallyWell(t, n)
	p.acked = nil
	if refused := p.pub(2000); refused != "" {
		t.Errorf("with space again, refused with %q", refused)
	}
	p.wantAll("c")
}

// TestNoDescriptors publishes while no file can be opened.
func TestNoDescriptors(t *testing.T) {
	if !processtest.Own(t) {
		return
	}
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 0
	opts.MaxBytesPerFile = 10_000
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	c, fresh := dialRaw(t, n), dialRaw(t, n)
	var acked []string
	pub := func(size int) frame {
		t.Helper()
		body := fmt.Sprintf("%06d%s", len(acked), strings.Repeat("x", size))
		c.send(wire.AppendPub(nil, "t", []byte(body)))
		f := c.next()
		if f == ok {
			acked = append(acked, body)
		}
		return f
	}
	for range 10 {
		pub(500)
	}
	wantPing(t, n, 200, "OK") // leaves a connection to ask again
	_, _, err := a.try("GET", "/ping", nil)
	if err != nil {
		t.Fatal(err)
	}

	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	refused := pub(500)
	for range 100 { // at the latest when the next data file begins
		if refused != ok {
			break
		}
		refused = pub(500)
	}
	fresh.send(wire.AppendPub(nil, "another", []byte("x")))
	another := fresh.next()
	_, ping, pingErr := a.try("GET", "/ping", nil)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for _, f := range []frame{refused, another} {
		if f.kind != wire.FrameError || !strings.HasPrefix(f.data, "E_PUB_FAILED PUB failed ") || !strings.Contains(f.data, syscall.EMFILE.Error()) {
			t.Errorf("without descriptors: %v", f)
		}
	}
	if pingErr != nil || !strings.HasPrefix(ping, "NOK - ") || !strings.Contains(ping, syscall.EMFILE.Error()) {
		t.Errorf("/ping: %q, %v", ping, errors.Join(pingErr))
	}
	eventuallyWell(t, n)
	p := &publisher{t: t, n: n, topic: "t", next: len(acked), acked: acked}
	if refused := p.pub(500); refused != "" {
		t.Errorf("with descriptors again, refused with %q", refused)
	}
	p.wantAll("c")
	n = n.Restart()
	if counts, _ := n.ChannelCounts("t", "c"); counts != (nsqd.Counts{}) {
		t.Errorf("after a restart: %+v", counts)
	}
}

// What a topic has for its channels at a time is too much for the disk: a channel
// takes as much as there is room for, and the rest once there is more.
func TestDiskIsFilledToTheLastMessage(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.DataPath = nsqtest.SmallDisk(t, 200_000)
	opts.MemQueueSize = 50
	opts.MaxBytesPerFile = 20_000
	opts.MinFreeDisk = 1
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	p := &publisher{t: t, n: n, topic: "t"}
	publish := func() {
		for range opts.MemQueueSize {
			if refused := p.pub(5000); refused != "" {
				t.Fatal(refused)
			}
		}
	}
	depth := func() nsqd.Counts {
		counts, _ := n.ChannelCounts("t", "c")
		return counts
	}
	publish() // into the channel's memory
	nsqtest.Eventually(t, "the channel has them", func() bool { return depth().Depth == opts.MemQueueSize })
	a.post("/topic/pause?topic=t")
	publish()                                    // into the topic's memory
	a.try("POST", "/topic/unpause?topic=t", nil) // which may find no room any more to write that down
	nsqtest.Eventually(t, "the disk is full", func() bool { return depth().OnDisk >= 25 })
	p.wantAll("c")
	eventuallyWell(t, n)
}
