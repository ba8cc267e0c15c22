package nsqd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
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

// loaded returns what a deferred file gives.
func loaded(t *testing.T, name string) []deferredMessage {
	t.Helper()
	var got []deferredMessage
	err := loadDeferredFile(slog.New(slog.DiscardHandler), name, nil, func(d deferredMessage) { got = append(got, d) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	return got
}

func TestDeferredFileRoundTrip(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.deferred.dat")
	again := batchOf(1, "a").all()
	again.attempts = 3
	if err := writeDeferredFile(name, []deferredMessage{{50, again}, {20, batchOf(2, "b").all()}}); err != nil {
		t.Fatal(err)
	}
	got := loaded(t, name)
	if len(got) != 2 || got[0].due != 50 || describe(got[0].s) != "1:a" || got[0].s.attempts != 3 || got[1].due != 20 || describe(got[1].s) != "2:b" {
		t.Errorf("came back as %v", got)
	}
}

func TestNoDeferredFileWithoutMessages(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.deferred.dat")
	if err := writeDeferredFile(name, nil); err != nil {
		t.Fatal(err)
	}
	if got := loaded(t, name); len(got) != 0 {
		t.Errorf("a missing file gives %v", got)
	}
}

// Whatever the cut, whole messages come back and the rest is set aside.
func TestDamagedDeferredFileIsSetAside(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.deferred.dat")
	first, second := deferredMessage{1, batchOf(1, "first").all()}, deferredMessage{2, batchOf(2, "second").all()}
	size := func(messages ...deferredMessage) []byte {
		if err := writeDeferredFile(name, messages); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one, whole := size(first), size(first, second)
	for cut := len(one) + 1; cut < len(whole); cut++ {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, name); len(got) != 1 || describe(got[0].s) != "1:first" {
			t.Fatalf("cut at %d: read %v", cut, got)
		}
		aside := name + ".bad"
		if n := cut - len(one) - 1; n > 0 {
			aside = fmt.Sprintf("%s.%d.bad", name, n)
		}
		if bad, err := os.ReadFile(aside); err != nil || len(bad) != cut {
			t.Fatalf("cut at %d: %d bytes in %s, %v", cut, len(bad), aside, err)
		}
	}
}

func TestUnreadableDeferredFileIsAnErrorAndStays(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.deferred.dat")
	if err := os.Mkdir(name, 0o700); err != nil { // reads fail, as with a bad disk
		t.Fatal(err)
	}
	if err := loadDeferredFile(slog.New(slog.DiscardHandler), name, nil, func(deferredMessage) {}); err == nil {
		t.Error("a file that cannot be read was passed over")
	}
	if _, err := os.Stat(name); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}
