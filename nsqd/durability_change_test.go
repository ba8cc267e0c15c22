package nsqd_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqd"
)

// A failingDisk is a file system on which one thing fails that is done to the log of a
// topic, once.
type failingDisk struct {
	topic atomic.Pointer[string]
	after atomic.Int64 // so many things work before
}

var errFailingDisk = errors.New("the disk fails")

func (d *failingDisk) fs() vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		topic := d.topic.Load()
		if topic == nil || !strings.Contains(op.Path, "-"+*topic) && !strings.HasSuffix(op.Path, "/topics") {
			return nil
		}
		if d.after.Add(-1) == -1 {
			return errFailingDisk
		}
		return nil
	}))
}

// arm has the next thing fail that is done to a topic after so many.
func (d *failingDisk) arm(topic string, after int) {
	d.after.Store(int64(after))
	d.topic.Store(&topic)
}

// disarm has everything work, and reports whether something has failed.
func (d *failingDisk) disarm() (failed bool) {
	d.topic.Store(nil)
	return d.after.Load() < 0
}

// Whatever fails on disk when a topic's durability changes between memory and disk, the
// topic has its channels, pauses and durability, or the one that was asked for, and
// works; the next attempt succeeds.
func TestDurabilityChangeOnAFailingDisk(t *testing.T) {
	for _, way := range [][2]string{{"memory", "disk"}, {"disk", "memory"}} {
		t.Run(way[0]+" to "+way[1], func(t *testing.T) {
			nsqtest.Parallel(t)
			opts := nsqtest.Options(t)
			opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
			n := nsqtest.Start(t, opts)
			var disk failingDisk
			n.KeepDurableOn(disk.fs())
			a := newAPI(t, n)
			a.post("/topic/create?topic=first&durability=disk") // makes the store
			failures := 0
			for after := 0; ; after++ {
				topic := fmt.Sprintf("t%dx", after)
				makeForChange(a, topic, way[0])
				disk.arm(topic, after)
				resp, text, err := a.try("POST", "/topic/create?topic="+topic+"&durability="+way[1], nil)
				if err != nil {
					t.Fatal(err)
				}
				failed := disk.disarm()
				wants := way[1]
				if resp.StatusCode != 200 {
					failures++
					wants = way[0]
				}
				if resp.StatusCode == 503 != (text == `{"message":"DISK_ERROR"}`) || resp.StatusCode != 200 && !failed {
					t.Errorf("after %d: %d %s, although the disk failed: %v", after, resp.StatusCode, text, failed)
				}
				wantAfterChange(t, n, topic, wants)
				a.post("/channel/empty?topic=" + topic + "&channel=paused")
				a.post("/topic/create?topic=" + topic + "&durability=" + way[1])
				wantAfterChange(t, n, topic, way[1])
				if t.Failed() || !failed {
					t.Logf("%d changes failed, of %d on a disk that did", failures, after)
					break
				}
			}
			if failures < 3 {
				t.Errorf("%d changes failed", failures)
			}
			n.Restart()
		})
	}
}

// What is done to a topic while its log is made for it is done to what takes its place.
func TestChangesWhileATopicBecomesDurable(t *testing.T) {
	n := nsqtest.Start(t, nsqtest.Options(t))
	a := newAPI(t, n)
	var armed atomic.Bool
	var changes sync.WaitGroup
	n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "meta.json") && armed.Swap(false) {
			for _, path := range []string{"/topic/pause?topic=t", "/channel/unpause?topic=t&channel=paused", "/channel/pause?topic=t&channel=open",
				"/channel/create?topic=t&channel=late", "/channel/delete?topic=t&channel=gone"} {
				changes.Go(func() { a.post(path) })
			}
		}
		return nil
	})))
	a.post("/topic/create?topic=first&durability=disk") // makes the store
	makeForChange(a, "t", "memory")
	a.post("/channel/create?topic=t&channel=gone")
	armed.Store(true)
	a.post("/topic/create?topic=t&durability=disk")
	changes.Wait()
	for range 2 {
		s := newAPI(t, n).stats("topic=t").Topics
		if armed.Load() || len(s) != 1 || s[0].Durability != "disk" || !s[0].Paused || pauses(s[0].Channels) != "late:false open:true paused:false " {
			t.Fatalf("the topic is %+v", s)
		}
		n = n.Restart()
	}
}

// Whatever is answered while a topic's durability changes is in force: what is created, paused or
// deleted just then, of the topic and of its channels.
func TestRequestsWhileDurabilityChanges(t *testing.T) {
	n := nsqtest.Start(t, nsqtest.Options(t))
	a := newAPI(t, n)
	a.post("/topic/create?topic=t&durability=memory")
	const channels = 4
	for i := 1; i < channels; i++ {
		a.post(fmt.Sprint("/channel/create?topic=t&channel=c", i))
	}
	for round := range 40 {
		kind := []string{"disk", "memory"}[round%2]
		var all sync.WaitGroup
		all.Go(func() { a.post("/topic/create?topic=t&durability=" + kind) })
		verb := []string{"pause", "unpause"}[round/2%2]
		all.Go(func() { a.post("/topic/" + verb + "?topic=t") })
		for i := range channels {
			all.Go(func() {
				for _, verb := range [][]string{{"create"}, {"pause"}, {"unpause", "delete", "create"}, {"delete"}}[(round+i)%4] {
					a.post(fmt.Sprintf("/channel/%s?topic=t&channel=c%d", verb, i))
				}
			})
		}
		all.Wait()
		want := ""
		for i := range channels {
			if step := (round + i) % 4; step < 3 {
				want += fmt.Sprintf("c%d:%v ", i, step == 1)
			}
		}
		s := a.stats("topic=t").Topics
		if len(s) != 1 || s[0].Durability != kind || s[0].Paused != (verb == "pause") || pauses(s[0].Channels) != want {
			t.Fatalf("round %d: the topic is %+v, want it paused: %v, with channels %s", round, s, verb == "pause", want)
		}
	}
}

// A kill while a topic's durability changes finds its channels and pauses in nsqd.dat, whatever
// else has that written just then.
func TestTopicIsSavedWhileItsDurabilityChanges(t *testing.T) {
	n := nsqtest.Start(t, nsqtest.Options(t))
	a := newAPI(t, n)
	var armed atomic.Bool
	var looks atomic.Int64
	n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !armed.Load() || op.Kind.ReadOrWrite() == errorfs.OpIsRead || !strings.Contains(op.Path, "-t") {
			return nil
		}
		a.post(fmt.Sprintf("/topic/create?topic=other%d&durability=memory", looks.Add(1)))
		data, err := os.ReadFile(filepath.Join(n.Opts.DataPath, "nsqd.dat"))
		if want := `{"name":"t","paused":false,"channels":[{"name":"open","paused":false},{"name":"paused","paused":true}]`; !strings.Contains(string(data), want) {
			t.Errorf("at %s nsqd.dat says %s, %v", op.Path, data, err)
		}
		return nil
	})))
	a.post("/topic/create?topic=first&durability=disk") // makes the store
	makeForChange(a, "t", "memory")
	for _, durability := range []string{"disk", "memory"} {
		armed.Store(true)
		before := looks.Load()
		a.post("/topic/create?topic=t&durability=" + durability)
		armed.Store(false)
		if looks.Load() == before {
			t.Errorf("nobody looked while it became %s", durability)
		}
		wantAfterChange(t, n, "t", durability)
		a.post("/channel/empty?topic=t&channel=paused")
	}
}

// A channel that a consumer makes while a topic's durability changes is there after a crash when the SUB is
// answered, and one that is deleted then is not; also where the change fails.
func TestChannelsThatChangeWhileDurabilityChangesAreSaved(t *testing.T) {
	for _, fails := range []bool{false, true} {
		opts := nsqtest.Options(t)
		opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
		n := nsqtest.Start(t, opts)
		a, c := newAPI(t, n), dialRaw(t, n)
		var requests sync.WaitGroup
		crash := func(answered string) { // of what is on disk when a request is answered
			t.Helper()
			data, err := os.ReadFile(filepath.Join(n.Opts.DataPath, "nsqd.dat"))
			if late := strings.Contains(string(data), `{"name":"late"`); err != nil || answered == "SUB" && !late {
				t.Errorf("where the change fails (%v), nsqd.dat says after %s: %s, %v", fails, answered, data, err)
			}
			for _, dir := range logsOf(t, n) {
				meta, err := os.ReadFile(filepath.Join(dir, "meta.json"))
				if strings.Contains(string(meta), `"gone"`) && answered == "delete" {
					t.Errorf("where the change fails (%v), the log has after %s: %s, %v", fails, answered, meta, err)
				}
			}
		}
		var writes atomic.Int64
		n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind != errorfs.OpCreate || !strings.Contains(op.Path, "-t") || !strings.Contains(op.Path, "meta.json") || writes.Add(1) != 3 {
				return nil
			}
			// The log has one of two channels.
			requests.Go(func() {
				a.post("/channel/delete?topic=t&channel=gone")
				crash("delete")
			})
			requests.Go(func() {
				c.sub("t", "late")
				crash("SUB")
			})
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				requests.Wait()
			}()
			select {
			case <-answered:
			case <-time.After(50 * time.Millisecond): // they wait for the end
			}
			if fails {
				return errFailingDisk
			}
			return nil
		})))
		for _, path := range []string{"/topic/create?topic=t&durability=memory", "/channel/create?topic=t&channel=gone", "/channel/create?topic=t&channel=stays"} {
			a.post(path)
		}
		answer, text := 200, ""
		if fails {
			answer, text = 503, `{"message":"DISK_ERROR"}`
		}
		a.want(answer, text, "POST", "/topic/create?topic=t&durability=disk", "")
		requests.Wait()
		if got := pauses(newAPI(t, n.Restart()).stats("topic=t").Topics[0].Channels); got != "late:false stays:false " {
			t.Errorf("where the change fails (%v), the topic has the channels %s", fails, got)
		}
	}
}

// makeForChange makes a topic with a channel that is paused and one that is not.
func makeForChange(a *api, topic, durability string) {
	a.tb.Helper()
	a.post("/topic/create?topic=" + topic + "&durability=" + durability)
	for _, channel := range []string{"paused", "open"} {
		a.post("/channel/create?topic=" + topic + "&channel=" + channel)
	}
	a.post("/channel/pause?topic=" + topic + "&channel=paused")
}

// wantAfterChange checks what makeForChange has made, and that it works.
func wantAfterChange(t *testing.T, n *nsqtest.NSQD, topic, durability string) {
	t.Helper()
	s := newAPI(t, n).stats("topic=" + topic).Topics
	if len(s) != 1 || s[0].Durability != durability || s[0].Paused || pauses(s[0].Channels) != "open:false paused:true " {
		t.Fatalf("the topic is %+v, want it with durability %s", s, durability)
	}
	p, c := dialRaw(t, n), dialRaw(t, n)
	defer p.close()
	c.consume(topic, "open", 1)
	p.pub(topic, "after")
	c.fin(c.wantMessage("after", 1))
	c.sync()
	wantCounts(t, n, topic, "paused", nsqd.Counts{Depth: 1})
	c.close()
	nsqtest.Eventually(t, "the consumer is gone", func() bool { // or it would be sent what comes next
		for _, ch := range newAPI(t, n).stats("topic=" + topic).Topics[0].Channels {
			if len(ch.Clients) > 0 {
				return false
			}
		}
		return true
	})
}

func pauses(channels []stats.Channel) (text string) {
	for _, ch := range channels {
		text += fmt.Sprintf("%s:%v ", ch.Name, ch.Paused)
	}
	return text
}
