//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// startLarge runs a broker that keeps all messages of a test in memory.
func startLarge(t *testing.T) *nsqtest.NSQD {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 1_000_000
	return nsqtest.Start(t, opts)
}

// bodies returns n messages of a round, which differ in length.
func bodies(round, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%d/%d %s", round, i, strings.Repeat("x", i%97)))
	}
	return all
}

// wholeRecords returns the records in the files below a directory, each once, and
// fails the test for what was never sent. A gzip file may end with part of a member.
func wholeRecords(t *testing.T, dir string, sent map[string]bool) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	for _, name := range namesIn(t, dir) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			text = wholeMembers(t, text)
		}
		records := strings.Split(string(text), "\n")
		for _, r := range records[:len(records)-1] {
			if !sent[r] {
				t.Errorf("%s has %q", name, r)
			}
			have[r] = true
		}
	}
	return have
}

// Killed under load, again and again: what is in the files and what the broker still
// has is everything, and there are only whole records.
func TestKill(t *testing.T) {
	const rounds, perRound = 10, 2000
	for name, args := range map[string][]string{
		"plain":                   {"-rotate-size=100000"},
		"gzip and work directory": {"-gzip", "-rotate-size=100000"},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := startLarge(t), t.TempDir()
			if name != "plain" {
				args = append(args, "-work-dir="+filepath.Join(dir, "work"))
			}
			sent := map[string]bool{}
			size := 0
			for round := range rounds {
				more := bodies(round, perRound)
				for _, b := range more {
					sent[b] = true
				}
				p := toFile(t, d, filepath.Join(dir, "out"), args...)
				tooltest.Publish(t, d, "t", more...)
				nsqtest.Eventually(t, "records in the files", func() bool { return len(contentsOrLess(t, dir)) > size+round*300 })
				p.Signal(syscall.SIGKILL)
				p.End()
				wholeRecords(t, dir, sent)
				size = len(contentsOrLess(t, dir))
			}
			if name != "plain" {
				work := filepath.Join(dir, "work")
				abandoned := namesIn(t, work)
				p := toFile(t, d, filepath.Join(dir, "out"), args...)
				nsqtest.Eventually(t, "what was left in the work directory is moved", func() bool {
					return !slices.ContainsFunc(namesIn(t, work), func(n string) bool { return slices.Contains(abandoned, n) })
				})
				p.Signal(syscall.SIGTERM)
				ended(t, p)
				if left := namesIn(t, work); left != nil {
					t.Errorf("left in the work directory: %q", left)
				}
			}
			have := wholeRecords(t, dir, sent)
			left := drain(t, d)
			t.Logf("of %d records, %d are in the files and %d with the broker", len(sent), len(have), len(left))
			for _, b := range left {
				have[b] = true
			}
			for b := range sent {
				if !have[b] {
					t.Fatalf("%q is lost", b)
				}
			}
		})
	}
}

// drain takes what nsqd has left, once it has noticed that the program is gone.
func drain(t *testing.T, d *nsqtest.NSQD) []string {
	t.Helper()
	nsqtest.Eventually(t, "nothing is in flight", func() bool { return stats(t, d).InFlight == 0 })
	return tooltest.Drain(t, d, "t", "c")
}

// contentsOrLess returns the bytes of all files, some of which may be moved meanwhile.
func contentsOrLess(t *testing.T, dir string) (all []byte) {
	for _, name := range namesIn(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// SIGTERM in the middle of the work, several times: nothing is lost, nothing comes
// twice, all files are complete.
func TestTerminateInTheMiddle(t *testing.T) {
	for _, args := range [][]string{nil, {"-gzip", "-rotate-size=20000", "-work-dir=work"}} {
		d, dir := startLarge(t), t.TempDir()
		if args != nil {
			args[2] = "-work-dir=" + t.TempDir()
		}
		all := bodies(0, 10_000)
		tooltest.Publish(t, d, "t", all...)
		for range 3 {
			size := len(contentsOrLess(t, dir))
			p := toFile(t, d, dir, append(args, "-max-in-flight=50")...)
			nsqtest.Eventually(t, "records in the files", func() bool { return len(contentsOrLess(t, dir)) > size })
			p.Signal(syscall.SIGTERM)
			ended(t, p)
		}
		text := contents(t, dir)
		got := append(strings.Split(strings.TrimSuffix(text, "\n"), "\n"), drain(t, d)...)
		slices.Sort(got)
		slices.Sort(all)
		if !slices.Equal(got, all) {
			t.Errorf("%q: %d records in files and with the broker, want %d", args, len(got), len(all))
		}
		if args != nil {
			if left := namesIn(t, strings.TrimPrefix(args[2], "-work-dir=")); left != nil {
				t.Errorf("left in the work directory: %q", left)
			}
		}
	}
}

// After SIGHUP the next message is in another file, or in another one of that name.
func TestHangUp(t *testing.T) {
	for name, c := range map[string]struct {
		args  []string
		files []string // with "one" and "two"
	}{
		"plain":                             {nil, []string{"t.h.1", "t.h"}}, // was renamed
		"gzip":                              {[]string{"-gzip"}, []string{"t.h-000000.gz", "t.h-000001.gz"}},
		"work directory":                    {[]string{"-work-dir"}, []string{"t.h-000000", "t.h-000001"}},
		"work directory, gzip, skip, ticks": {[]string{"-gzip", "-skip-empty-files", "-sync-interval=20ms", "-work-dir"}, []string{"t.h-000000.gz", "t.h-000001.gz"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir, args := nsqtest.Start(t, nil), t.TempDir(), slices.Clone(c.args)
			if n := len(args); n > 0 && args[n-1] == "-work-dir" {
				args[n-1] += "=" + t.TempDir()
			}
			p := toFile(t, d, dir, append(args, "-filename-format=<TOPIC>.<HOST><REV>")...)
			tooltest.Publish(t, d, "t", "one")
			nsqtest.Eventually(t, "a sync", func() bool { return strings.Contains(p.Errors.String(), "INFO: [t/c] syncing 1 records to disk\n") })
			if name == "plain" {
				if err := os.Rename(filepath.Join(dir, "t.h"), filepath.Join(dir, "t.h.1")); err != nil {
					t.Fatal(err)
				}
			}
			p.Signal(syscall.SIGHUP)
			nsqtest.Eventually(t, "the file is closed", func() bool { return strings.Contains(p.Errors.String(), "closing the file after SIGHUP") })
			if name != "plain" {
				nsqtest.Eventually(t, "the file is where it is to be", func() bool { return slices.Equal(namesIn(t, dir), c.files[:1]) })
			}
			tooltest.Publish(t, d, "t", "two")
			nsqtest.Eventually(t, "another sync", func() bool { return strings.Count(p.Errors.String(), "syncing 1 records to disk") == 2 })
			p.Signal(syscall.SIGTERM)
			ended(t, p)
			for i, want := range []string{"one\n", "two\n"} {
				text, err := os.ReadFile(filepath.Join(dir, c.files[i]))
				if strings.HasSuffix(c.files[i], ".gz") {
					text = gunzip(t, text)
				}
				if err != nil || string(text) != want {
					t.Errorf("%s has %q, %v, want %q", c.files[i], text, err, want)
				}
			}
			if left := namesIn(t, dir); len(left) != 2 {
				t.Errorf("the files are %q", left)
			}
		})
	}
}

// Stopped while messages are in flight that no sync was due for.
func TestSignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d, dir := nsqtest.Start(t, nil), t.TempDir()
		p := toFile(t, d, dir, "-sync-interval=1h")
		tooltest.Publish(t, d, "t", "one")
		nsqtest.Eventually(t, "the first sync", func() bool { return strings.Contains(p.Errors.String(), "syncing 1") })
		tooltest.Publish(t, d, "t", "two", "three")
		nsqtest.Eventually(t, "all are written", func() bool { return contents(t, dir) == "one\ntwo\nthree\n" })
		p.Signal(s)
		ended(t, p)
		if left := drain(t, d); len(left) != 0 {
			t.Errorf("%v: these come again: %q", s, left)
		}
		d.Stop()
	}
}

// SIGHUP does not kill the program while it stops.
func TestHangUpWhileStopping(t *testing.T) {
	d, dir := nsqtest.Start(t, nil), t.TempDir()
	f, err := osDisk{}.OpenFile(filepath.Join(dir, "t"), os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Lock(); err != nil { // it has to wait for us
		t.Fatal(err)
	}
	p := toFile(t, d, dir, "-topic=u", "-filename-format=<TOPIC>")
	tooltest.Publish(t, d, "u", "other")
	nsqtest.Eventually(t, "the other topic", func() bool { return strings.Contains(p.Errors.String(), "[u/c] syncing 1 records to disk") })
	tooltest.Publish(t, d, "t", "one")
	nsqtest.Eventually(t, "a message in flight", func() bool { return stats(t, d).InFlight == 1 })
	p.Signal(syscall.SIGTERM)
	nsqtest.Eventually(t, "the other topic has stopped", func() bool { return strings.Contains(p.Errors.String(), "[u/c] stopped") })
	p.Signal(syscall.SIGHUP)
	if err := f.Unlock(); err != nil {
		t.Fatal(err)
	}
	ended(t, p)
	if got := contents(t, dir); got != "one\nother\n" {
		t.Errorf("the files have %q", got)
	}
}

// Whatever it waits for, the program obeys.
func TestSignalWhileNobodyAnswers(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	lookupd := "-lookupd-http-address=" + hung.Addr().String()
	for _, args := range [][]string{
		{"-topic=t", "-nsqd-tcp-address=" + nsqtest.ClosedPort(t)},
		{"-topic=t", lookupd},
		{"-topic-pattern=.", lookupd},
	} {
		p := tooltest.Start(t, "nsq_to_file", append(args, "-output-dir="+t.TempDir())...)
		if slices.Contains(args, lookupd) {
			nc, err := hung.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
		} else {
			nsqtest.Eventually(t, "an attempt", func() bool { return strings.Contains(p.Errors.String(), "cannot connect to nsqd") })
		}
		start := time.Now()
		p.Signal(syscall.SIGTERM)
		if ended(t, p); time.Since(start) > 3*time.Second {
			t.Errorf("%q: ended after %v", args, time.Since(start))
		}
	}
}
