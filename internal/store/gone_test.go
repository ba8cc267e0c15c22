package store

import (
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// logFiles are the files of a topic's log, the oldest first.
func logFiles(t *testing.T, fs vfs.FS) (paths []string) {
	dir := fs.PathJoin(testDir, topicsDir, topicDir(1, "orders"), logDir)
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		paths = append(paths, fs.PathJoin(dir, name))
	}
	return paths
}

// filled makes a store of 200 messages, of which one channel has finished the first 50 and 10 later
// ones, another one none, and tells how many are in each file.
func filled(t *testing.T, o Options) (inFiles []int) {
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a", "b")
	topic.Release()
	for i := range 20 {
		mustAppend(t, topic, numbered(i*10, i*10+10))
	}
	finish(channels[0], next(t, channels[0], 50))
	finish(channels[0], next(t, channels[0], 20)[10:])
	for _, segment := range topic.log.Segments() {
		inFiles = append(inFiles, int(topic.log.Count(segment.First, segment.End)))
	}
	return inFiles
}

// Whatever file somebody removes, it is told once how many messages a channel loses by that, and all others
// are given.
func TestAFileThatIsGoneIsTold(t *testing.T) {
	for gone := range len(filled(t, smallSegments(t, vfs.NewMem()))) {
		o := smallSegments(t, vfs.NewMem())
		inFiles := filled(t, o)
		if err := o.FS.Remove(logFiles(t, o.FS)[gone]); err != nil {
			t.Fatal(err)
		}
		var damages []seglog.Damage
		o.Damage = func(_ string, d seglog.Damage) { damages = append(damages, d) }
		s := mustOpen(t, o)
		topic := topicNamed(t, s, "orders")
		topic.Release()
		left := int64(200 - inFiles[gone])
		wantDepth(t, topic.Channels()[1], left)
		if got := next(t, topic.Channels()[1], 1000); int64(len(got)) != left {
			t.Errorf("without file %d: got %d messages, want %d", gone, len(got), left)
		}
		s = reopen(t, s, o)
		if len(damages) != 1 || damages[0].Messages != int64(inFiles[gone]) || damages[0].Bytes != 0 {
			t.Errorf("without file %d, of %d messages: it is told as %v", gone, inFiles[gone], damages)
		}
		mustClose(t, s)
	}
}

func TestAFileThatEveryChannelHasFinishedIsNotMissed(t *testing.T) {
	o := smallSegments(t, vfs.NewMem())
	aged(t, o)
	o.Damage = func(_ string, d seglog.Damage) { t.Errorf("it is told of %v", d) }
	s := mustOpen(t, o)
	defer mustClose(t, s)
}
