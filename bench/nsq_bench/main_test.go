package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) {
	if _, ok := os.LookupEnv(relayVariable); ok { // this program, started again
		if err := serveRelay(os.Stdin, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	tooltest.Main(m, "apps/nsqd", "bench/nsq_bench")
}

func nsqd() string { return filepath.Join(tooltest.Bin, "nsqd") }

// benchmark runs nsq_bench in this process, with short rounds and real servers.
func benchmark(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	all := append([]string{"-time=50ms", "-rounds=1", "-connections=30", "-topics=10", "-backlog=20000", "-settle=0", "-a=" + nsqd(), "-dir=" + dir}, args...)
	var out, errs bytes.Buffer
	code = run(all, &out, &errs)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return out.String(), errs.String(), code
}

// What each workload must have measured beside what all have.
func (m metric) expected(w string) bool {
	timed := slices.Contains([]string{"latency", "manytopics", "defer", "defer-new"}, w)
	switch m {
	case p50, p99, p999:
		return timed
	case kibPerConnection, cpuPerSecond:
		return w == "idle"
	case bytesPerMessage:
		return w == "memory"
	case diskPerMessage:
		return w == "copies-disk"
	case aloneRate, aloneCPU:
		return w == "behind-disk"
	case appendsPerSecond, zeroedPerSecond, perAppend:
		return w == "pub1-fsync"
	case peakMiB:
		return true
	}
	return w != "idle" && w != "memory"
}

func TestEveryWorkload(t *testing.T) {
	dir := t.TempDir()
	jsonFile, svgFile, markdownFile := filepath.Join(dir, "made", "b.json"), filepath.Join(dir, "b.svg"), filepath.Join(dir, "b.md")
	stdout, stderr, code := benchmark(t, "-json="+jsonFile, "-svg="+svgFile, "-markdown="+markdownFile)
	if code != 0 {
		t.Fatalf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
	var rep report
	if err := json.Unmarshal(read(t, jsonFile), &rep); err != nil {
		t.Fatal(err)
	}
	if skipped := strings.Count(stderr, "skipped"); len(rep.Workloads)+skipped != len(workloads) {
		t.Errorf("%d workloads were reported and %d skipped, want %d", len(rep.Workloads), skipped, len(workloads))
	}
	for _, w := range rep.Workloads {
		for _, m := range metrics {
			s, ok := w.Results[0][m]
			if want := m.expected(w.Name); ok != want && precise || ok && (s.Median < 0 || s.Median == 0 && m != cpuPerSecond && m != bytesPerMessage && m != kibPerConnection) {
				t.Errorf("%s: %s is %v, %v", w.Name, m, s, ok)
			}
		}
		for _, text := range []string{stdout, string(read(t, markdownFile)), string(read(t, svgFile))} {
			if !strings.Contains(text, w.Name) {
				t.Errorf("%s is missing from:\n%s", w.Name, text)
			}
		}
	}
	checkXML(t, read(t, svgFile))
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func checkXML(t *testing.T, b []byte) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		switch _, err := d.Token(); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			t.Fatalf("%v in:\n%s", err, b)
		}
	}
}

func TestTwoServersTakeTurns(t *testing.T) {
	stdout, stderr, code := benchmark(t, "-run=^(limit|pubsub)$", "-rounds=2", "-b="+nsqd()+" --msg-timeout=30s")
	if code != 0 {
		t.Fatalf("exit code %d, stderr:\n%s", code, stderr)
	}
	var order []string
	for line := range strings.Lines(stderr) {
		order = append(order, strings.TrimSpace(line))
	}
	want := []string{
		"limit: round 1 of 2, server A", "limit: round 1 of 2, server B", "limit: round 2 of 2, server B", "limit: round 2 of 2, server A",
		"pubsub: round 1 of 2, server A", "pubsub: round 1 of 2, server B", "pubsub: round 2 of 2, server B", "pubsub: round 2 of 2, server A",
	}
	if !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
	for _, text := range []string{"--msg-timeout=30s", "B/A", "±"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("%q is missing from:\n%s", text, stdout)
		}
	}
}

// What a server is compared with runs twice to tell what is noise. One that is the
// same for each need not pass in rounds as short as these.
func TestGuard(t *testing.T) {
	stdout, stderr, code := benchmark(t, "-run=^mpub$", "-guard", "-b="+nsqd())
	if strings.Count(stderr, "mpub: round 1 of 1, server A again\n") != 1 || !strings.Contains(stdout, "A/A") {
		t.Errorf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
	}
	if worse := strings.Contains(stderr, "where"); worse != (code == 1) {
		t.Errorf("exit code %d, stderr:\n%s", code, stderr)
	}
}

func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	if _, stderr, code := benchmark(t, "-run=^pubsub$", "-profiles="+dir); code != 0 {
		t.Fatalf("exit code %d, stderr:\n%s", code, stderr)
	}
	if b := read(t, filepath.Join(dir, "pubsub-A.pprof")); !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		t.Errorf("the profile is not compressed as profiles are: %.100q", b)
	}
}

func TestList(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-list"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr:\n%s", code, &stderr)
	}
	if n := strings.Count(stdout.String(), "\n"); n != len(workloads) {
		t.Errorf("%d lines, want one for each of %d workloads", n, len(workloads))
	}
}

func TestTheDocumentListsTheWorkloads(t *testing.T) {
	document := string(read(t, filepath.Join(nsqtest.Root(), "docs", "performance.md")))
	for _, w := range workloads {
		if line := fmt.Sprintf("\n| %s | %s |\n", w.name, w.about); !strings.Contains(document, line) {
			t.Errorf("docs/performance.md lacks %s", line)
		}
	}
}

func TestMistakesAreExplained(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string // what stderr begins with, but for progress
		code int
	}{
		"several":           {[]string{"-rounds=0", "-time=-1s", "-msg-size=15", "-settle=-1s"}, "-rounds must be positive, is 0\n-time must be positive, is -1s\n-msg-size must be 16 to 25000, is 15\n-settle must not be negative, is -1s\n", 1},
		"no workload":       {[]string{"-run=xyz"}, "-run xyz matches no workload; -list tells what there are\n", 1},
		"not a regexp":      {[]string{"-run=("}, "-run: error parsing regexp: missing closing ): `(`\n", 1},
		"left over":         {[]string{"mpub"}, "unexpected arguments [\"mpub\"]\n", 1},
		"unknown flag":      {[]string{"-x"}, "flag provided but not defined: -x\nUsage of nsq_bench:\n", 2},
		"guard without -b":  {[]string{"-guard"}, "-guard compares two servers: -b is missing\n", 1},
		"no such program":   {[]string{"-run=^mpub$", "-a=/no/such/nsqd"}, "nsq_bench: mpub: fork/exec /no/such/nsqd: ", 1},
		"flag of nsqd":      {[]string{"-run=^mpub$", "-a=" + nsqd() + " --x"}, "nsq_bench: mpub: nsqd: exit status 2; it wrote to stderr:\n  flag provided but not defined: -x\n", 1},
		"a message refused": {[]string{"-run=^mpub$", "-a=" + nsqd() + " --max-msg-size=100"}, "nsq_bench: mpub: publishing: E_BAD_MESSAGE MPUB message too big 200 > 100\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := benchmark(t, c.args...)
			stderr = strings.TrimPrefix(stderr, "mpub: round 1 of 1, server A\n")
			if code != c.code || stdout != "" || !strings.HasPrefix(stderr, c.want) {
				t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s\nwant %d and\n%s", code, stdout, stderr, c.code, c.want)
			}
		})
	}
}
