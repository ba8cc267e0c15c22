package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// damagesOf returns what Check tells of a store that is in no topic's file.
func damagesOf(t *testing.T, fs vfs.FS) (all []seglog.Damage) {
	t.Helper()
	_, err := Check(t.Context(), fs, testDir, func(topic string, d seglog.Damage) {
		if topic == "" {
			all = append(all, d)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// withIndexLog makes a store whose index has most of what was noted in its write-ahead log, and returns the
// name of that.
func withIndexLog(t *testing.T) (mem *vfs.MemFS, name string) {
	t.Helper()
	mem = vfs.NewMem()
	s := mustOpen(t, testOptions(t, mem))
	topic, channels := mustCreate(t, s, strings.Repeat("long", 15), "a", strings.Repeat("c", 60))
	topic.Release()
	for i := range 400 { // more than a block, and chunks that end with one
		mustAppend(t, topic, numbered(10*i, 10*i+10))
		finish(channels[0], next(t, channels[0], 10)[i%2:])
		noteAll(s)
	}
	mustClose(t, s)
	names, err := mem.List(mem.PathJoin(testDir, indexDir))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".log") })
	return mem, mem.PathJoin(testDir, indexDir, names[i])
}

// Every byte of a write-ahead log is checked, but for those that fill a block and, in one that was not
// closed, those of the last record.
func TestCheckFindsAFlippedByteInTheLogOfTheIndex(t *testing.T) {
	mem, name := withIndexLog(t)
	whole, err := readFile(mem, name)
	if err != nil || len(whole) < 2*walBlock {
		t.Fatalf("the log has only %d bytes, %v", len(whole), err)
	}
	check := func(data []byte) []seglog.Damage {
		t.Helper()
		if err := writeFile(mem, name, slices.Clone(data)); err != nil { // under -race what was written is altered
			t.Fatal(err)
		}
		return damagesOf(t, mem)
	}
	killed := whole[:len(whole)-walHead]
	for how, data := range map[string][]byte{"closed": whole, "killed": killed, "torn": whole[:len(whole)-2*walHead]} {
		if found := check(data); len(found) > 0 {
			t.Errorf("%s, nothing is damaged, and found are %+v", how, found)
		}
	}
	const last = 2000 // more than the last record
	for at := 0; at < len(whole)-last; at += 997 {
		if walBlock-at%walBlock < walHead {
			continue
		}
		flipped := slices.Clone(killed)
		flipped[at] ^= 1 << (at % 8)
		if found := check(flipped); len(found) != 1 || found[0].File != name || found[0].Offset > int64(at) || found[0].Offset+found[0].Bytes <= int64(at) {
			t.Fatalf("byte %d of %d is flipped, and found are %+v", at, len(whole), found)
		}
	}
	flipped := slices.Clone(whole)
	flipped[len(killed)-1] ^= 1
	if found := check(flipped); len(found) != 1 {
		t.Errorf("the last record of a log that was closed is damaged, and found are %+v", found)
	}
	if found := check(flipped[:len(killed)]); len(found) != 0 {
		t.Errorf("the last record of a log that was not closed is torn, and found are %+v", found)
	}
}

func TestCheckFindsADamagedFormat(t *testing.T) {
	for content, damaged := range map[string]bool{"1\n": false, "2\n": false, "": true, "0\n": true, "!\n": true, "-1\n": true} {
		mem := vfs.NewMem()
		mustClose(t, mustOpen(t, testOptions(t, mem)))
		name := mem.PathJoin(testDir, formatFile)
		if err := writeFile(mem, name, []byte(content)); err != nil {
			t.Fatal(err)
		}
		found := damagesOf(t, mem)
		if damaged != (len(found) == 1 && found[0].File == name) {
			t.Errorf("%q: damaged are %+v", content, found)
		}
	}
	mem := vfs.NewMem()
	mustClose(t, mustOpen(t, testOptions(t, mem)))
	if err := mem.Remove(mem.PathJoin(testDir, formatFile)); err != nil {
		t.Fatal(err)
	}
	if found := damagesOf(t, mem); len(found) != 1 || found[0].Bytes != 0 {
		t.Errorf("it is missing, and damaged are %+v", found)
	}
}
