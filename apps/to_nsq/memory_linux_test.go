package main

import (
	"bytes"
	"io"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestLargeInputTakesNoMoreMemoryThanSmall(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 10 // the rest of an ephemeral topic is dropped
	d := nsqtest.Start(t, opts)
	line := append(bytes.Repeat([]byte("x"), 999), '\n')
	peak := func(lines int) int64 {
		cmd := tooltest.Command(t, "to_nsq", "-topic=t#ephemeral", "-nsqd-tcp-address="+d.TCPAddr())
		cmd.Stdin = io.LimitReader(repeated(line), int64(lines*len(line)))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) << 10
	}
	small, large := peak(20_000), peak(200_000)
	t.Logf("%d MB for 20 MB, %d MB for 200 MB", small>>20, large>>20)
	if large > small+20<<20 {
		t.Errorf("20 MB of input take %d bytes of memory, 200 MB take %d", small, large)
	}
}

// repeated is a reader of the same bytes again and again.
type repeated []byte

func (r repeated) Read(p []byte) (n int, err error) {
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	return n, nil
}
