package nsqd_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqd"
)

// What lies on disk before the damage, in a channel's queue and a topic's.
const (
	damagedMessages = 1000
	damagedFileSize = 50_000 // so that there are several
)

func damagedBody(i int) string { return fmt.Sprintf("%04d", i) + strings.Repeat("x", 130+i%97) }

// A backlog is the files of one queue and where the messages lie in them.
type backlog struct {
	t       *testing.T
	dir     string
	name    string
	records []storedRecord
}

type storedRecord struct {
	file   int64
	offset int64
	size   int64 // with the length
}

func (b *backlog) path(file int64) string {
	return filepath.Join(b.dir, fmt.Sprintf("%s.diskqueue.%06d.dat", b.name, file))
}

func (b *backlog) meta() string { return filepath.Join(b.dir, b.name+".diskqueue.meta.dat") }

func (b *backlog) read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

func openBacklog(t *testing.T, dir, name string) *backlog {
	b := &backlog{t: t, dir: dir, name: name}
	for file := int64(0); len(b.records) < damagedMessages; file++ {
		data := b.read(b.path(file))
		for off := int64(0); off < int64(len(data)); {
			size := 4 + int64(binary.BigEndian.Uint32(data[off:]))
			b.records = append(b.records, storedRecord{file, off, size})
			off += size
		}
	}
	return b
}

// change writes over the data file of message i, from its start on.
func (b *backlog) change(i int, change func(data []byte) []byte) {
	path := b.path(b.records[i].file)
	data := b.read(path)
	off := b.records[i].offset
	if err := os.WriteFile(path, append(data[:off:off], change(data[off:])...), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *backlog) setLength(i int, by func(length int64) int64) []int {
	b.change(i, func(data []byte) []byte {
		binary.BigEndian.PutUint32(data, uint32(by(b.records[i].size-4)))
		return data
	})
	return []int{i}
}

// zero overwrites 4 KiB, or what is left of the file, with zeros, from a point
// within message i on, and returns which messages that touches.
func (b *backlog) zero(i int, within int64) (touched []int) {
	first := b.records[i]
	from := first.offset + within
	b.change(i, func(data []byte) []byte {
		clear(data[within:min(within+4096, int64(len(data)))])
		return data
	})
	for n, r := range b.records {
		if r.file == first.file && r.offset < from+4096 && r.offset+r.size > from {
			touched = append(touched, n)
		}
	}
	return touched
}

// cutFile cuts a data file within message i and returns what that costs.
func (b *backlog) cutFile(i int) (lost []int) {
	b.change(i, func(data []byte) []byte { return data[:b.records[i].size-10] })
	for n, r := range b.records {
		if r.file == b.records[i].file && n >= i {
			lost = append(lost, n)
		}
	}
	return lost
}

func (b *backlog) setMeta(content string) {
	if err := os.WriteFile(b.meta(), []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// The damages, and the messages that each must cost, no more and no less.
var damages = []struct {
	name string
	do   func(b *backlog) (lost []int)
	meta bool // the meta file is rebuilt, and does not know what is lost
}{
	{name: "cut tail", do: func(b *backlog) []int { return b.cutFile(damagedMessages - 1) }},
	{name: "cut tail of several messages", do: func(b *backlog) []int { return b.cutFile(damagedMessages - 4) }},
	{name: "cut file in the middle", do: func(b *backlog) []int { return b.cutFile(400) }},
	{name: "flipped length, too large", do: func(b *backlog) []int {
		return b.setLength(300, func(n int64) int64 { return n ^ 1<<30 })
	}},
	{name: "flipped length, beyond the file", do: func(b *backlog) []int {
		return b.setLength(300, func(n int64) int64 { return n ^ 1<<16 })
	}},
	{name: "flipped length, negative", do: func(b *backlog) []int {
		return b.setLength(300, func(n int64) int64 { return n ^ 1<<31 })
	}},
	{name: "flipped length, 1 more or less", do: func(b *backlog) []int {
		return b.setLength(300, func(n int64) int64 { return n ^ 1 })
	}},
	{name: "flipped length, 16 more or less", do: func(b *backlog) []int {
		return b.setLength(300, func(n int64) int64 { return n ^ 16 })
	}},
	{name: "flipped length, of every 50th", do: func(b *backlog) (lost []int) {
		for i := 7; i < damagedMessages; i += 50 {
			lost = append(lost, b.setLength(i, func(n int64) int64 { return n ^ 1<<(i%32) })...)
		}
		return lost
	}},
	{name: "flipped length, the first message", do: func(b *backlog) []int {
		return b.setLength(0, func(n int64) int64 { return n ^ 1<<20 })
	}},
	{name: "flipped id", do: func(b *backlog) []int {
		b.change(300, func(data []byte) []byte { data[4+8+2+5] ^= 0x40; return data })
		return []int{300}
	}},
	{name: "flipped time", do: func(b *backlog) []int {
		b.change(300, func(data []byte) []byte { data[4] ^= 0x80; return data })
		return []int{300}
	}},
	{name: "zeroed 4 KiB", do: func(b *backlog) []int { return b.zero(300, 60) }},
	{name: "zeroed 4 KiB from a message on", do: func(b *backlog) []int { return b.zero(300, 0) }},
	{name: "zeroed 4 KiB at the end", do: func(b *backlog) []int { return b.zero(damagedMessages-9, 77) }},
	{name: "zeroed 4 KiB three times", do: func(b *backlog) []int {
		return slices.Concat(b.zero(100, 50), b.zero(300, 50), b.zero(700, 50))
	}},
	{name: "missing data file", do: func(b *backlog) (lost []int) {
		const file = 2
		for n, r := range b.records {
			if r.file == file {
				lost = append(lost, n)
			}
		}
		if err := os.Remove(b.path(file)); err != nil {
			b.t.Fatal(err)
		}
		return lost
	}},
	{name: "missing meta", do: func(b *backlog) []int {
		if err := os.Remove(b.meta()); err != nil {
			b.t.Fatal(err)
		}
		return nil
	}, meta: true},
	{name: "empty meta", do: func(b *backlog) []int { b.setMeta(""); return nil }, meta: true},
	{name: "garbled meta", do: func(b *backlog) []int { b.setMeta("\x00\x7f1\n,,0\n"); return nil }, meta: true},
	{name: "garbled meta, flipped length and zeros", do: func(b *backlog) []int {
		b.setMeta("7")
		return slices.Concat(b.setLength(20, func(n int64) int64 { return n ^ 1<<29 }), b.zero(500, 99))
	}, meta: true},
	{name: "garbled meta and cut tail", do: func(b *backlog) []int {
		b.setMeta("7\n")
		return b.cutFile(damagedMessages - 1)
	}, meta: true},
	{name: "meta with another depth", do: func(b *backlog) []int {
		b.setMeta(strings.Replace(string(b.read(b.meta())), "1000\n", "10\n", 1))
		return nil
	}},
	{name: "meta with another position", do: func(b *backlog) []int {
		b.setMeta(strings.Replace(string(b.read(b.meta())), "\n0,0\n", "\n0,77\n", 1))
		return nil
	}, meta: true},
	{name: "nothing", do: func(*backlog) []int { return nil }},
}

// TestDamageTable damages what a stopped broker has on disk, in one way after
// the other, for a topic and for a channel, starts a broker and consumes.
func TestDamageTable(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 0
	opts.MaxBytesPerFile = damagedFileSize
	n := nsqtest.Start(t, opts)
	list := make([]string, damagedMessages)
	for i := range list {
		list[i] = damagedBody(i)
	}
	newAPI(t, n).post("/topic/create?topic=t")
	newAPI(t, n).post("/channel/create?topic=t&channel=c")
	p := dialRaw(t, n)
	p.mpub("t", list...)
	p.mpub("alone", list...)
	nsqtest.Eventually(t, "everything is on disk", func() bool {
		c, _ := n.ChannelCounts("t", "c")
		return c.OnDisk == damagedMessages
	})
	n.Stop()

	t.Logf("%-40s %7s %7s %8s %6s %7s", "damage", "channel", "topic", "expected", "ranges", "bytes")
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			nsqtest.Parallel(t)
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(dir, os.DirFS(opts.DataPath)); err != nil {
				t.Fatal(err)
			}
			channel, topic := openBacklog(t, dir, "t:c"), openBacklog(t, dir, "alone")
			lost := d.do(channel)
			if again := d.do(topic); !slices.Equal(lost, again) {
				t.Fatalf("the two backlogs differ: %v, %v", lost, again)
			}
			damaged := *opts
			damaged.DataPath = dir
			var log loggingtest.Buffer
			damaged.Logger = log.Logger(slog.LevelWarn)
			n := nsqtest.Start(t, &damaged)
			inChannel := consumeDamaged(t, n, "t", lost)
			inTopic := consumeDamaged(t, n, "alone", lost)

			s := newAPI(t, n).stats("")
			for _, topic := range s.Topics {
				found, where := topic.Damage, topic.Name
				switch where {
				case "t":
					found, where = topic.Channels[0].Damage, "t:c"
				case "alone":
				default:
					continue // the clients' own
				}
				wantDamage(t, where, found, lost, d.meta)
				if found != nil && !strings.Contains(log.String(), filepath.Join(dir, where+".diskqueue.")) {
					t.Errorf("%s: the log names no file: %s", where, log.String())
				}
			}
			var total stats.Damage
			if s.Damage != nil {
				total = *s.Damage
			}
			if (total.Records > 0) != (len(lost) > 0 && !d.meta) && !d.meta {
				t.Errorf("in all %+v", total)
			}
			t.Logf("%-40s %7d %7d %8d %6d %7d", d.name, inChannel, inTopic, len(lost), total.Ranges/2, total.Bytes/2)
		})
	}
}

// wantDamage checks a queue's counters. Without a good meta file it is not known
// how many messages there were.
func wantDamage(t *testing.T, name string, found *stats.Damage, lost []int, meta bool) {
	t.Helper()
	if found == nil {
		found = &stats.Damage{}
	}
	if (found.Metas > 0) != meta && meta {
		t.Errorf("%s: damage %+v, although the meta file was rebuilt", name, *found)
	}
	if !meta && found.Records != int64(len(lost)) {
		t.Errorf("%s: damage %+v, %d messages are lost", name, *found, len(lost))
	}
	if (found.Ranges > 0) != (len(lost) > 0) {
		t.Errorf("%s: damage %+v, %d messages are lost", name, *found, len(lost))
	}
}

// consumeDamaged takes what is left and compares it with what must be. It
// returns how many messages are missing.
func consumeDamaged(t *testing.T, n *nsqtest.NSQD, topic string, lost []int) (missing int) {
	t.Helper()
	var want, got []string
	for i := range damagedMessages {
		if !slices.Contains(lost, i) {
			want = append(want, damagedBody(i))
		}
	}
	c := dialRaw(t, n)
	defer c.close()
	c.consume(topic, "c", 2500)
	for range want {
		m := c.message()
		got = append(got, string(m.Body))
		c.fin(m)
	}
	if !slices.Equal(got, want) {
		i := 0
		for i < len(got) && got[i] == want[i] {
			i++
		}
		t.Errorf("%s: message %d is %.20q, want %.20q", topic, i, got[i], want[i])
	}
	c.sync()
	counts, _ := n.ChannelCounts(topic, "c")
	inTopic, _ := n.TopicCounts(topic)
	if counts != (nsqd.Counts{}) || inTopic != (nsqd.Counts{}) {
		t.Errorf("%s: left over are %+v and %+v", topic, inTopic, counts)
	}
	dialRaw(t, n).pub(topic, "after") // and it goes on
	c.fin(c.wantMessage("after", 1))
	return damagedMessages - len(got)
}
