package seglog

import (
	"fmt"
	"sync"
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

// Single messages of 200 bytes from 1 and 16 at a time, against what one bare writer can do:
// append 4 KiB and wait, or overwrite as many zeros and wait. The three take turns, so that
// whatever else the disk does befalls all of them.
func BenchmarkAppendSync(b *testing.B) {
	for _, appenders := range []int{1, 16} {
		b.Run(fmt.Sprint("appenders=", appenders), func(b *testing.B) {
			l := openLog(b, Options{Dir: b.TempDir(), Sync: true})
			var ours, bare, over spent
			for b.Loop() {
				ours.add(100*appenders, func() { appendSingles(b, l, appenders, 100) })
				bare.add(100, func() { bareSyncs(b, 100, false) })
				over.add(100, func() { bareSyncs(b, 100, true) })
			}
			b.ReportMetric(ours.rate(), "appends/s")
			b.ReportMetric(ours.rate()/bare.rate(), "appends/bare-append")
			b.ReportMetric(ours.rate()/over.rate(), "appends/bare-overwrite")
		})
	}
}

func appendSingles(b *testing.B, l *Log, appenders, each int) {
	var wg sync.WaitGroup
	for range appenders {
		wg.Go(func() {
			batch := []*Record{numbered("m", 1, 200)}
			for range each {
				if err := l.Append(batch); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// spent is how long something took that was done so many times.
type spent struct {
	times int
	time  time.Duration
}

func (s *spent) add(times int, f func()) {
	start := time.Now()
	f()
	s.times, s.time = s.times+times, s.time+time.Since(start)
}

func (s *spent) rate() float64 { return float64(s.times) / s.time.Seconds() }

// bareSyncs has one writer write 4 KiB and wait, so many times. To write the zeros takes
// a small part of the time.
func bareSyncs(b *testing.B, times int, zeroed bool) {
	f, err := vfs.Default.OpenReadWrite(b.TempDir()+"/file", vfs.WriteCategoryUnspecified)
	check(b, err)
	defer f.Close()
	if zeroed {
		_, err := f.WriteAt(make([]byte, times*4096), 0)
		check(b, err)
		check(b, f.Sync())
	}
	for buf, i := make([]byte, 4096), 0; i < times; i++ {
		_, err := f.WriteAt(buf, int64(i)*4096)
		check(b, err)
		check(b, f.SyncData())
	}
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
