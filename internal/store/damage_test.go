package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// aged makes a store with a history: finished, waiting, given out and deferred
// messages, moved ones, and segments that are gone. It returns what must be
// given by channel a, in the order of the bodies.
func aged(t *testing.T, o Options) (want []string) {
	t.Helper()
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a", "b")
	topic.Release()
	a, b := channels[0], channels[1]
	for i := range 20 {
		later := numbered(i*10, i*10+1)
		later.Due = hour(i + 1)
		mustAppend(t, topic, later, numbered(i*10+1, i*10+10), batch(fmt.Sprintf("%0400d", 5000+i)))
		finish(b, next(t, b, 100))
		all := next(t, a, 100)
		want = append(want, fmt.Sprint(i*10), all[0].body)
		finish(a, all[1:])
		noteAll(s)
	}
	mustAppend(t, topic, numbered(1000, 1010))
	want = append(want, numbers(1000, 1010)...)
	if _, gone := topic.log.Begin(); gone.Segment() < 2 || topic.kept.Load() == nil {
		t.Fatal("nothing was trimmed or moved")
	}
	slices.Sort(want)
	return want
}

// wantAll checks that a channel gives what it must, each once, and returns
// how many others came.
func wantAll(t *testing.T, s *Store, want []string) (others int) {
	t.Helper()
	topic := topicNamed(t, s, "orders")
	topic.Release()
	c := topic.Channels()[0]
	messages, _ := due(t, c, 1<<62, 1000)
	all := append(bodies(next(t, c, 1000)), bodies(each(messages))...)
	slices.Sort(all)
	if once := slices.Compact(slices.Clone(all)); len(once) != len(all) {
		t.Errorf("some came twice: %v", all)
	}
	for _, body := range want {
		if _, ok := slices.BinarySearch(all, body); !ok {
			t.Errorf("message %s is lost", body)
		}
	}
	return len(all) - len(want)
}

func smallSegments(t *testing.T, fs vfs.FS) Options {
	o := testOptions(t, fs)
	o.SegmentBytes = 900
	return o
}

func copyOf(mem *vfs.MemFS) *vfs.MemFS {
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
}

func TestADamagedIndexCostsNoMessage(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := smallSegments(t, mem)
	want := aged(t, o)
	index := mem.PathJoin(testDir, indexDir)
	files, err := mem.List(index)
	if err != nil {
		t.Fatal(err)
	}
	for damage, change := range map[string]func([]byte) []byte{
		"removed": nil,
		"emptied": func([]byte) []byte { return nil },
		"halved":  func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
		"zeroed":  func(b []byte) []byte { clear(b[len(b)/3:]); return b },
	} {
		for _, file := range files {
			t.Run(damage+" "+file, func(t *testing.T) {
				disk := copyOf(mem)
				name := disk.PathJoin(index, file)
				data, err := readFile(disk, name)
				if err != nil || len(data) == 0 {
					t.Skip("nothing to damage")
				}
				if err := disk.Remove(name); err != nil {
					t.Fatal(err)
				}
				if change != nil {
					if err := writeFile(disk, name, change(data)); err != nil {
						t.Fatal(err)
					}
				}
				var log bytes.Buffer
				o.FS, o.Logger = disk, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
				s := mustOpen(t, o)
				defer func() { mustClose(t, s) }()
				others := wantAll(t, s, want)
				if rebuilt := strings.Contains(log.String(), "rebuilt"); others > 0 && !rebuilt {
					t.Errorf("%d came again: %s", others, &log)
				}
				if _, err := disk.Stat(disk.PathJoin(testDir, rebuildFile)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it would be rebuilt again: %v", err)
				}
			})
		}
	}
}

func TestAMissingIndexAndMetaCostNoMessage(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := smallSegments(t, mem)
	want := aged(t, o)
	disk := copyOf(mem)
	if err := disk.RemoveAll(disk.PathJoin(testDir, indexDir)); err != nil {
		t.Fatal(err)
	}
	o.FS = disk
	s := mustOpen(t, o)
	wantAll(t, s, want)
	mustClose(t, s)

	for _, content := range []string{"", "{", "{}"} {
		disk = copyOf(mem)
		o.FS = disk
		if err := writeFile(disk, disk.PathJoin(testDir, topicsDir, topicDir(1, "orders"), metaFile), []byte(content)); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, o)
		if others := wantAll(t, s, want); others != 0 || topicNamed(t, s, "orders").Durability() != Disk {
			t.Errorf("%d came again; durability is %v", others, topicNamed(t, s, "orders").Durability())
		}
		mustClose(t, s)
	}
}

// Nobody knows then what the channels were called, nor what they have finished.
func TestWithoutIndexAndMetaTheFirstChannelGetsAllThereIs(t *testing.T) {
	o := smallSegments(t, vfs.NewMem())
	want := aged(t, o)
	meta := o.FS.PathJoin(testDir, topicsDir, topicDir(1, "orders"), metaFile)
	if err := o.FS.RemoveAll(o.FS.PathJoin(testDir, indexDir)); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(o.FS, meta, []byte("{")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	var damages []seglog.Damage
	o.Damage = func(_ string, d seglog.Damage) { damages = append(damages, d) }
	s := mustOpen(t, o)
	if len(damages) != 1 || damages[0] != (seglog.Damage{File: meta, Bytes: 1}) || !strings.Contains(log.String(), "is not known any more") {
		t.Errorf("damage is told as %v, and %s", damages, &log)
	}
	c, err := topicNamed(t, s, "orders").CreateChannel("new")
	if err != nil || c.id != 3 {
		t.Fatalf("the channel is number %d, %v, want 3", c.id, err)
	}
	s = reopen(t, s, o)
	defer mustClose(t, s)
	wantAll(t, s, want)
	if places, _, _ := topicNamed(t, s, "orders").Damage(); places != 0 {
		t.Error("it is told again")
	}
}

func TestIDsOfDeletedChannelsAreNotGivenAgain(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	mustAppend(t, topic, numbered(0, 1))
	messages, err := channels[0].Next(nil, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(channels[0].Defer(messages[0], hour(1)), channels[0].Delete()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if err := o.FS.Remove(o.FS.PathJoin(topic.dir, metaFile)); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	defer mustClose(t, s)
	c, err := topicNamed(t, s, "orders").CreateChannel("b")
	if err != nil || c.id != 2 {
		t.Errorf("the channel is number %d, %v, want 2", c.id, err)
	}
}

// What writes down how far channels are must not go on without a store.
func TestAFailedOpenLeavesNobodyBehind(t *testing.T) {
	var broken atomic.Bool
	mem := vfs.NewMem()
	o := testOptions(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpRemove && strings.HasSuffix(op.Path, rebuildFile) {
			return syscall.EIO
		}
		return nil
	})))
	o.NoteEvery = time.Millisecond
	s := mustOpen(t, o)
	mustCreate(t, s, "orders", "a")
	mustClose(t, s)
	if err := o.FS.RemoveAll(o.FS.PathJoin(testDir, indexDir)); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if _, err := Open(o); !errors.Is(err, syscall.EIO) {
		t.Fatalf("opened with %v", err)
	}
	var stacks bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stacks.String(), "(*Store).upkeep") {
		t.Error("it still runs")
	}
}

func TestALaterFormIsRefused(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	mustClose(t, mustOpen(t, o))
	name := o.FS.PathJoin(testDir, formatFile)
	if err := writeFile(o.FS, name, []byte("2\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "later software") {
		t.Errorf("got %v", err)
	}
}

func TestAFullDiskRefusesAndResumesByItself(t *testing.T) {
	var isFull atomic.Bool
	mem := vfs.NewMem()
	o := testOptions(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isFull.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && !removes(op.Kind) {
			return syscall.ENOSPC
		}
		return nil
	})))
	o.NoteEvery = time.Millisecond
	healthy := make(chan error, 100)
	o.Health = func(err error) { healthy <- err }
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	c := channels[0]
	topic.Release()
	mustAppend(t, topic, numbered(0, 30))
	messages, err := c.Next(nil, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	isFull.Store(true)
	if err := topic.Append([]*Batch{numbered(50, 60)}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("append: %v", err)
	}
	if err := c.Defer(messages[0], hour(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("defer: %v", err)
	}
	finish(c, next(t, c, 9))
	wantDepth(t, c, 20)
	if err := c.Empty(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrNotNoted) {
		t.Errorf("emptied on a full disk: %v", err)
	}
	wantDepth(t, c, 20)
	if err := <-healthy; err == nil || s.Err() == nil {
		t.Error("healthy on a full disk")
	}
	isFull.Store(false)
	for err := range healthy {
		if err == nil {
			break
		}
	}
	mustAppend(t, topic, numbered(60, 62))
	s = reopen(t, s, o)
	defer mustClose(t, s)
	topic = topicNamed(t, s, "orders")
	topic.Release()
	want := slices.Concat(numbers(0, 1), numbers(10, 30), numbers(60, 62))
	wantBodies(t, next(t, topic.Channels()[0], 100), want)
}

func removes(k errorfs.OpKind) bool {
	return k == errorfs.OpRemove || k == errorfs.OpRemoveAll || k == errorfs.OpFileClose
}

func TestAnEndThatIsCutOffIsToldOnce(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	lost := 0
	o.Damage = func(topic string, d seglog.Damage) {
		if topic != "orders" {
			t.Errorf("damage of topic %q", topic)
		}
		lost += int(d.Messages)
	}
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a", "done")
	topic.Release()
	mustAppend(t, topic, numbered(0, 10))
	mustAppend(t, topic, numbered(10, 14))
	messages, err := channels[0].Next(nil, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := channels[0].Defer(messages[0], hour(1)); err != nil {
		t.Fatal(err)
	}
	done := next(t, channels[1], 14)
	finish(channels[1], done)
	dir := o.FS.PathJoin(topic.dir, logDir)
	mustClose(t, s)

	names, err := o.FS.List(dir)
	if err != nil || len(names) != 1 {
		t.Fatalf("the log has the files %q, %v", names, err)
	}
	cutInHalf(t, o.FS, o.FS.PathJoin(dir, names[0]))
	for _, want := range []int{4 + 1, 0} { // the first half has the first append
		lost = 0
		s = mustOpen(t, o)
		if lost != want {
			t.Errorf("%d messages are told to be lost, want %d", lost, want)
		}
		mustClose(t, s)
	}
}

func cutInHalf(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	data, err := readFile(fs, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data[:len(data)/2]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// What a power cut took from a topic that survives kills only is known when the store is opened.
func TestDepthIsWithoutWhatAPowerCutTook(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		disk := vfs.NewCrashableMem()
		o := testOptions(t, disk)
		o.Damage = func(string, seglog.Damage) {}
		s := mustOpen(t, o)
		topic, channels := mustCreate(t, s, "orders", "a")
		topic.Release()
		for i := range 12 {
			mustAppend(t, topic, batch(fmt.Sprintf("%03000d", i)))
		}
		finish(channels[0], next(t, channels[0], 2))
		noteAll(s)
		o.FS = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 70, RNG: rand.New(rand.NewPCG(1, seed))})
		mustClose(t, s)
		s = mustOpen(t, o)
		topic = topicNamed(t, s, "orders")
		topic.Release()
		c := topic.Channels()[0]
		depth := c.Depth()
		got := next(t, c, 100)
		if depth != int64(len(got)) || c.Depth() != 0 {
			t.Errorf("seed %d: the depth is %d, %d messages come, and then it is %d", seed, depth, len(got), c.Depth())
		}
		lost += 12 - len(got)
		mustClose(t, s)
	}
	if lost < 100 {
		t.Errorf("%d messages were lost: that is no test", lost)
	}
}
