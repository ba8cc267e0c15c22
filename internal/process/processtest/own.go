// Package processtest has tests run in processes of their own.
package processtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Own runs the calling test, which is no subtest, in a process of its own, as its limits
// would hit other tests in this one, and reports whether this is it. Where it is not the
// test is over: it failed if it did there.
func Own(t *testing.T) bool {
	t.Helper()
	const env = "NSQ_TEST_OWN_PROCESS"
	if os.Getenv(env) == t.Name() {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}
