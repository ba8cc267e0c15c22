package diskq

import (
	"fmt"
	"testing"
	"time"

	"github.com/nsqio/go-diskqueue"
)

// The queue of classic software, which must be able to read ours, and ours it.

func classic(t testing.TB, o Options) diskqueue.Interface {
	t.Helper()
	q := diskqueue.New("orders", o.Dir, o.MaxBytesPerFile, int32(o.HeaderLen), 1<<20, o.SyncEvery, o.SyncTimeout,
		func(lvl diskqueue.LogLevel, f string, args ...any) {
			if lvl >= diskqueue.ERROR {
				t.Errorf("classic: "+f, args...)
			}
		})
	return q
}

func classicPut(t testing.TB, q diskqueue.Interface, recs []string) {
	t.Helper()
	for _, r := range recs {
		if err := q.Put([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

func classicTake(t testing.TB, q diskqueue.Interface, n int) []string {
	t.Helper()
	var s []string
	for range n {
		select {
		case r := <-q.ReadChan():
			s = append(s, string(r))
		case <-time.After(10 * time.Second):
			t.Fatalf("classic gave %d records, want %d", len(s), n)
		}
	}
	return s
}

func TestClassicQueueIsReadAndGoesOn(t *testing.T) {
	for _, maxBytes := range []int64{1 << 20, 333} {
		for _, taken := range []int{0, 1, 17, 49, 50} {
			o := testOptions(t.TempDir())
			o.MaxBytesPerFile = maxBytes
			c := classic(t, o)
			classicPut(t, c, records(0, 50))
			wantRecords(t, classicTake(t, c, taken), records(0, taken))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			q := reopen(t, "orders", o)
			wantDepth(t, q, 50-taken)
			some := (50 - taken) / 2
			wantRecords(t, take(t, q, some), records(taken, taken+some))
			putBatch(t, q, records(50, 60))
			mustClose(t, q)

			c = classic(t, o)
			if d := c.Depth(); d != int64(60-taken-some) {
				t.Errorf("classic counts %d, want %d", d, 60-taken-some)
			}
			wantRecords(t, classicTake(t, c, 60-taken-some), records(taken+some, 60))
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			q = reopen(t, "orders", o)
			wantDepth(t, q, 0)
			if d := q.Damage(); d != (Damage{}) {
				t.Errorf("damage %+v", d)
			}
		}
	}
}

// What classic software had on disk when it was killed: all of it is there, what
// it had read since its last sync comes again.
func TestKilledClassicQueueIsReadWhole(t *testing.T) {
	for _, maxBytes := range []int64{1 << 20, 333} {
		for _, every := range []int64{1, 7, 1000} {
			for _, taken := range []int{0, 5, 30} {
				o := testOptions(t.TempDir())
				o.MaxBytesPerFile, o.SyncEvery = maxBytes, every
				c := classic(t, o)
				classicPut(t, c, records(0, 50))
				classicTake(t, c, taken)
				c.Depth() // answered after what it does on reading
				killed := crash(t, o)
				c.Close()
				q := reopen(t, "orders", killed)
				got := takeAll(t, q)
				first := 50 - len(got)
				if first > taken {
					t.Fatalf("files of %d bytes, synced every %d: %d records are gone", maxBytes, every, first-taken)
				}
				wantRecords(t, got, records(first, 50))
			}
		}
	}
}

// What ours had on disk when it was killed after a sync is what classic software
// expects.
func TestKilledQueueIsReadByClassic(t *testing.T) {
	for _, maxBytes := range []int64{1 << 20, 333} {
		for _, taken := range []int{0, 5, 30, 49} {
			o := testOptions(t.TempDir())
			o.MaxBytesPerFile = maxBytes
			q := newQueue(t, "orders", o)
			putAll(t, q, records(0, 20))
			putBatch(t, q, records(20, 50))
			take(t, q, taken)
			mustSync(t, q)
			c := classic(t, crash(t, o))
			if d := c.Depth(); d != int64(50-taken) {
				t.Errorf("classic counts %d, want %d", d, 50-taken)
			}
			wantRecords(t, classicTake(t, c, 50-taken), records(taken, 50))
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// The same work as BenchmarkPut and BenchmarkRead, for comparison.
func BenchmarkClassic(b *testing.B) {
	open := func(b *testing.B) diskqueue.Interface {
		return diskqueue.New("orders", b.TempDir(), 100<<20, 1, 1<<20, 2500, time.Hour, func(diskqueue.LogLevel, string, ...any) {})
	}
	for _, n := range []int{1, 200} {
		b.Run(fmt.Sprint("Put/", n), func(b *testing.B) {
			q := open(b)
			defer q.Close()
			b.ReportAllocs()
			for b.Loop() {
				for i := range n {
					if err := q.Put([]byte(record200(i))); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
		})
	}
	b.Run("Read", func(b *testing.B) {
		q := open(b)
		defer q.Close()
		b.ReportAllocs()
		b.ResetTimer()
		for n := range b.N {
			if n%100_000 == 0 {
				b.StopTimer()
				for i := range min(100_000, b.N-n) {
					if err := q.Put([]byte(record200(i))); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
			<-q.ReadChan()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/record")
	})
}
