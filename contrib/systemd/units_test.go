// Package systemd_test checks the units with systemd's own tools.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exposure is the most that systemd-analyze security may say of a unit, in tenths, of
// 100: what is left is that they use the network and files of the system.
const exposure = "13"

// units copies the units into a directory, with another program in the place of
// theirs, which are not installed.
func units(t *testing.T) []string {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed, which checks units")
	}
	names, err := filepath.Glob("*.service")
	if err != nil || len(names) != 3 {
		t.Fatalf("units are %q, %v, want those of the three daemons", names, err)
	}
	dir := t.TempDir()
	var paths []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		daemon := strings.TrimSuffix(name, ".service")
		start := "\nExecStart=/usr/bin/" + daemon + " --config=/etc/nsq/" + daemon + ".cfg\n"
		if strings.Count(string(b), start) != 1 {
			t.Errorf("%s has not the line %q once", name, start)
		}
		path := filepath.Join(dir, name)
		text := strings.ReplaceAll(string(b), "/usr/bin/"+daemon, analyze)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestUnitsAreCorrect(t *testing.T) {
	args := append([]string{"verify", "--man=no"}, units(t)...)
	if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// verify is told not to look for manual pages, which are not installed.
func TestUnitsNameTheirManualPages(t *testing.T) {
	for _, daemon := range []string{"nsqd", "nsqlookupd", "nsqadmin"} {
		unit, err := os.ReadFile(daemon + ".service")
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^Documentation=man:(\w+)\((\d)\)$`).FindSubmatch(unit)
		if m == nil || string(m[1]) != daemon {
			t.Errorf("%s: the manual page is %q", daemon, m)
			continue
		}
		if page := filepath.Join("..", "man", "man"+string(m[2]), daemon+"."+string(m[2])); !exists(page) {
			t.Errorf("%s: there is no %s", daemon, page)
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestUnitsAreHardened(t *testing.T) {
	for _, path := range units(t) {
		cmd := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold="+exposure, path)
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "unrecognized option") {
			t.Skip("this systemd-analyze is older than 250 and has no --offline")
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(path), err, out)
		}
	}
}
