package diskq

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func listNames(t testing.TB, dir string) *Names {
	t.Helper()
	n, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantHas(t *testing.T, n *Names, name string, want bool) {
	t.Helper()
	if got, err := n.Has(name); err != nil || got != want {
		t.Errorf("Has(%s) = %v, %v, want %v", name, got, err, want)
	}
}

func TestListReportsAMissingDirectory(t *testing.T) {
	if _, err := List(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("List: %v", err)
	}
}

func TestListRemovesUnfinishedMetaFilesOnly(t *testing.T) {
	dir := t.TempDir()
	kept := []string{
		"a.diskqueue.000000.dat", "a.diskqueue.000000.dat.bad", "a.diskqueue.meta.dat",
		"a.diskqueue.meta.dat.tmp", "nsqd.dat", "nsqd.dat.1.tmp",
	}
	for _, name := range append(kept, "a.diskqueue.meta.dat.1.tmp", "gone.diskqueue.meta.dat.23.tmp") {
		writeFile(t, filepath.Join(dir, name), nil)
	}
	n := listNames(t, dir)
	if names := dirNames(t, dir); !slices.Equal(names, kept) {
		t.Errorf("files %q, want %q", names, kept)
	}
	wantHas(t, n, "a", true)
	wantHas(t, n, "gone", false)
}

// Nothing but a reading of the directory could find the files planted here.
func TestFirstUseWithNamesDoesNotReadTheDirectory(t *testing.T) {
	o := testOptions(t.TempDir())
	old := newQueue(t, "old", o)
	putAll(t, old, records(0, 10))
	mustClose(t, old)
	o.Names = listNames(t, o.Dir)
	var planted []string
	for _, name := range []string{"old", "new", "unused"} {
		path := files{o.Dir, name}.dataPath(99)
		writeFile(t, path, encoded(records(50, 60)))
		planted = append(planted, filepath.Base(path))
	}
	slices.Sort(planted)

	old = reopen(t, "old", o)
	putAll(t, old, records(10, 12))
	wantRecords(t, take(old, 100), records(0, 12))
	fresh := newQueue(t, "new", o)
	putAll(t, fresh, records(0, 3))
	wantRecords(t, take(fresh, 100), records(0, 3))
	for _, q := range []*Queue{old, fresh, newQueue(t, "unused", o)} {
		if err := q.Delete(); err != nil {
			t.Error(err)
		}
	}
	if names := dirNames(t, o.Dir); !slices.Equal(names, planted) {
		t.Errorf("files %q, want %q", names, planted)
	}
}

func TestNamesFollowWhatQueuesDo(t *testing.T) {
	o := testOptions(t.TempDir())
	o.Names = listNames(t, o.Dir)
	wantHas(t, o.Names, "orders", false)
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	wantHas(t, o.Names, "orders", true)
	mustClose(t, q)
	wantHas(t, o.Names, "orders", true)
	wantHas(t, listNames(t, o.Dir), "orders", true)

	q = reopen(t, "orders", o)
	wantRecords(t, take(q, 4), records(0, 4))
	if err := q.Delete(); err != nil {
		t.Fatal(err)
	}
	wantHas(t, o.Names, "orders", false)
	q = reopen(t, "orders", o)
	putAll(t, q, records(0, 2))
	wantRecords(t, take(q, 4), records(0, 2))

	o.Names = nil
	mustClose(t, q)
	wantHealthy(t, "orders", o, nil)
}

func TestNamesOfQueuesLeftByACrash(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 300
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 10))
	if err := q.Empty(); err != nil {
		t.Fatal(err)
	}
	putAll(t, q, records(10, 13)) // in a later file, without a meta file
	for _, again := range []bool{false, true} {
		c := crash(t, o)
		c.Names = listNames(t, c.Dir)
		wantHas(t, c.Names, "orders", true)
		if again { // an attempt that fails must not make the files forgotten
			unblock := blockMeta(t, New("orders", c))
			failing := New("orders", c)
			if err := failing.Open(); err == nil {
				t.Error("Open with an unreadable meta file succeeded")
			}
			unblock()
		}
		wantHealthy(t, "orders", c, records(10, 13))
	}
}

func TestDeleteOfAQueueWithManyFiles(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 10
	o.Names = listNames(t, o.Dir)
	q := newQueue(t, "orders", o)
	putAll(t, q, records(0, 5))
	mustClose(t, q)
	m, err := q.files.readMeta()
	if err != nil {
		t.Fatal(err)
	}
	m.write = position{file: manyFiles + 5}
	writeFile(t, q.files.metaPath(), []byte(m.encode()))
	if err := q.Delete(); err != nil {
		t.Fatal(err)
	}
	if names := dirNames(t, o.Dir); len(names) != 0 {
		t.Errorf("Delete left %q", names)
	}
}

// Time for a queue must not grow with the number of queues.
func BenchmarkManyQueues(b *testing.B) {
	for _, n := range []int{200, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				o := testOptions(b.TempDir())
				for range 2 { // first use, then start with what is there
					runQueues(b, o, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/queue")
		})
	}
}

// runQueues does what a daemon does: it starts, puts a record into each of n
// queues, and stops.
func runQueues(b *testing.B, o Options, n int) {
	b.Helper()
	o.Names = listNames(b, o.Dir)
	queues := make([]*Queue, n)
	for i := range queues {
		q := New(fmt.Sprintf("topic%d", i), o)
		queues[i] = q
		there, err := o.Names.Has(q.name)
		if err == nil && there {
			err = q.Open()
		}
		if err = errors.Join(err, q.Put([]byte("record"))); err != nil {
			b.Fatal(err)
		}
	}
	for _, q := range queues {
		mustClose(b, q)
	}
}
