package diskq

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// limitFileSize makes writes of this process beyond that offset of any file
// fail, after writing what fits, like a full disk does.
func limitFileSize(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}

// inChild runs the calling test in a process of its own, as the limit would hit
// this one's log files, too. There it returns true, here false after the end.
func inChild(t *testing.T) bool {
	t.Helper()
	const env = "DISKQ_TEST_FULL_DISK"
	if os.Getenv(env) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func TestFailedWriteLeavesNothingBehind(t *testing.T) {
	if !inChild(t) {
		return
	}
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 600
	q := newQueue(t, "orders", o)
	putAll(t, q, []string{"a", "b"})
	before := readFile(t, q.files.dataPath(0))

	// What is left of this record looks like records itself.
	trap := strings.Repeat("\x00\x00\x00\x01!", 100)
	lift := limitFileSize(t, 500)
	for range 2 {
		if err := q.Put([]byte(trap)); err == nil {
			t.Error("Put succeeded on a full disk")
		}
	}
	lift()
	if got := readFile(t, q.files.dataPath(0)); got != before {
		t.Errorf("the file holds %d bytes, want %d", len(got), len(before))
	}
	wantDepth(t, q, 2)

	putAll(t, q, []string{"c!!!!!!"})
	wantHealthy(t, "orders", crash(t, o), []string{"a", "b", "c!!!!!!"})
	wantRecords(t, take(q, 10), []string{"a", "b", "c!!!!!!"})
}

// A consumer may take a record just after a write has failed: go-diskqueue then
// has what was written of the torn one in its read buffer.
func TestTornRecordInTheReadBufferIsNeverDelivered(t *testing.T) {
	if !inChild(t) {
		return
	}
	var log logBuffer
	o := testOptions(t.TempDir())
	o.Logger = log.logger(slog.LevelWarn)
	q := newQueue(t, "orders", o)
	putAll(t, q, []string{"one", "two", "three"})
	claimed := q.Claim(1)

	lift := limitFileSize(t, 80)
	q.writing.Lock() // Put, with a Read between its two halves
	if err := q.dq.Put([]byte(strings.Repeat("X", 100))); err == nil {
		t.Error("a write beyond the limit succeeded")
	}
	wantRecords(t, take(q, 1), []string{"one"})
	q.dq.Depth() // answered after "two" was read ahead, and the torn record with it
	if err := q.writeFailedLocked(); err != nil {
		t.Error(err)
	}
	q.writing.Unlock()

	if err := q.Put([]byte("no room to mend the queue")); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("Put on a full disk: %v", err)
	}
	wantDepth(t, q, 1)
	lift()

	put := slices.Repeat([]string{"acknowledged"}, 12)
	putAll(t, q, put)
	wantDepth(t, q, 13)
	var got []string
	for _, r := range q.Read(claimed, nil) {
		got = append(got, string(r))
	}
	got = append(got, take(q, 100)...)
	wantRecords(t, got, append([]string{"two", "three"}, put...))
	wantNoClaims(t, q)
	if s := log.String(); s != "" {
		t.Errorf("logged %s", s)
	}
}

func TestFullDiskLosesAndAltersNothing(t *testing.T) {
	if !inChild(t) {
		return
	}
	var log logBuffer
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile, o.MaxRecord = 200<<10, 40<<10
	o.Logger = log.logger(slog.LevelWarn)
	q := newQueue(t, "orders", o)
	written := make(chan struct{})
	var readers sync.WaitGroup
	var got [][]byte
	readers.Go(func() { got = readUntil(q, written) })

	var want []string
	failed := 0
	for round := range 8 {
		lift := limitFileSize(t, uint64(17+5*(round%8))<<10)
		for i := range 50 {
			rec := fmt.Sprintf("%d/%d %s", round, i, strings.Repeat(string(rune('a'+i%26)), i*i*8))
			if err := q.Put([]byte(rec)); err == nil {
				want = append(want, rec)
			} else {
				failed++
			}
		}
		lift()
	}
	putAll(t, q, []string{"last"})
	close(written)
	readers.Wait()
	if failed == 0 {
		t.Error("no write failed")
	}
	var records []string
	for _, r := range got {
		records = append(records, string(r))
	}
	wantRecords(t, records, append(want, "last"))
	wantDepth(t, q, 0)
	wantNoClaims(t, q)
	if s := log.String(); s != "" {
		t.Errorf("logged %s", s)
	}
}
