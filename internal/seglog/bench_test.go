package seglog

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A batch of 200 messages of 200 bytes, without sync.
func BenchmarkAppend(b *testing.B) {
	l := openLog(b, Options{Dir: b.TempDir()})
	r := numbered("m", 200, 200)
	batch := []*Record{r}
	b.ReportAllocs()
	for b.Loop() {
		check(b, l.Append(batch))
		if l.Segments()[0].Sealed { // leave no more than two on disk
			check(b, l.Remove(l.Segments()[0].ID))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200, "ns/message")
}

// Single messages of 200 bytes from 16 at a time, against a bare append and fdatasync
// of one writer, and against overwriting zeros.
func BenchmarkAppendSync(b *testing.B) {
	bare, over := bareSyncs(b, false), bareSyncs(b, true)
	for _, appenders := range []int{1, 16} {
		b.Run(fmt.Sprint("appenders=", appenders), func(b *testing.B) {
			l := openLog(b, Options{Dir: b.TempDir(), Sync: true})
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range appenders {
				wg.Go(func() {
					batch := []*Record{numbered("m", 1, 200)}
					for left.Add(-1) >= 0 {
						check(b, l.Append(batch))
					}
				})
			}
			wg.Wait()
			rate := float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate/bare, "appends/bare-append")
			b.ReportMetric(rate/over, "appends/bare-overwrite")
			b.ReportMetric(bare, "bare-append/s")
		})
	}
}

// bareSyncs is how often a second one writer can write 4 KiB and wait for it.
func bareSyncs(b *testing.B, zeroed bool) float64 {
	const n = 1000
	name := b.TempDir() + "/file"
	if zeroed {
		check(b, os.WriteFile(name, make([]byte, n*4096), 0o600))
	}
	f, err := vfs.Default.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	check(b, err)
	defer f.Close()
	check(b, f.Sync())
	buf, start := make([]byte, 4096), time.Now()
	for i := range n {
		_, err := f.WriteAt(buf, int64(i)*4096)
		check(b, err)
		check(b, f.SyncData())
	}
	return n / time.Since(start).Seconds()
}

// Four segments of 64 MiB, in batches of 200 messages of 200 bytes.
func BenchmarkCursor(b *testing.B) {
	l := openLog(b, Options{Dir: b.TempDir()})
	batch := []*Record{numbered("m", 200, 200)}
	total := int64(0)
	for l.Count(0, 1<<62) < 4*64<<20/204 {
		check(b, l.Append(batch))
		total += int64(len(batch[0].Payload))
	}
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		c := l.Seek(0)
		for {
			records, err := c.Next(64 << 10)
			check(b, err)
			if records == nil {
				break
			}
		}
		c.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(total/204), "ns/message")
}
