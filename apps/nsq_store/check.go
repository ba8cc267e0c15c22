package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/tool"
)

// check reads all that is stored, and tells what of it is damaged.
func check(ctx context.Context, o *options, out io.Writer) (err error) {
	at, err := lockSource(o.dataPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, at.unlock()) }()
	var found damages
	checked, err := store.Check(ctx, vfs.Default, at.dir, found.add)
	if err != nil {
		return err
	}
	s, err := openOver(at.dir, found.add) // which knows how far the logs got
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fmt.Fprintf(out, "read %s of %s: %s, %s\n", chart.Several(checked.Segments, "file"),
		chart.Several(checked.Topics, "topic"), chart.Several(checked.Messages, "message"), chart.Several(checked.Bytes, "byte"))
	if checked.Unsealed > 0 {
		fmt.Fprintf(out, "%s not closed: nsqd was killed, or the end is lost with what was in it\n", was(checked.Unsealed, "file"))
	}
	rebuilt := s.Rebuilt()
	if rebuilt != nil {
		fmt.Fprintf(out, "the next start of nsqd rebuilds the index from the logs, and messages that were finished may come again: %v\n", rebuilt)
	}
	if found.tell(out) || rebuilt != nil {
		return tool.ErrSilent
	}
	fmt.Fprintln(out, "nothing is damaged")
	return nil
}

// was is several of a noun, and the verb.
func was(n int, noun string) string {
	if n == 1 {
		return chart.Several(n, noun) + " was"
	}
	return chart.Several(n, noun) + " were"
}
