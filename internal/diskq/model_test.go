package diskq

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// A model is what a queue must hold after any history. Records are numbered in
// the order of Put; put holds those that were accepted.
type model struct {
	t      *rapid.T
	tb     testing.TB
	o      Options
	disk   *faultyDisk
	q      *Queue
	next   int      // number of the next record
	put    []string // all that were accepted, but for emptied ones
	read   int      // how many of put were read
	synced int      // how many of them at the last sync
}

func (m *model) draw(n int) []string {
	recs := records(m.next, m.next+n)
	m.next += n
	return recs
}

func (m *model) open() {
	s, err := newStore(m.o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.q = s.Queue("orders")
	if err := m.q.Open(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) check() {
	if d := m.q.Depth(); d != int64(len(m.put)-m.read) {
		m.t.Fatalf("depth %d, want %d", d, len(m.put)-m.read)
	}
	if d := m.q.Damage(); d.Ranges != 0 || d.Records != 0 {
		m.t.Fatalf("damage %+v", d)
	}
}

// resume is for a queue that was left without Close: what was read after the
// last sync comes again, or a part of it.
func (m *model) resume() {
	m.open()
	first := len(m.put) - int(m.q.Depth())
	if first < m.synced || first > m.read {
		m.t.Fatalf("after a crash it begins with record %d of %d; %d were read, %d when it was synced", first, len(m.put), m.read, m.synced)
	}
	m.read, m.synced = first, first
}

// Whatever is done, in whatever order: accepted records are read in order, each
// once but after a crash, refused ones never, and the depth is exact.
func TestQueueAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, tb: t, disk: &faultyDisk{quick: true}}
		m.o = testOptions(t.TempDir())
		m.o.MaxBytesPerFile = rapid.Int64Range(1, 1000).Draw(rt, "max bytes per file")
		m.o.disk = m.disk
		m.open()
		defer func() { m.q.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				recs := m.draw(rapid.IntRange(1, 20).Draw(t, "n"))
				if err := m.q.Put(batch(recs...)); err != nil {
					t.Fatal(err)
				}
				m.put = append(m.put, recs...)
			},
			"read": func(t *rapid.T) {
				n := rapid.IntRange(1, 30).Draw(t, "n")
				got, err := m.q.Read(nil, n, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				m.took(got, min(n, len(m.put)-m.read))
			},
			"sync": func(t *rapid.T) {
				if err := m.q.sync(); err != nil {
					t.Fatal(err)
				}
				m.synced = m.read
			},
			"idle": func(*rapid.T) { m.q.idle() },
			"close": func(t *rapid.T) {
				if err := m.q.Close(); err != nil {
					t.Fatal(err)
				}
				m.synced = m.read
				m.open()
				m.check()
			},
			"empty": func(t *rapid.T) {
				if err := m.q.Empty(); err != nil {
					t.Fatal(err)
				}
				m.put, m.read, m.synced = nil, 0, 0
			},
			"crash": func(*rapid.T) { // what is on disk now is all that there is
				m.o = crash(m.tb, m.o)
				m.q.Close()
				m.resume()
			},
			"failed put": func(t *rapid.T) {
				after := rapid.IntRange(0, 3).Draw(t, "operations that still work")
				m.disk.set(failing(after, syscall.ENOSPC, "write", "open"))
				defer m.disk.set(nil)
				recs := m.draw(rapid.IntRange(1, 20).Draw(t, "n"))
				if m.q.Put(batch(recs...)) == nil {
					m.put = append(m.put, recs...)
				}
			},
			"failed read": func(t *rapid.T) {
				after := rapid.IntRange(0, 3).Draw(t, "operations that still work")
				m.disk.set(failing(after, syscall.EIO, "read", "open", "size"))
				defer m.disk.set(nil)
				got, err := m.q.Read(nil, 10, 1<<20)
				if want := min(10, len(m.put)-m.read); err == nil || len(got) > want {
					m.took(got, want)
				} else {
					m.took(got, len(got))
				}
			},
			"failed sync": func(t *rapid.T) {
				m.disk.set(failing(rapid.IntRange(0, 2).Draw(t, "operations that still work"), syscall.EIO, "sync", "replace", "open"))
				defer m.disk.set(nil)
				if m.q.sync() == nil {
					m.synced = m.read
				}
			},
			"": func(*rapid.T) { m.check() },
		})
	})
}

// took compares what was read with what is next.
func (m *model) took(got [][]byte, n int) {
	var s []string
	for _, r := range got {
		s = append(s, string(r))
	}
	if want := m.put[m.read : m.read+n]; !slices.Equal(s, want) {
		m.t.Fatal(fmt.Sprintf("read %.300s, want %.300s", fmt.Sprintf("%q", s), fmt.Sprintf("%q", want)))
	}
	m.read += n
}
