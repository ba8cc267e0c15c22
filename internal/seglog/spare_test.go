package seglog

import (
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spareFiles are the names of spares in the log's directory.
func spareFiles(t *testing.T, fs vfs.FS) []string {
	names, err := fs.List("log")
	check(t, err)
	return slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, spareSuffix) })
}

// removeAllButLast fills some segments and removes them.
func removeAllButLast(t *testing.T, l *Log) {
	for len(l.Segments()) < 4 {
		check(t, l.Append([]*Record{numbered("old", 4, 100)}))
	}
	for _, s := range l.Segments()[:3] {
		check(t, l.Remove(s.ID))
	}
}

func TestFilesOfRemovedSegmentsAreWrittenToAgain(t *testing.T) {
	var h heard
	o := h.options(vfs.NewMem())
	o.SegmentBytes = 1500
	l := openLog(t, o)
	removeAllButLast(t, l)
	if spares := spareFiles(t, o.FS); len(spares) != 2 {
		t.Fatalf("spare files are %q, want %d", spares, 2)
	}
	check(t, l.Roll())
	first, _ := l.End()
	check(t, l.Append([]*Record{messages("new")}))
	if spares := spareFiles(t, o.FS); len(spares) != 1 {
		t.Errorf("spare files are %q: none was written to", spares)
	}

	// What the file held before is behind the new frame, as after a kill.
	last := l.Segments()[1]
	info, err := o.FS.Stat(l.segments[1].path)
	check(t, err)
	if info.Size() <= last.Bytes {
		t.Fatalf("the file has %d bytes, the segment %d: there is nothing behind it", info.Size(), last.Bytes)
	}
	again := openLog(t, o)
	c := again.Seek(first)
	defer c.Close()
	records, err := c.Next(1 << 20)
	check(t, err)
	if len(records) != 1 || !slices.Equal(bodies(records[0].Payload), []string{"new"}) {
		t.Errorf("the file holds %d records, want the new one", len(records))
	}
	if next, _ := again.End(); next != first+1 || h.lost() != 0 {
		t.Errorf("the next number is %d and %d messages are lost, want %d and none", next, h.lost(), first+1)
	}
	if spares := spareFiles(t, o.FS); len(spares) != 0 {
		t.Errorf("%q are left", spares)
	}
}

func TestSpareFilesGoWhenNobodyWrites(t *testing.T) {
	for name, end := range map[string]func(*Log) error{
		"idle":  func(l *Log) error { l.Idle(); return nil },
		"close": (*Log).Close,
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{FS: vfs.NewMem(), Dir: "log", SegmentBytes: 1500}
			l := openLog(t, o)
			removeAllButLast(t, l)
			check(t, end(l))
			if spares := spareFiles(t, o.FS); len(spares) != 0 {
				t.Errorf("%q are left", spares)
			}
		})
	}
}
