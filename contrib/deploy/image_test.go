package deploy

import (
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/seed893f581e/nsq/internal/version"
)

var programs = []string{"nsq_stat", "nsq_store", "nsq_tail", "nsq_to_file", "nsq_to_http", "nsq_to_nsq", "nsqadmin", "nsqd", "nsqlookupd", "to_nsq"}

func TestImageHasTheProgramsWhereCommandsExpectThem(t *testing.T) {
	if got := names(t, theImage(t).path("usr/local/bin")); !slices.Equal(got, programs) {
		t.Errorf("/usr/local/bin has %q, want %q", got, programs)
	}
	for _, dir := range []string{"", "bin", "usr/local/bin"} {
		for _, program := range programs {
			file := theImage(t).path(filepath.Join(dir, program))
			target, err := filepath.EvalSymlinks(file)
			if err != nil || target != theImage(t).path("usr/local/bin/"+program) {
				t.Errorf("/%s/%s is %s, %v", dir, program, target, err)
				continue
			}
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o755 {
				t.Errorf("%s: mode %v, want 0755 (%v)", file, info.Mode(), err)
			}
		}
	}
}

func names(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestProgramsOfTheImageAreStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what is built here is for another system than the image's")
	}
	for _, program := range programs {
		f, err := elf.Open(theImage(t).path("usr/local/bin/" + program))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if libs, err := f.ImportedLibraries(); len(libs) > 0 || err != nil || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("%s is not static: %q, %v", program, libs, err)
		}
	}
}

func TestImageKeepsItsConventions(t *testing.T) {
	if want := []string{"4150", "4151", "4160", "4161", "4170", "4171"}; !slices.Equal(theImage(t).ports, want) {
		t.Errorf("EXPOSE %q, want %q", theImage(t).ports, want)
	}
	if theImage(t).work != "/data" {
		t.Errorf("programs start in %s, want /data", theImage(t).work)
	}
	if !strings.HasPrefix(theImage(t).base, "alpine:") { // has a shell, wget and the links for CA bundles
		t.Errorf("the image stands on %s, not on Alpine", theImage(t).base)
	}
	if !slices.Contains(theImage(t).packages, "ca-certificates") {
		t.Errorf("packages %q have no CA bundle", theImage(t).packages)
	}
	if len(theImage(t).others) > 0 { // ENTRYPOINT, CMD, USER and VOLUME above all
		t.Errorf("the image has %q, which the known one has not", theImage(t).others)
	}
}

func TestImageHasLicences(t *testing.T) {
	for _, name := range []string{"LICENSE", "THIRD-PARTY-LICENSES"} {
		text, err := os.ReadFile(theImage(t).path("usr/share/licenses/nsq/" + name))
		if err != nil || string(text) != read(t, name) {
			t.Errorf("%s: %v, or another text", name, err)
		}
	}
}

// A user that is given without a group is in group 0; nobody else needs to write.
func TestDataDirectoryIsOfGroup0(t *testing.T) {
	info, err := os.Stat(theImage(t).path("data"))
	if err != nil || info.Mode() != fs.ModeDir|0o775 {
		t.Errorf("/data: mode %v, want drwxrwxr-x (%v)", info.Mode(), err)
	}
}

func TestLabels(t *testing.T) {
	const prefix = "org.opencontainers.image."
	for key, want := range map[string]string{"version": version.Binary, "licenses": "MIT", "title": "nsq", "revision": "", "created": ""} {
		if got, ok := theImage(t).labels[prefix+key]; got != want || !ok {
			t.Errorf("label %s: %q, want %q", key, got, want)
		}
	}
}

// The compiler's image is not older than go.mod asks for.
func TestImageIsBuiltByTheGoOfTheModule(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	mod, err := modfile.Parse("go.mod", []byte(read(t, "go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	from := regexp.MustCompile(`(?m)^FROM .*\bgolang:(\d+\.\d+)-alpine`).FindStringSubmatch(dockerfile)
	if from == nil || !strings.HasPrefix(mod.Go.Version, from[1]+".") {
		t.Errorf("the Dockerfile builds with %q, go.mod asks for %s", from, mod.Go.Version)
	}
}

// read returns a file of the project.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
