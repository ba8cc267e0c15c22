package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/seglog"
)

func TestCheckReadsAllLogsAndChangesNothing(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, testOptions(t, mem))
	for _, name := range []string{"a", "b"} {
		topic, _ := mustCreate(t, s, name, "c")
		mustAppend(t, topic, batch("x", "y"))
	}
	mustClose(t, s)
	before := mem.String()
	var damaged []string
	checked, err := Check(t.Context(), mem, testDir, func(topic string, _ seglog.Damage) { damaged = append(damaged, topic) })
	if err != nil || checked.Topics != 2 || checked.Segments != 2 || checked.Messages != 4 || len(damaged) > 0 {
		t.Errorf("%+v, %v, damaged %q", checked, err, damaged)
	}
	if after := mem.String(); after != before {
		t.Errorf("the files were\n%s\nand are\n%s", before, after)
	}
}
