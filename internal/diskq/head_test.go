package diskq

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// wantHead compares the head with that of a record, -1 for none.
func wantHead(t *testing.T, q *Queue, number int) {
	t.Helper()
	header, ok, err := q.Head()
	if err != nil || ok != (number >= 0) || ok && string(header) != fmt.Sprintf("record %04d", number) {
		t.Errorf("Head = %q, %v, %v, want that of record %d", header, ok, err, number)
	}
}

// The head is what Read returns next, also where a file ends.
func TestHead(t *testing.T) {
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 200
	q := newQueue(t, "orders", o)
	wantHead(t, q, -1)
	putAll(t, q, records(0, 60))
	for i := range 60 {
		wantHead(t, q, i)
		wantHead(t, q, i)
		wantRecords(t, take(t, q, 1), records(i, i+1))
	}
	wantHead(t, q, -1)
	putAll(t, q, records(60, 61))
	wantHead(t, q, 60)
	if err := q.Empty(); err != nil {
		t.Fatal(err)
	}
	wantHead(t, q, -1)
}

func TestHeadOfDamageIsUnknown(t *testing.T) {
	dir := t.TempDir()
	q := newQueue(t, "orders", testOptions(dir))
	putAll(t, q, records(0, 3))
	path := q.files.dataPath(0)
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	wantHead(t, q, -1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantHead(t, q, -1)
}

func TestSizes(t *testing.T) {
	dir := t.TempDir()
	s := openQuiet(t, testOptions(dir))
	for name, count := range map[string]int{"a": 3, "a:b": 5, "c.diskqueue.d": 1} {
		putAll(t, useQueue(t, s, name), records(0, count))
	}
	if err := os.WriteFile(filepath.Join(dir, "a.diskqueue.000000.dat.12.bad"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "nsqd.dat"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	sizeOf := func(count int) (n int64) { return int64(batch(records(0, count)...).Size()) }
	want := map[string]int64{"a": sizeOf(3) + 1000, "a:b": sizeOf(5), "c.diskqueue.d": sizeOf(1)}
	if got, err := s.Sizes(); err != nil || !maps.Equal(got, want) {
		t.Errorf("Sizes = %v, %v, want %v", got, err, want)
	}
}
