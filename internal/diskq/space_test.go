package diskq

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A smallDisk is the file system, of which it says how much is free.
type smallDisk struct {
	osDisk
	bytes int64
	err   error
	asked int
}

func (d *smallDisk) free(string) (int64, error) {
	d.asked++
	return d.bytes, d.err
}

func TestPutLeavesSpaceFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &smallDisk{bytes: 1 << 20}
		o := testOptions(t.TempDir())
		o.disk, o.KeepFree = d, 10_000
		s := openQuiet(t, o)
		q := useQueue(t, s, "q")
		putAll(t, q, records(0, 100))
		if d.asked != 1 {
			t.Errorf("the disk was asked %d times for 100 small records", d.asked)
		}

		d.bytes = 10_000
		<-time.After(budgetTime)
		err := q.Put(batch(records(1, 2)...))
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "10000 bytes are free, and 10000 are kept") {
			t.Errorf("Put: %v", err)
		}
		if q.heal() {
			t.Error("the queue is well again without space")
		}
		wantDepth(t, q, 100)

		d.bytes = 1 << 20
		if !q.heal() {
			t.Error("the queue is not well again with space")
		}
		putAll(t, q, records(1, 2))

		d.bytes = 0
		<-time.After(budgetTime)
		s.UseKept()
		putAll(t, q, records(1, 2))
		wantDepth(t, q, 102)
	})
}

// A disk that is nearly full is asked for each larger record.
func TestBudgetIsAPartOfWhatIsFree(t *testing.T) {
	d := &smallDisk{bytes: 30_000}
	o := testOptions(t.TempDir())
	o.disk, o.KeepFree = d, 10_000
	q := newQueue(t, "q", o)
	putAll(t, q, []string{record(1) + strings.Repeat("x", 6000)})
	putAll(t, q, []string{record(1) + strings.Repeat("x", 6000)})
	if d.asked != 2 {
		t.Errorf("asked %d times, want 2", d.asked)
	}
}

func TestPutWithoutKnowledgeOfTheDisk(t *testing.T) {
	o := testOptions(t.TempDir())
	o.disk, o.KeepFree = &smallDisk{err: errors.New("unknown")}, 10_000
	q := newQueue(t, "q", o)
	putAll(t, q, records(0, 10))
	wantDepth(t, q, 10)
}

// A data file that was read to its end takes no room for long, even if it is the
// one that is written.
func TestRoomIsGivenBack(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 100 << 20
	q := newQueue(t, "q", o)
	all := records(0, 300)
	for i := range all {
		all[i] += strings.Repeat("x", 5000)
	}
	putAll(t, q, all)
	mustSync(t, q)
	wantRecords(t, take(t, q, 299), all[:299])
	mustSync(t, q)
	wantFiles(t, o.Dir, "q.diskqueue.000000.dat", "q.diskqueue.meta.dat")
	wantRecords(t, take(t, q, 10), all[299:])
	mustSync(t, q)
	wantFiles(t, o.Dir, "q.diskqueue.meta.dat")
	putAll(t, q, all[:2])
	mustClose(t, q)
	wantFiles(t, o.Dir, "q.diskqueue.000001.dat", "q.diskqueue.meta.dat")
	wantHealthy(t, "q", o, all[:2])

	q = reopen(t, "q", o) // a small one is written further
	takeAll(t, q)
	mustSync(t, q)
	wantFiles(t, o.Dir, "q.diskqueue.000001.dat", "q.diskqueue.meta.dat")
}
