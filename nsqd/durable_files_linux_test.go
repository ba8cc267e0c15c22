package nsqd_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/process/processtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// Durable topics that were not used yet are published to, consumed, and made, while all
// files that may be open are: other topics close theirs.
func TestTopicsCloseFilesForOthers(t *testing.T) {
	if !processtest.Own(t) {
		return
	}
	const topics = 40
	topic := func(i int) string { return fmt.Sprint("topic", i) }
	n := nsqtest.Start(t, durableOptions(t))
	p := dialRaw(t, n)
	for i := range topics {
		newAPI(t, n).post("/topic/create?topic=" + topic(i))
		newAPI(t, n).post("/channel/create?channel=c&topic=" + topic(i))
		p.pub(topic(i), "before")
	}
	n = n.Restart()
	p, c := dialRaw(t, n), dialRaw(t, n)
	for i := range topics / 2 {
		p.pub(topic(i), "first half")
	}
	allowNoFile(t)
	for i := range topics {
		p.pub(topic(i), "all")
	}
	p.pub("another", "all")
	c.sub(topic(topics-1), "c")
	c.rdy(1)
	c.fin(c.wantMessage("before", 1))
	c.fin(c.wantMessage("all", 1))
	wantCounts(t, n, topic(0), "c", nsqd.Counts{Depth: 3})
}

// Of a hundred durable topics that are published to again and again, few have files open
// now and then: not all descriptors that are left are for them.
func TestBusyTopicsCloseFiles(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	const topics, few = 100, 30
	b := startChild(t, childOptions{DataPath: t.TempDir(), Durability: nsqd.Disk}, "sh", "-c", `ulimit -n 500 && exec "$0" "$@"`)
	before := b.state().Files
	p := b.dial()
	files := 0
	nsqtest.Eventually(t, "files are closed", func() bool {
		for i := range topics {
			p.pub(fmt.Sprint("topic", i), "x")
		}
		files = b.state().Files - before
		return files < few
	})
	t.Logf("%d files for %d topics", files, topics)
}

// allowNoFile has no file be opened before another one is closed.
func allowNoFile(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for _, e := range entries {
		var fd int
		fmt.Sscan(e.Name(), &fd)
		highest = max(highest, fd)
	}
	for { // until there is no gap
		file, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		if int(file.Fd()) >= highest {
			highest = int(file.Fd())
			break
		}
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	limit := old
	limit.Cur = uint64(highest + 1)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old) })
}
