package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// benchBatch is how many messages of 200 bytes a benchmark publishes at once.
const benchBatch = 200

func benchTopic(b *testing.B) (*Store, *Topic, *Channel) {
	b.Helper()
	o := testOptions(b, vfs.NewMem())
	o.FS, o.Dir, o.NoteEvery = vfs.Default, b.TempDir(), 0
	s := mustOpen(b, o)
	topic, channels := mustCreate(b, s, "orders", "a")
	topic.Release()
	return s, topic, channels[0]
}

func benchPayload() *Batch {
	body := strings.Repeat("x", 200)
	bodies := make([]string, benchBatch)
	for i := range bodies {
		bodies[i] = body
	}
	return batch(bodies...)
}

func reportMessages(b *testing.B, each int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*each), "ns/message")
}

// again returns a batch that is like another one before its Append.
func again(b *Batch) *Batch {
	return &Batch{ID: b.ID, Time: b.Time, Count: b.Count, Payload: b.Payload}
}

func BenchmarkThroughTheTail(b *testing.B) {
	s, topic, c := benchTopic(b)
	defer mustClose(b, s)
	template := benchPayload()
	var messages []Message
	b.ReportAllocs()
	for b.Loop() {
		mustAppend(b, topic, again(template))
		var err error
		if messages, err = c.Next(messages[:0], 2500, 1<<20); err != nil || len(messages) != 1 {
			b.Fatal(len(messages), err)
		}
		c.Finish([]Run{{messages[0].Seq(), messages[0].Count}})
	}
	reportMessages(b, benchBatch)
}

func BenchmarkBacklog(b *testing.B) {
	s, topic, c := benchTopic(b)
	defer mustClose(b, s)
	template := benchPayload()
	for range 2000 {
		mustAppend(b, topic, again(template))
	}
	var messages []Message
	b.ReportAllocs()
	given := 0
	for b.Loop() {
		var err error
		if messages, err = c.Next(messages[:0], 2500, 1<<20); err != nil {
			b.Fatal(err)
		}
		for _, m := range messages {
			given += m.Count
		}
		if len(messages) == 0 { // once more
			c.mu.Lock()
			c.cursor, c.position = 1, position{floor: 1}
			c.mu.Unlock()
			c.ahead.close()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(given), "ns/message")
}

func BenchmarkFinishRunsOf64(b *testing.B) {
	for _, order := range []string{"in order", "every other first"} {
		b.Run(order, func(b *testing.B) {
			s, topic, _ := benchTopic(b)
			defer mustClose(b, s)
			c := topic.newChannel(9, "bench")
			c.dirty = true
			c.cursor = noNumber - 1
			c.position.floor = 1
			next, odd := uint64(1), order != "in order"
			b.ReportAllocs()
			for b.Loop() {
				seq := next
				if odd { // 64 to 127, then 0 to 63, and so on
					seq = ((next-1)/64^1)*64 + 1
				}
				c.Finish([]Run{{seq, 64}})
				next += 64
			}
			reportMessages(b, 64)
			if odd && c.position.floor < next-64 {
				b.Fatal(fmt.Sprint("floor is ", c.position.floor, " of ", next))
			}
		})
	}
}
