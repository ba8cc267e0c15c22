//go:build unix

package nsqadmin

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// The larger fleets: every channel on a few of the nodes, and on all of them.
var largeFleets = []fleetSize{{200, 500, 4, 10}, {200, 500, 4, 200}}

// What a round of questions costs: in time, in processor time of the whole
// process, fakes included, and in memory that stays.
func BenchmarkRound(b *testing.B) {
	for _, size := range largeFleets {
		b.Run(fmt.Sprint("on=", size.on), func(b *testing.B) {
			f := startFleet(b, size)
			before := nsqtest.MemoryInUse()
			a := f.admin()
			cpu := processorTime(b)
			for b.Loop() {
				a.poller.Refresh(b.Context())
			}
			b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(nsqtest.MemoryInUse()-before)/(1<<20), "MiB-heap")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
