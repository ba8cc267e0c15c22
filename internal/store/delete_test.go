package store

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// To remove the files of a large topic takes long. Other topics are made, noted and deleted meanwhile, and
// one of the same name, too.
func TestNobodyWaitsForTheFilesOfADeletedTopic(t *testing.T) {
	begun, goOn := make(chan bool), make(chan bool)
	o := testOptions(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRemoveAll && strings.HasSuffix(op.Path, "large"+deletedSuffix) {
			close(begun)
			<-goOn
		}
		return nil
	})))
	s := mustOpen(t, o)
	large, _ := mustCreate(t, s, "large", "a")
	large.Release()
	mustAppend(t, large, numbered(0, 10))
	deleted := make(chan error)
	go func() { deleted <- large.Delete() }()
	<-begun
	noteAll(s) // with large, which has changed
	other, channels := mustCreate(t, s, "other", "a")
	other.Release()
	mustAppend(t, other, numbered(0, 3))
	wantBodies(t, next(t, channels[0], 10), numbers(0, 3))
	noteAll(s)
	if err := other.Delete(); err != nil {
		t.Error(err)
	}
	mustCreate(t, s, "large", "b")
	close(goOn)
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	s = reopen(t, s, o)
	defer mustClose(t, s)
	if topics := s.Topics(); len(topics) != 1 || topics[0].Channels()[0].Name() != "b" {
		t.Errorf("there are %d topics", len(topics))
	}
}
