package diskq

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// limitFileSize makes writes of this process beyond that offset of any file
// fail, after writing what fits, like a full disk does.
func limitFileSize(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	}
}

func TestFailedWriteLeavesNothingBehind(t *testing.T) {
	const inChild = "DISKQ_TEST_FULL_DISK"
	if os.Getenv(inChild) == "" { // the limit would hit the test's own log files, too
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inChild+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	o := testOptions(t.TempDir())
	o.MaxBytesPerFile = 600
	q := newQueue(t, "orders", o)
	putAll(t, q, []string{"a", "b"})
	before := readFile(t, q.files.dataPath(0))

	// What is left of this record looks like records itself.
	trap := strings.Repeat("\x00\x00\x00\x01!", 100)
	lift := limitFileSize(t, 500)
	for range 2 {
		if err := q.Put([]byte(trap)); err == nil {
			t.Error("Put succeeded on a full disk")
		}
	}
	lift()
	if got := readFile(t, q.files.dataPath(0)); got != before {
		t.Errorf("the file holds %d bytes, want %d", len(got), len(before))
	}
	wantDepth(t, q, 2)

	putAll(t, q, []string{"c!!!!!!"})
	wantHealthy(t, "orders", crash(t, o), []string{"a", "b", "c!!!!!!"})
	wantRecords(t, take(q, 10), []string{"a", "b", "c!!!!!!"})
}
