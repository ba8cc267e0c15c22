package main

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// The program may not make its file any larger: no message is finished that is not in
// it, none is lost, there is no half record, and it goes on by itself when there is
// room again.
func TestFullDisk(t *testing.T) {
	const limit = 10_000
	for _, args := range [][]string{nil, {"-gzip"}} {
		d, dir := nsqtest.Start(t, nil), t.TempDir()
		p := toFile(t, d, dir, append(args, "-filename-format=f<REV>", "-max-in-flight=50", "-sync-interval=100ms", "-consumer-opt=backoff_multiplier,50ms", "-consumer-opt=max_backoff_duration,100ms")...)
		nsqtest.Eventually(t, "a connection", func() bool {
			return strings.Contains(p.Errors.String(), "connected to nsqd") || stats(t, d) != channelStats{}
		})
		setLimit(t, p, limit)

		var all []string
		for _, body := range numbers(1000) {
			all = append(all, body+" "+incompressible(len(all), 40))
		}
		tooltest.Publish(t, d, "t", all...)
		nsqtest.Eventually(t, "several failures", func() bool {
			return strings.Count(p.Errors.String(), "ERROR: [t/c] cannot write, trying again until it is possible; ") >= 3
		})
		var text string
		nsqtest.Eventually(t, "every record is in the file or with nsqd", func() bool { // whose figures are of several moments
			s := stats(t, d)
			text = contents(t, dir)
			kept := strings.Count(text, "\n")
			return kept > 0 && int64(kept)+s.Depth+s.InFlight+s.Deferred >= 1000
		})
		for line := range strings.Lines(text) {
			if !slices.Contains(all, strings.TrimSuffix(line, "\n")) {
				t.Errorf("%q: the file has %q", args, line)
			}
		}
		if len(text) > 2*limit {
			t.Errorf("%q: %d bytes are in a file of at most %d", args, len(text), limit)
		}

		setLimit(t, p, unix.RLIM_INFINITY)
		nsqtest.Eventually(t, "all messages are finished", func() bool { return stats(t, d).finished(1000) })
		nsqtest.Eventually(t, "a word about it", func() bool { return strings.Contains(p.Errors.String(), "INFO: [t/c] files can be written again") })
		p.Signal(unix.SIGTERM)
		ended(t, p)
		got := strings.Split(strings.TrimSuffix(contents(t, dir), "\n"), "\n")
		slices.Sort(got)
		slices.Sort(all)
		if !slices.Equal(got, all) {
			t.Errorf("%q: the file has %d records, want each of %d once", args, len(got), len(all))
		}
	}
}

func setLimit(t *testing.T, p *tooltest.Process, bytes uint64) {
	t.Helper()
	if err := unix.Prlimit(p.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
}

// incompressible returns n letters that differ with seed.
func incompressible(seed, n int) string {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return string(b)
}
