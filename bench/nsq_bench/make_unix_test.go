//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What docs/performance.md gives to make arrives as it is written there.
func TestMakePassesFlags(t *testing.T) {
	mk, err := exec.LookPath("make")
	if err != nil {
		t.Skip("there is no make on this machine: ", err)
	}
	dir := t.TempDir()
	echo := "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "nsq_bench"), []byte(echo), 0o755); err != nil {
		t.Fatal(err)
	}
	fixed := []string{"-json=" + dir + "/bench.json", "-svg=" + dir + "/bench.svg"}
	for _, flags := range []string{
		"",
		"-run=sub",
		"-run=^(sub|pubsub)$ -rounds=9",
		"-run=^pubsub$ -profiles=build",
		"-run=[a-z]* -dir=it's",
	} {
		// Without programs to build, make runs the nsq_bench of dir.
		cmd := exec.Command(mk, "-s", "-C", "../..", "--no-print-directory", "bench", "programs=", "BLDDIR="+dir, "BENCHFLAGS="+flags)
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") })
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%q: %v: %s", flags, err, stderr.String())
			continue
		}
		if got, want := strings.Fields(string(out)), append(slices.Clone(fixed), strings.Fields(flags)...); !slices.Equal(got, want) {
			t.Errorf("%q: %q", flags, got)
		}
	}
}
