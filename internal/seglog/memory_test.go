package seglog

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// longLog returns a log of several times the memory that is read at a time.
func longLog(t *testing.T) *Log {
	t.Helper()
	l := openLog(t, Options{FS: vfs.NewMem(), Dir: "log"})
	for i := range 200 {
		mustAppend(t, l, numbered("m", 100, 50), messages(strings.Repeat("x", i*500)))
	}
	return l
}

func TestRecordsAreUnchangedUntilTheyAreReleased(t *testing.T) {
	l := longLog(t)
	want := bodiesOf(readAll(t, l))
	c := l.Seek(0)
	defer c.Close()
	var held []Record
	given := 0
	for {
		records, err := c.Next(rand.IntN(2 * chunk))
		check(t, err)
		if records == nil {
			break
		}
		held = append(held, records...)
		rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
		for len(held) > 20 || given < len(want)/2 && len(held) > 0 {
			given += checkAndRelease(t, &held[0], want)
			held = held[1:]
		}
	}
	for i := range held {
		given += checkAndRelease(t, &held[i], want)
	}
	if given != len(want) {
		t.Errorf("read %d messages of %d", given, len(want))
	}
}

func checkAndRelease(t *testing.T, r *Record, want []string) (messages int) {
	t.Helper()
	for i, body := range bodies(r.Payload) {
		if body != want[int(r.First)-1+i] {
			t.Fatalf("message %d is %.20q, want %.20q", r.First+uint64(i), body, want[int(r.First)-1+i])
		}
	}
	r.Memory.Release()
	return r.Count
}

func TestReleasedMemoryIsUsedAgain(t *testing.T) {
	l := longLog(t)
	read := func(release bool) (allocated uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := l.Seek(0)
		defer c.Close()
		for {
			records, err := c.Next(chunk)
			check(t, err)
			if records == nil {
				break
			}
			for i := range records {
				if release {
					records[i].Memory.Release()
				}
			}
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	kept, released := read(false), read(true)
	t.Logf("%d bytes were allocated, %d where records are released", kept, released)
	if released > kept/2 {
		t.Errorf("%d bytes were allocated where records are released, %d where not", released, kept)
	}
}
