// Package packages_test builds archives and packages as make does, and looks into them.
package packages_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sassoftware/go-rpmutils"
)

var programs = []string{"nsq_stat", "nsq_store", "nsq_tail", "nsq_to_file", "nsq_to_http", "nsq_to_nsq", "nsqadmin", "nsqd", "nsqlookupd", "to_nsq"}

// dir has what make built.
var dir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if dir, err = os.MkdirTemp("", "packages"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if out, err := runMake(dir, "packages/"+runtime.GOARCH, "dist"); err != nil {
			fmt.Fprintf(os.Stderr, "make: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// runMake makes targets for this machine's architecture in a directory.
func runMake(bldDir string, targets ...string) ([]byte, error) {
	args := append([]string{"BLDDIR=" + bldDir, "dist_platforms=linux-" + runtime.GOARCH}, targets...)
	cmd := exec.Command("make", args...)
	cmd.Dir = filepath.Join("..", "..")
	return cmd.CombinedOutput()
}

var readVersion = sync.OnceValue(func() string {
	b, err := os.ReadFile(filepath.Join("..", "..", "internal", "version", "version.go"))
	if err != nil {
		panic(err)
	}
	return string(regexp.MustCompile(`const Binary = "([^"]+)"`).FindSubmatch(b)[1])
})

func built(name string) string { return filepath.Join(dir, name) }

func archiveName() string {
	return fmt.Sprintf("nsq-%s.linux-%s.%s", readVersion(), runtime.GOARCH, runtime.Version())
}

func TestArchive(t *testing.T) {
	f, err := os.Open(built(archiveName() + ".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	contents := map[string][]byte{}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(h.Name, archiveName()+"/"))
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		contents[names[len(names)-1]] = content
		if bytes.Contains(content, []byte(root+"/")) {
			t.Errorf("%s tells where it was built", h.Name)
		}
		if strings.Contains(h.Name, "/bin/") && !strings.HasSuffix(h.Name, "/") && h.Mode != 0o755 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
	}
	want := []string{"", "LICENSE", "THIRD-PARTY-LICENSES", "bin/"}
	for _, p := range programs {
		want = append(want, "bin/"+p)
	}
	if !slices.Equal(names, want) {
		t.Errorf("holds %q, want %q", names, want)
	}
	for _, p := range programs {
		checkLicences(t, p, contents["bin/"+p], string(contents["THIRD-PARTY-LICENSES"]))
	}
}

// checkLicences expects every module that a program says it was made of among the licences.
func checkLicences(t *testing.T, name string, program []byte, licences string) {
	t.Helper()
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if len(info.Deps) == 0 {
		t.Errorf("%s says that nothing of others is in it", name)
	}
	for _, m := range info.Deps {
		if !strings.Contains(licences, "\n"+m.Path+" "+m.Version+": ") {
			t.Errorf("%s: no licence of %s %s", name, m.Path, m.Version)
		}
	}
}

func TestArchiveIsReproducible(t *testing.T) {
	again := t.TempDir()
	if out, err := runMake(again, "dist"); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	sums := "nsq-" + readVersion() + ".sha256"
	first, err := os.ReadFile(built(sums))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(again, sums))
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[0-9a-f]{64}  ` + regexp.QuoteMeta(archiveName()) + `\.tar\.gz\n$`)
	if !form.Match(first) || !bytes.Equal(first, second) {
		t.Errorf("checksums are %q and then %q", first, second)
	}
}

// files are those that both packages have, and their modes.
func files() map[string]os.FileMode {
	want := map[string]os.FileMode{"/usr/lib/sysusers.d/nsq.conf": 0o644}
	for _, p := range programs {
		want["/usr/bin/"+p] = 0o755
		want["/usr/share/bash-completion/completions/"+p] = 0o644
	}
	for _, p := range []string{"nsq_stat", "nsq_store", "nsq_tail", "nsq_to_file", "nsq_to_http", "nsq_to_nsq", "to_nsq"} {
		want["/usr/share/man/man1/"+p+".1"] = 0o644
	}
	for _, d := range []string{"nsqd", "nsqlookupd", "nsqadmin"} {
		want["/usr/lib/systemd/system/"+d+".service"] = 0o644
		want["/etc/nsq/"+d+".cfg"] = 0o644
		want["/usr/share/man/man8/"+d+".8"] = 0o644
	}
	return want
}

// checkFiles expects at least files and those of one kind of package, each with its mode, and
// none that anybody may write to.
func checkFiles(t *testing.T, got map[string]os.FileMode, own ...string) {
	t.Helper()
	want := files()
	for _, name := range own {
		want[name] = 0o644
	}
	for name, mode := range want {
		if got[name] != mode {
			t.Errorf("%s has mode %o, want %o", name, got[name], mode)
		}
	}
	for name, mode := range got {
		if mode&0o022 != 0 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
}

func debPath() string {
	return built(fmt.Sprintf("nsq_%s_%s.deb", readVersion(), runtime.GOARCH))
}

func TestDeb(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed, which reads packages")
	}
	for field, want := range map[string]string{"Package": "nsq", "Version": readVersion(), "Architecture": runtime.GOARCH, "Depends": "passwd"} {
		out, err := exec.Command("dpkg-deb", "-f", debPath(), field).Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", field, got, err, want)
		}
	}
	out, err := exec.Command("dpkg-deb", "--fsys-tarfile", debPath()).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]os.FileMode{}
	for tr := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			got[strings.TrimPrefix(h.Name, ".")] = h.FileInfo().Mode().Perm()
		}
	}
	checkFiles(t, got, "/usr/share/doc/nsq/copyright", "/usr/share/doc/nsq/THIRD-PARTY-LICENSES", "/usr/share/zsh/vendor-completions/_nsqd")
	control := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "-e", debPath(), control).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conffiles, err := os.ReadFile(filepath.Join(control, "conffiles"))
	if got := slices.Sorted(slices.Values(strings.Fields(string(conffiles)))); err != nil || !slices.Equal(got, []string{"/etc/nsq/nsqadmin.cfg", "/etc/nsq/nsqd.cfg", "/etc/nsq/nsqlookupd.cfg"}) {
		t.Errorf("conffiles are %q, %v", got, err)
	}
}

func TestRPM(t *testing.T) {
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	f, err := os.Open(built(fmt.Sprintf("nsq-%s-1.%s.rpm", readVersion(), arch)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rpm, err := rpmutils.ReadRpm(f)
	if err != nil {
		t.Fatal(err)
	}
	nevra, err := rpm.Header.GetNEVRA()
	if err != nil || nevra.Name != "nsq" || nevra.Version != readVersion() || nevra.Release != "1" || nevra.Arch != arch {
		t.Errorf("is %v, %v", nevra, err)
	}
	requires, err := rpm.Header.GetStrings(rpmutils.REQUIRENAME)
	if err != nil || !slices.Contains(requires, "/usr/sbin/useradd") {
		t.Errorf("requires %q, %v", requires, err)
	}
	infos, err := rpm.Header.GetFiles()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]os.FileMode{}
	config := map[string]bool{}
	for _, f := range infos {
		if f.Mode()&0o170000 == 0o100000 {
			got[f.Name()] = os.FileMode(f.Mode()).Perm()
		}
		if f.Flags()&rpmutils.RPMFILE_CONFIG != 0 && f.Flags()&rpmutils.RPMFILE_NOREPLACE != 0 {
			config[f.Name()] = true
		}
	}
	checkFiles(t, got, "/usr/share/licenses/nsq/LICENSE", "/usr/share/licenses/nsq/THIRD-PARTY-LICENSES", "/usr/share/zsh/site-functions/_nsqd")
	if names := slices.Sorted(maps.Keys(config)); !slices.Equal(names, []string{"/etc/nsq/nsqadmin.cfg", "/etc/nsq/nsqd.cfg", "/etc/nsq/nsqlookupd.cfg"}) {
		t.Errorf("files to keep are %q", names)
	}
}
