package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// The program turns to new files as time passes, with messages or without.
func TestRotationByTime(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		format string // of every name
	}{
		"name":     {[]string{"-datetime-format=%H%M%S"}, `^t\.h\.\d{6}\.log$`},
		"interval": {[]string{"-datetime-format=x", "-rotate-interval=100ms"}, `^t\.h-\d{6}\.x\.log$`},
	} {
		t.Run(name, func(t *testing.T) {
			d, dir := nsqtest.Start(t, nil), t.TempDir()
			toFile(t, d, dir, append(c.args, "-sync-interval=20ms")...)
			tooltest.Publish(t, d, "t", "one")
			nsqtest.Eventually(t, "more files", func() bool { return len(namesIn(t, dir)) > 2 && contents(t, dir) == "one\n" })
			for _, name := range namesIn(t, dir) {
				if !regexp.MustCompile(c.format).MatchString(name) {
					t.Errorf("a file is called %s", name)
				}
			}
		})
	}
}

func TestRotationSkipsEmptyFiles(t *testing.T) {
	d, dir := nsqtest.Start(t, nil), t.TempDir()
	toFile(t, d, dir, "-rotate-interval=100ms", "-sync-interval=20ms", "-skip-empty-files", "-work-dir="+t.TempDir())
	for _, want := range []string{"one\n", "one\ntwo\n"} {
		tooltest.Publish(t, d, "t", want[len(want)-4:len(want)-1])
		nsqtest.Eventually(t, "the file is complete", func() bool { return contents(t, dir) == want })
	}
	if names := namesIn(t, dir); len(names) != 2 {
		t.Errorf("the files are %q", names)
	}
}

// Without any flag but the necessary ones, the name has the host and the hour.
func TestNameByDefault(t *testing.T) {
	d, dir := nsqtest.Start(t, nil), t.TempDir()
	tooltest.Start(t, "nsq_to_file", "-topic=t", "-output-dir="+filepath.Join(dir, "made", "for", "it"), "-nsqd-tcp-address="+d.TCPAddr())
	tooltest.Publish(t, d, "t", "one")
	nsqtest.Eventually(t, "the message", func() bool { return contents(t, dir) == "one\n" })
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^made/for/it/t\.` + regexp.QuoteMeta(expandHost("", host)) + `\.\d{4}-\d\d-\d\d_\d\d\.log$`)
	if names := namesIn(t, dir); slices.ContainsFunc(names, func(n string) bool { return !want.MatchString(n) }) {
		t.Errorf("the files are %q", names)
	}
}
