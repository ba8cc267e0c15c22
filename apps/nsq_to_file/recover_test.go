package main

import (
	"syscall"
	"testing"
	"time"
)

// What a crash has left in the work directory is moved out of it, if it is ours and
// nobody uses it.
func TestRecover(t *testing.T) {
	if !canLock {
		t.Skip("this system does not tell whether a file is used")
	}
	b := newBroker(t, "-work-dir=.", "-filename-format=<PID>/<TOPIC><REV>.<DATETIME>", "-rotate-interval=1h")
	for name, content := range map[string]string{
		"123/t-000000.58":     "1\n2\nhal",
		"123/t-000001.59":     "",
		"124/t-1234567.59":    "3\n",
		"123/u-000000.58":     "of another topic",
		"x/t-000000.58":       "another name",
		"125/t-000000.58":     "4\n",
		"out/125/t-000000.58": "taken\n",
		"out/6/t-000000.58":   "5\n",
	} {
		b.put(name, content)
	}
	used, err := osDisk{}.OpenFile("124/t-1234567.59", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	if err := used.Lock(); err != nil {
		t.Fatal(err)
	}
	b.a.out.recover(b.now)
	b.expectFiles("after a crash",
		"123/u-000000.58:of another topic", "124/t-1234567.59:3 ", "125/t-000000.58:4 ",
		"out/123/t-000000.58:1 2 ", "out/123/t-000001.59:", "out/125/t-000000.58:taken ", "out/6/t-000000.58:5 ", "x/t-000000.58:another name")
}

// The same with gzip: part of a member is cut off, as gunzip would complain of it,
// and a file without any is removed.
func TestRecoverGzip(t *testing.T) {
	if !canLock {
		t.Skip("this system does not tell whether a file is used")
	}
	b := newBroker(t, "-work-dir=work", "-gzip")
	b.put("work/t-000000.58.gz", members(t, "1\n", "2\n"))
	b.put("work/t-000000.59.gz", members(t, "3\n")+members(t, "half\n")[:12])
	b.put("work/t-000001.59.gz", members(t, "half\n")[:20])
	b.put("work/t-000000.00.gz", "")
	b.a.out.recover(b.now)
	b.expectFiles("after a crash", "out/t-000000.58.gz:1 2 ", "out/t-000000.59.gz:3 ")
}

// A file that is continued is left alone, and so is everything without a directory
// to move from.
func TestNotRecovered(t *testing.T) {
	if !canLock {
		t.Skip("this system does not tell whether a file is used")
	}
	b := newBroker(t, "-work-dir=work")
	b.put("work/t-000000.00", "1\n")
	b.put("work/t-000000.01", "2\n")
	b.a.out.recover(b.now)
	b.deliver("3")
	b.expectFiles("the rest is moved", "out/t-000000.01:2 ", "work/t-000000.00:1 3 ")

	b.a.out.recover(b.now.Add(time.Minute))
	b.expectFiles("nor one that is in use", "out/t-000000.01:2 ", "work/t-000000.00:1 3 ")

	b = newBroker(t)
	b.put("out/t-000000.01", "1\nhal")
	b.a.out.recover(b.now)
	b.expectFiles("nothing is moved", "out/t-000000.01:1 hal")
}

// The number of a file in the work directory that somebody else uses is taken.
func TestTwoInOneWorkDirectory(t *testing.T) {
	if !canLock {
		t.Skip("this system does not tell whether a file is used")
	}
	b := newBroker(t, "-work-dir=work")
	other := newBrokerIn(t, b.dir, "-work-dir=work")
	b.deliver("1")
	other.deliver("a")
	b.deliver("2")
	b.a.close()
	b.expectFiles("one has ended", "out/t-000000.00:1 2 ", "work/t-000001.00:a ")
	other.a.close()
	b.expectFiles("both have", "out/t-000000.00:1 2 ", "out/t-000001.00:a ")
	if b.a.err != nil || other.a.err != nil {
		t.Error(b.a.err, other.a.err)
	}
}

// Between close and move, others may take a file for one that a crash has left.
func TestMovedBySomebodyElse(t *testing.T) {
	b := newBroker(t, "-work-dir=work")
	b.deliver("1")
	b.disk.fail = failing(syscall.EBUSY, "link")
	b.a.reopen()
	if !b.a.out.unmoved {
		t.Fatal("the file was moved")
	}
	b.disk.fail = nil
	if err := b.a.out.moveTo("work/t-000000.00", "out/t-000000.00"); err != nil {
		t.Fatal(err)
	}
	b.deliver("2")
	b.a.close()
	b.expectFiles("both are there", "out/t-000000.00:1 ", "out/t-000001.00:2 ")
	if b.a.err != nil {
		t.Error(b.a.err)
	}
}
