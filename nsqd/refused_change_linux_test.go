package nsqd_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// startOnShortDisk starts a broker on a disk with little room, of which nothing is taken in advance
// any more: the index has tried to.
func startOnShortDisk(t *testing.T, opts *nsqd.Options) *nsqtest.NSQD {
	t.Helper()
	opts.DataPath = nsqtest.ShortDisk(t)
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	if opts.Durability != nsqd.Memory {
		a := newAPI(t, n)
		a.post("/topic/create?topic=first")
		a.post("/topic/empty?topic=first") // which writes to the index twice
		a.post("/topic/delete?topic=first")
	}
	return n
}

// makeRoom removes what fills the disk of startOnShortDisk, and a file or directory, ballast, that a
// test has filled it with.
func makeRoom(t *testing.T, opts *nsqd.Options) {
	t.Helper()
	for _, name := range []string{"ballast", "others"} {
		if err := os.RemoveAll(filepath.Join(opts.DataPath, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// What is answered with an error on a full disk has not happened, then and after a
// restart; with room again it is done.
func TestChangeThatIsRefusedHasNotHappened(t *testing.T) {
	for _, d := range []nsqd.Durability{nsqd.Memory, nsqd.Disk, nsqd.Fsync} {
		t.Run(d.String(), func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.Durability = d
			opts.MinFreeDisk = 1
			n := startOnShortDisk(t, opts)
			a := newAPI(t, n)
			for _, topic := range []string{"running", "waiting"} {
				a.post("/topic/create?topic=" + topic)
				a.post("/channel/create?channel=going&topic=" + topic)
				a.post("/channel/create?channel=idle&topic=" + topic)
				a.post("/channel/pause?channel=idle&topic=" + topic)
			}
			a.post("/topic/pause?topic=waiting")
			consumer := dialRaw(t, n)
			consumer.consume("running", "going", 1)
			before := statsOf(t, n)
			nsqtest.FillDisk(t, filepath.Join(opts.DataPath, "ballast"))

			changes := []string{
				"/topic/pause?topic=running", "/topic/unpause?topic=waiting",
				"/channel/pause?topic=running&channel=going", "/channel/unpause?topic=running&channel=idle",
			}
			if d != nsqd.Memory {
				changes = append(changes, "/topic/create?topic=more", "/channel/create?topic=running&channel=more", "/channel/delete?topic=running&channel=going")
			}
			for _, path := range changes {
				a.want(507, `{"message":"DISK_FULL"}`, "POST", path, "")
				if got := statsOf(t, n); got != before {
					t.Errorf("after %s there is %s, want %s", path, got, before)
				}
			}
			consumer.sync()
			wantPing(t, n, 500, noSpace)

			makeRoom(t, opts)
			n = n.Restart()
			if got := statsOf(t, n); got != before {
				t.Errorf("after a restart there is %s, want %s", got, before)
			}
			a = newAPI(t, n)
			for _, path := range changes {
				a.post(path)
			}
			after := statsOf(t, n)
			if got := statsOf(t, n.Restart()); got != after {
				t.Errorf("with room it did %s, and after another restart there is %s", after, got)
			}
		})
	}
}

// A publish that is refused, as the disk is full or as only the reserve is left, makes no
// durable topic, over TCP and HTTP, now or after a restart, and the health says why; with
// room it does.
func TestPublishThatIsRefusedMakesNoTopic(t *testing.T) {
	for _, d := range []nsqd.Durability{nsqd.Disk, nsqd.Fsync} {
		for reserve, reason := range map[int64]string{1: "no byte free", 512 << 10: "the reserve left"} {
			t.Run(fmt.Sprint(d, ", ", reason), func(t *testing.T) {
				opts := nsqtest.Options(t)
				opts.Durability = d
				opts.MinFreeDisk = reserve
				n := startOnShortDisk(t, opts)
				a := newAPI(t, n)
				a.post("/topic/create?topic=before")
				ballast := filepath.Join(opts.DataPath, "ballast")
				if reserve == 1 {
					nsqtest.FillDisk(t, ballast)
				} else {
					writeFile(t, ballast, strings.Repeat("x", 5<<18))
				}

				p := &publisher{t: t, n: n, topic: "tcp"}
				if refused := p.pub(2000); !strings.HasPrefix(refused, "E_PUB_FAILED PUB failed ") || !strings.Contains(refused, noSpace) {
					t.Errorf("refused with %q", refused)
				}
				a.want(507, `{"message":"DISK_FULL"}`, "POST", "/pub?topic=pub", "m")
				a.want(507, `{"message":"DISK_FULL"}`, "POST", "/mpub?topic=mpub", "m\nm")
				if got := statsOf(t, n); got != "before" {
					t.Errorf("there is %s", got)
				}
				wantPing(t, n, 500, noSpace)
				makeRoom(t, opts)
				eventuallyWell(t, n) // without a publish
				n = n.Restart()
				if got := statsOf(t, n); got != "before" {
					t.Errorf("after a restart there is %s", got)
				}
				for _, topic := range []string{"tcp", "pub", "mpub"} {
					newAPI(t, n).want(200, "OK", "POST", "/pub?topic="+topic, "m")
				}
				if got := statsOf(t, n.Restart()); got != "before, mpub, pub, tcp" {
					t.Errorf("with room again there is %s", got)
				}
			})
		}
	}
}

// A channel or topic that cannot be emptied on a full disk keeps its messages, and delivers
// them; with room again they are emptied.
func TestEmptyThatIsRefusedHasNotHappened(t *testing.T) {
	opts := durableOptions(t)
	opts.MinFreeDisk = 1
	n := startOnShortDisk(t, opts)
	a := newAPI(t, n)
	const each, tries = 5, 40
	p := dialRaw(t, n)
	var paths []string
	for i := range tries {
		alone, topic := fmt.Sprint("alone", i), fmt.Sprint("t", i)
		a.post("/topic/create?topic=" + alone)
		a.post("/topic/create?topic=" + topic)
		a.post("/channel/create?channel=c&topic=" + topic)
		p.mpub(alone, bodies("m", each)...)
		p.mpub(topic, bodies("m", each)...)
		paths = append(paths, "/topic/empty?topic="+alone, "/channel/empty?channel=c&topic="+topic)
	}
	ballast := filepath.Join(opts.DataPath, "ballast")
	if err := os.Mkdir(ballast, 0o700); err != nil {
		t.Fatal(err)
	}

	depth := func(path string) int64 {
		_, topic, _ := strings.Cut(path, "topic=")
		s := newAPI(t, n).stats("topic=" + topic).Topics[0]
		for _, ch := range s.Channels {
			return ch.Depth
		}
		return s.Depth
	}
	refused := make(map[string]bool)
	for i, path := range paths {
		nsqtest.FillDisk(t, filepath.Join(ballast, fmt.Sprint(i))) // again, as to empty some makes room
		resp, text, err := a.try("POST", path, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused[path] = resp.StatusCode == 507 && text == `{"message":"DISK_FULL"}`
		done := resp.StatusCode == 200 || resp.StatusCode == 507 && text == `{"message":"NOT_SAVED"}`
		if got := depth(path); !(refused[path] && got == each || done && got == 0) {
			t.Fatalf("%s: %d %s, and %d messages are there", path, resp.StatusCode, text, got)
		}
	}
	last := paths[len(paths)-1]
	if !refused[last] || !refused[paths[len(paths)-2]] {
		t.Fatal("all were emptied on a full disk")
	}
	c := dialRaw(t, n)
	c.consume(fmt.Sprint("t", tries-1), "c", each)
	c.take(each)
	c.sync()

	makeRoom(t, opts)
	eventuallyWell(t, n)
	n = n.Restart()
	for _, path := range paths[:len(paths)-1] {
		if want := map[bool]int64{true: each}[refused[path]]; depth(path) != want {
			t.Errorf("%s: after a restart %d messages are there, want %d", path, depth(path), want)
		}
		newAPI(t, n).post(path)
		if got := depth(path); got != 0 {
			t.Errorf("%s: with room %d messages are left", path, got)
		}
	}
}
