package nsqd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/dueheap"
)

func TestDeferredComeWhenDue(t *testing.T) {
	var d deferred
	if arm, ok := d.add(50, batchOf(1, "a").all()); arm != 50 || !ok {
		t.Errorf("the first deferred message arms %d, %v", arm, ok)
	}
	if arm, _ := d.add(70, batchOf(2, "b").all()); arm != 0 {
		t.Errorf("a later one arms %d, the scan comes at 50 anyway", arm)
	}
	if arm, _ := d.add(30, batchOf(3, "c", "d").all()); arm != 30 {
		t.Errorf("an earlier one arms %d", arm)
	}
	due, next := d.release(nil, 29)
	if len(due) != 0 || next != 30 {
		t.Errorf("at 29 came %q, next %d", describe(due...), next)
	}
	due, next = d.release(nil, 60)
	if got := describe(due...); next != 70 || got != "3:c 4:d 1:a" && got != "4:d 3:c 1:a" {
		t.Errorf("at 60 came %q, next %d", got, next)
	}
	d.close()
	if _, ok := d.add(80, batchOf(5, "e").all()); ok || d.len() != 0 {
		t.Error("a closed set took a message")
	}
}

func TestDeferredFileRoundTrip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.deferred.dat")
	var h dueheap.Heap[span]
	s := batchOf(1, "a").all()
	s.attempts = 3
	h.Push(50, s)
	h.Push(20, batchOf(2, "b").all())
	if err := writeDeferredFile(name, &h, 1000); err != nil {
		t.Fatal(err)
	}
	got, err := readDeferredFile(name, nil)
	if err != nil || len(got) != 2 {
		t.Fatalf("read %d messages: %v", len(got), err)
	}
	if got[0].due != 1020 || describe(got[0].s) != "2:b" || got[1].due != 1050 || describe(got[1].s) != "1:a" || got[1].s.attempts != 3 {
		t.Errorf("came back as %v", got)
	}
}

func TestNoDeferredFileWithoutMessages(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.deferred.dat")
	if err := writeDeferredFile(name, &dueheap.Heap[span]{}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file for no messages: %v", err)
	}
	if got, err := readDeferredFile(name, nil); len(got) != 0 || err != nil {
		t.Errorf("a missing file reads as %v, %v", got, err)
	}
	if err := removeDeferredFile(name); err != nil {
		t.Errorf("removing a missing file: %v", err)
	}
}

// Whatever the cut, whole messages come back and the rest is set aside.
func TestDamagedDeferredFileIsSetAside(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "q.deferred.dat")
	var h dueheap.Heap[span]
	h.Push(1, batchOf(1, "first").all())
	if err := writeDeferredFile(name, &h, 0); err != nil {
		t.Fatal(err)
	}
	one, _ := os.ReadFile(name)
	h.Push(2, batchOf(2, "second").all())
	if err := writeDeferredFile(name, &h, 0); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(name)
	for cut := len(one) + 1; cut < len(whole); cut++ {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readDeferredFile(name, nil)
		if len(got) != 1 || describe(got[0].s) != "1:first" || err == nil || !strings.Contains(err.Error(), name) {
			t.Fatalf("cut at %d: read %v, %v", cut, got, err)
		}
		if bad, err := os.ReadFile(name + ".bad"); err != nil || len(bad) != cut {
			t.Fatalf("cut at %d: set aside %d bytes, %v", cut, len(bad), err)
		}
	}
}
