package diskq

import (
	"fmt"
	"log/slog"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/process/processtest"
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

func TestShortWriteLeavesNothingBehind(t *testing.T) {
	if !processtest.Own(t) {
		return
	}
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 600
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 2))
	before := readFile(t, q.files.dataPath(0))

	// What is left of this record looks like records itself.
	trap := record(7) + strings.Repeat(string(encoded(records(8, 9))), 30)
	lift := limitFileSize(t, 500)
	for range 2 {
		if err := q.Put(batch(record(3), record(4), trap)); err == nil {
			t.Error("Put succeeded on a full disk")
		}
	}
	lift()
	if got := readFile(t, q.files.dataPath(0)); got != before {
		t.Errorf("the file holds %d bytes, want %d", len(got), len(before))
	}
	wantDepth(t, q, 2)
	putAll(t, q, records(20, 21))
	want := append(records(0, 2), record(20))
	wantHealthy(t, "orders", crash(t, o), want)
	wantRecords(t, takeAll(t, q), want)
}

func TestFullDiskLosesAndAltersNothing(t *testing.T) {
	if !processtest.Own(t) {
		return
	}
	var log loggingtest.Buffer
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 200 << 10
	o.Logger = log.Logger(slog.LevelError)
	q := useQueue(t, openStore(t, o), "orders")
	written := make(chan struct{})
	var readers sync.WaitGroup
	var got [][]byte
	readers.Go(func() { got = readUntil(t, q, written) })

	var want []string
	failed := 0
	for round := range 8 {
		lift := limitFileSize(t, uint64(17+5*round)<<10)
		for i := range 50 {
			rec := fmt.Sprintf("record %04d %d %s", i, round, strings.Repeat(string(rune('a'+i%26)), i*i*8))
			if err := q.Put(batch(rec)); err == nil {
				want = append(want, rec)
			} else {
				failed++
			}
		}
		lift()
	}
	putAll(t, q, []string{record(0)})
	close(written)
	readers.Wait()
	if failed == 0 {
		t.Error("no write failed")
	}
	var records []string
	for _, r := range got {
		records = append(records, string(r))
	}
	wantRecords(t, records, append(want, record(0)))
	wantDepth(t, q, 0)
	if d := q.Damage(); d != (Damage{}) {
		t.Errorf("damage %+v: %s", d, log.String())
	}
}
