package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// fakeConsumer is starved on demand.
type fakeConsumer struct{ starved bool }

func (c *fakeConsumer) ConnectToNSQDs([]string) error       { return nil }
func (c *fakeConsumer) ConnectToNSQLookupds([]string) error { return nil }
func (c *fakeConsumer) StopContext(context.Context) error   { return nil }
func (c *fakeConsumer) IsStarved() bool                     { return c.starved }

// broker delivers messages to an archive and notes the answers.
type broker struct {
	t                  *testing.T
	a                  *archive
	disk               *faultyDisk
	dir                string
	now                time.Time
	finished, requeued []string
}

func (b *broker) OnFinish(m *nsq.Message) { b.finished = append(b.finished, string(m.Body)) }
func (b *broker) OnRequeue(m *nsq.Message, _ time.Duration, backoff bool) {
	if !backoff {
		b.t.Error("a message was requeued without backoff")
	}
	b.requeued = append(b.requeued, string(m.Body))
}
func (b *broker) OnTouch(*nsq.Message) {}

// newBroker returns a broker, and an archive for topic t with files below dir.
func newBroker(t *testing.T, args ...string) *broker {
	t.Helper()
	dir := t.TempDir()
	return newBrokerIn(t, dir, args...)
}

func newBrokerIn(t *testing.T, dir string, args ...string) *broker {
	t.Helper()
	b := &broker{t: t, disk: newFaultyDisk(), dir: dir, now: time.Date(2026, 11, 21, 19, 0, 0, 0, time.Local)}
	t.Chdir(dir)
	o := fileOptions(t, "out", append([]string{"-filename-format=<TOPIC><REV>.<DATETIME>", "-datetime-format=%M"}, args...)...)
	a, err := newArchive(b.disk, o, "t")
	if err != nil {
		t.Fatal(err)
	}
	a.consumer = &fakeConsumer{}
	b.a = a
	return b
}

// deliver has messages written.
func (b *broker) deliver(bodies ...string) {
	var messages []*nsq.Message
	for _, body := range bodies {
		m := nsq.NewMessage(nsq.MessageID{}, []byte(body))
		m.Delegate = b
		messages = append(messages, m)
	}
	b.a.write(messages, b.now)
}

// expect compares the answers since the last call.
func (b *broker) expect(what string, finished, requeued []string) {
	b.t.Helper()
	if !slices.Equal(b.finished, finished) || !slices.Equal(b.requeued, requeued) {
		b.t.Errorf("%s: finished %q, requeued %q, want %q and %q", what, b.finished, b.requeued, finished, requeued)
	}
	b.finished, b.requeued = nil, nil
}

// expectFiles compares the files, each of which is written as name:content with
// spaces for newlines.
func (b *broker) expectFiles(what string, want ...string) {
	b.t.Helper()
	var got []string
	for _, name := range namesIn(b.t, b.dir) {
		content, err := os.ReadFile(filepath.Join(b.dir, name))
		if err != nil {
			b.t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			content = gunzip(b.t, content)
		}
		got = append(got, name+":"+strings.ReplaceAll(string(content), "\n", " "))
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("%s: the files are %q, want %q", what, got, want)
	}
}

func TestMessagesAreFinishedAfterSync(t *testing.T) {
	b := newBroker(t, "-max-in-flight=3")
	b.deliver("1")
	b.expect("the first of a file", []string{"1"}, nil)
	b.deliver("2")
	b.expect("nothing calls for a sync", nil, nil)
	b.expectFiles("but it is written", "out/t.00:1 2 ")
	b.a.tick(b.now)
	b.expect("a tick", []string{"2"}, nil)
	b.deliver("3", "4", "5", "6")
	b.expect("a batch is complete", []string{"3", "4", "5"}, nil)
	b.a.consumer = &fakeConsumer{starved: true}
	b.deliver("7")
	b.expect("the consumer is starved", []string{"6", "7"}, nil)
	b.a.consumer = &fakeConsumer{}
	b.deliver("8")
	b.a.reopen()
	b.expect("SIGHUP", []string{"8"}, nil)
	if b.a.out.isOpen() {
		t.Error("the file is open after SIGHUP")
	}
	b.deliver("9")
	b.expect("the first of a file that is continued", []string{"9"}, nil)
	b.expectFiles("at the end", "out/t.00:1 2 3 4 5 6 7 8 9 ")
}

// What is on disk, and what is finished, with rotation and without.
func TestFiles(t *testing.T) {
	minutes := func(n int) func(*broker) {
		return func(b *broker) { b.now = b.now.Add(time.Duration(n) * time.Minute) }
	}
	send := func(bodies ...string) func(*broker) { return func(b *broker) { b.deliver(bodies...) } }
	tick := func(b *broker) { b.a.tick(b.now) }
	hangUp := func(b *broker) { b.a.reopen() }
	end := func(b *broker) { b.a.stopping = true; b.a.sync(); b.a.close() }
	restart := func(b *broker) { // as after a kill
		b.a.out.f.Close()
		again := newBrokerIn(b.t, b.dir)
		again.a.o = b.a.o
		out, err := newOutput(b.disk, b.a.o, "t", "")
		if err != nil {
			b.t.Fatal(err)
		}
		b.a.out = out
	}
	for name, c := range map[string]struct {
		args  []string
		steps []func(*broker)
		files []string
	}{
		"a name that does not change": {
			nil, []func(*broker){send("1"), tick, send("2"), hangUp, send("3"), restart, send("4")},
			[]string{"out/t.00:1 2 3 4 "},
		},
		"a name that changes": {
			nil, []func(*broker){send("1"), minutes(1), send("2"), minutes(1), tick},
			[]string{"out/t.00:1 ", "out/t.01:2 ", "out/t.02:"},
		},
		"a tick creates an empty file": {
			nil, []func(*broker){tick}, []string{"out/t.00:"},
		},
		"not with -skip-empty-files": {
			[]string{"-skip-empty-files"}, []func(*broker){tick, send("1"), minutes(1), tick, minutes(1), tick, send("2"), end},
			[]string{"out/t.00:1 ", "out/t.02:2 "},
		},
		"size": { // is checked before a message
			[]string{"-rotate-size=5"}, []func(*broker){send("1", "2", "3", "4", "5"), send("a long one", "6"), minutes(1), send("7")},
			[]string{"out/t-000000.00:1 2 3 ", "out/t-000000.01:7 ", "out/t-000001.00:4 5 a long one ", "out/t-000002.00:6 "},
		},
		"size, continued": {
			[]string{"-rotate-size=5"}, []func(*broker){send("1", "2", "3"), restart, send("4"), restart, send("5", "6", "7")},
			[]string{"out/t-000000.00:1 2 3 ", "out/t-000001.00:4 5 6 ", "out/t-000002.00:7 "},
		},
		"interval": {
			[]string{"-rotate-interval=90s", "-datetime-format=x"}, []func(*broker){send("1"), minutes(1), send("2"), minutes(1), send("3"), minutes(2), tick},
			[]string{"out/t-000000.x:1 2 ", "out/t-000001.x:3 ", "out/t-000002.x:"},
		},
		"interval, restarted": {
			[]string{"-rotate-interval=90s"}, []func(*broker){send("1"), restart, send("2")},
			[]string{"out/t-000000.00:1 ", "out/t-000001.00:2 "},
		},
		"gzip": {
			[]string{"-gzip"}, []func(*broker){send("1"), send("2"), tick, send("3", "4"), tick, hangUp, send("5"), restart, send("6")},
			[]string{"out/t-000000.00.gz:1 2 3 4 ", "out/t-000001.00.gz:5 ", "out/t-000002.00.gz:6 "},
		},
		"gzip, nothing written": {
			[]string{"-gzip"}, []func(*broker){tick, minutes(1), tick, send("1"), end},
			[]string{"out/t-000000.00.gz:", "out/t-000000.01.gz:1 "},
		},
		"gzip and size": { // before compression
			[]string{"-gzip", "-rotate-size=5"}, []func(*broker){send("1", "2", "3", "4"), end},
			[]string{"out/t-000000.00.gz:1 2 3 ", "out/t-000001.00.gz:4 "},
		},
		"gzip and name": {
			[]string{"-gzip"}, []func(*broker){send("1"), hangUp, send("2"), minutes(1), send("3")},
			[]string{"out/t-000000.00.gz:1 ", "out/t-000000.01.gz:3 ", "out/t-000001.00.gz:2 "},
		},
		"work directory": {
			[]string{"-work-dir=work"}, []func(*broker){send("1"), tick, minutes(1), send("2"), hangUp, send("3")},
			[]string{"out/t-000000.00:1 ", "out/t-000000.01:2 ", "work/t-000001.01:3 "},
		},
		"work directory, ended": {
			[]string{"-work-dir=work", "-gzip"}, []func(*broker){send("1"), hangUp, send("2"), end},
			[]string{"out/t-000000.00.gz:1 ", "out/t-000001.00.gz:2 "},
		},
		"work directory, restarted": {
			[]string{"-work-dir=work"}, []func(*broker){send("1"), restart, send("2"), end},
			[]string{"out/t-000000.00:1 2 "},
		},
		"work directory and -skip-empty-files": {
			[]string{"-work-dir=work", "-skip-empty-files"}, []func(*broker){send("1"), minutes(1), tick, tick, send("2"), hangUp, tick, send("3"), end},
			[]string{"out/t-000000.00:1 ", "out/t-000000.01:2 ", "out/t-000001.01:3 "},
		},
		"directories in names": {
			[]string{"-work-dir=work/deep", "-filename-format=<TOPIC>/<DATETIME>/f<REV>", "-datetime-format=%H/%M"}, []func(*broker){send("1"), minutes(1), send("2")},
			[]string{"out/t/19/00/f-000000:1 ", "work/deep/t/19/01/f-000000:2 "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, c.args...)
			for _, step := range c.steps {
				step(b)
			}
			b.a.sync()
			b.expectFiles(name, c.files...)
			if b.requeued != nil || len(b.a.pending) > 0 || b.a.err != nil {
				t.Errorf("requeued %q, %d pending, %v", b.requeued, len(b.a.pending), b.a.err)
			}
			b.a.out.close()
		})
	}
}

func (b *broker) put(name, content string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func TestTargetThatExistsIsLeftAlone(t *testing.T) {
	b := newBroker(t, "-work-dir=work")
	b.put("out/t-000000.00", "0\n")
	b.deliver("1")
	b.put("out/t-000001.00", "somebody else\n")
	b.a.close()
	b.expectFiles("numbers", "out/t-000000.00:0 ", "out/t-000001.00:somebody else ", "out/t-000002.00:1 ")
}

// A kill between link and unlink leaves a file under both names.
func TestInterruptedMove(t *testing.T) {
	b := newBroker(t, "-work-dir=work")
	b.put("work/t-000000.00", "1\n")
	b.put("out/x", "")
	if err := os.Link("work/t-000000.00", "out/t-000000.00"); err != nil {
		t.Fatal(err)
	}
	b.deliver("2")
	b.a.close()
	b.expectFiles("both", "out/t-000000.00:1 ", "out/t-000001.00:2 ", "out/x:")
}

func TestHalfARecordIsNotContinued(t *testing.T) {
	b := newBroker(t)
	b.put("out/t.00", "1\n2\nhal")
	b.deliver("3")
	b.expectFiles("plain", "out/t.00:1 2 3 ")
}

// Two archives may append to one file. What one of them takes back is its own.
func TestSharedFile(t *testing.T) {
	b := newBroker(t, "-filename-format=f")
	other := newBrokerIn(t, b.dir, "-filename-format=f")
	b.deliver("1")
	other.deliver("a")
	b.deliver("2")
	other.deliver("b")
	b.deliver("3")
	b.disk.room = 2
	b.deliver("lost")
	b.expect("no room", []string{"1"}, []string{"2", "3", "lost"})
	b.expectFiles("no half record", "out/f:1 a 2 b 3 ")
	other.deliver("c")
	b.disk.room = -1
	b.deliver("4")
	b.expectFiles("both go on", "out/f:1 a 2 b 3 c 4 ")

	b.disk.fail = func(op string) error {
		if op != "sync" {
			return nil
		}
		other.deliver("d")
		other.a.sync()
		return syscall.EIO
	}
	b.deliver("5")
	b.a.sync()
	b.disk.fail = nil
	b.expectFiles("the other was finished when ours failed", "out/f:1 a 2 b 3 c 4 5 d ")
}

// Whatever fails, and however often: there is no half record in any file but at its
// end, everything that was finished is there, and it goes on once nothing fails.
func TestFailures(t *testing.T) {
	eio := &os.PathError{Op: "x", Path: "y", Err: syscall.EIO}
	faults := map[string]func(*faultyDisk){
		"no room at all":      func(d *faultyDisk) { d.room = 0 },
		"room for 1 byte":     func(d *faultyDisk) { d.room = 1 },
		"room for 5 bytes":    func(d *faultyDisk) { d.room = 5 },
		"room for 40 bytes":   func(d *faultyDisk) { d.room = 40 },
		"write":               func(d *faultyDisk) { d.fail = failing(eio, "write") },
		"sync":                func(d *faultyDisk) { d.fail = failing(eio, "sync") },
		"write and truncate":  func(d *faultyDisk) { d.fail = failing(eio, "write", "truncate") },
		"sync and truncate":   func(d *faultyDisk) { d.fail = failing(eio, "sync", "truncate") },
		"open":                func(d *faultyDisk) { d.fail = failing(eio, "open") },
		"mkdir":               func(d *faultyDisk) { d.fail = failing(eio, "mkdir") },
		"link":                func(d *faultyDisk) { d.fail = failing(eio, "link") },
		"remove":              func(d *faultyDisk) { d.fail = failing(eio, "remove") },
		"sync of directories": func(d *faultyDisk) { d.fail = failing(eio, "syncdir") },
		"close":               func(d *faultyDisk) { d.fail = failing(eio, "close") },
		"everything":          func(d *faultyDisk) { d.fail = func(string) error { return eio } },
	}
	for _, mode := range [][]string{nil, {"-gzip"}, {"-work-dir=work", "-rotate-size=20"}, {"-work-dir=work", "-gzip", "-rotate-size=20"}} {
		for fault, inject := range faults {
			t.Run(strings.Join(mode, " ")+" "+fault, func(t *testing.T) {
				b := newBroker(t, append([]string{"-max-in-flight=3"}, mode...)...)
				for round := range 2 {
					b.deliver(numbers(3)...)
					inject(b.disk)
					b.deliver(numbers(7)...)
					b.a.tick(b.now)
					b.a.reopen()
					b.deliver("later")
					b.checkFinished("while it fails")
					b.disk.room, b.disk.fail = -1, nil
					b.finished, b.requeued = nil, nil
					b.now = b.now.Add(time.Minute)
					b.deliver("again", "and again")
					b.a.sync()
					if round == 0 {
						b.a.reopen()
					}
					if !slices.Equal(b.finished, []string{"again", "and again"}) || b.requeued != nil || b.a.err != nil || b.a.failing {
						t.Errorf("when nothing fails any more: finished %q, requeued %q, %v", b.finished, b.requeued, b.a.err)
					}
					b.checkFinished("when nothing fails any more")
				}
				b.a.close()
				b.checkFinished("at the end")
				if left := namesIn(t, b.dir); b.a.o.moves() && slices.ContainsFunc(left, func(n string) bool { return strings.HasPrefix(n, "work/") }) {
					t.Errorf("not moved: %q", left)
				}
			})
		}
	}
}

// checkFinished compares what is finished with the files, of which each record must
// be one of those that TestFailures sends.
func (b *broker) checkFinished(when string) {
	b.t.Helper()
	have := map[string]int{}
	known := append(numbers(7), "later", "again", "and again")
	for _, name := range namesIn(b.t, b.dir) {
		text, err := os.ReadFile(name)
		if err != nil {
			b.t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			text = wholeMembers(b.t, text)
		}
		records := strings.Split(string(text), "\n")
		for _, r := range records[:len(records)-1] { // behind the last newline is nothing, or what a failing truncate has left
			have[r]++
			if !slices.Contains(known, r) {
				b.t.Errorf("%s: %s has %q", when, name, r)
			}
		}
	}
	for _, r := range b.finished {
		if have[r]--; have[r] < 0 {
			b.t.Errorf("%s: %q is finished and not in a file", when, r)
		}
	}
}

// Whoever cleans up a full disk has the files closed.
func TestHangUpWhileNothingCanBeWritten(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		b := newBroker(t)
		b.deliver("1")
		b.deliver("2")
		b.disk.fail = failing(syscall.ENOSPC, op)
		b.deliver("3")
		b.a.reopen()
		b.expect(op, []string{"1"}, []string{"2", "3"})
		if b.a.out.isOpen() {
			t.Errorf("%s fails: the file stays open", op)
		}
		b.expectFiles(op, "out/t.00:1 ")
	}
}

func TestPersistentErrorsEndTheProgram(t *testing.T) {
	for _, errno := range []error{syscall.ENOTDIR, syscall.EACCES, syscall.EROFS, syscall.EXDEV} {
		b := newBroker(t)
		b.disk.fail = failing(errno, "open")
		b.deliver("1", "2")
		b.expect(errno.Error(), nil, []string{"1", "2"})
		b.deliver("3")
		b.a.tick(b.now)
		b.expect(errno.Error(), nil, []string{"3"})
		if !errors.Is(b.a.err, errno) {
			t.Errorf("%v does not end the program", errno)
		}
	}
}
