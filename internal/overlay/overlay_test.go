package overlay

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

const category = vfs.WriteCategoryUnspecified

func write(f vfs.FS, name, content string) error {
	file, err := f.Create(name, category)
	if err != nil {
		return err
	}
	if _, err := file.Write([]byte(content)); err != nil {
		return err
	}
	return file.Close()
}

func read(f vfs.FS, name string) (string, error) {
	file, err := f.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(file)
	return string(b), err
}

// tree returns the contents of all files below a directory, and a slash for
// each directory.
func tree(t testing.TB, f vfs.FS, dir string) map[string]string {
	all := make(map[string]string)
	names, err := f.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = f.PathJoin(dir, name)
		info, err := f.Stat(name)
		if err != nil {
			t.Fatalf("%s is listed, but: %v", name, err)
		}
		if info.IsDir() {
			all[name] = "/"
			maps.Copy(all, tree(t, f, name))
			continue
		}
		if all[name], err = read(f, name); err != nil || int(info.Size()) != len(all[name]) {
			t.Fatalf("%s: %d bytes, %v", name, info.Size(), err)
		}
	}
	return all
}

// populate makes some files and directories.
func populate(t testing.TB, f vfs.FS) {
	for _, dir := range []string{"/d/a", "/d/b/a"} {
		if err := f.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/d/x", "/d/a/x", "/d/a/y", "/d/b/a/x"} {
		if err := write(f, name, "old "+name); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is done to it, what one sees is what one would see of a file system to
// which it was done, and what is below has not changed.
func TestLooksLikeAFileSystemThatChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, model := vfs.NewMem(), vfs.NewMem()
		populateRapid(t, base)
		populateRapid(t, model)
		over := New(base)
		before := treeRapid(t, base)
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			do, told := step(t, model, i)
			got, want := do(over), do(model)
			if (got == nil) != (want == nil) {
				t.Fatalf("%s: %v, want %v", told, got, want)
			}
			if got, want := treeRapid(t, over), treeRapid(t, model); !maps.Equal(got, want) {
				t.Fatalf("after %s: %v, want %v", told, got, want)
			}
		}
		if after := treeRapid(t, base); !maps.Equal(after, before) {
			t.Fatalf("what is below was %v and is %v", before, after)
		}
	})
}

// step returns something to do. Files and directories have different names, as file
// systems differ in what they do where one is in place of the other.
func step(t *rapid.T, model vfs.FS, i int) (do func(vfs.FS) error, told string) {
	file := rapid.SampledFrom([]string{"/d/x", "/d/a/x", "/d/a/y", "/d/b/a/x", "/d/e/x"})
	dir := rapid.SampledFrom([]string{"/d/a", "/d/b", "/d/b/a", "/d/e"})
	name := file.Draw(t, "file")
	content := fmt.Sprint("new ", i)
	switch rapid.IntRange(0, 6).Draw(t, "what") {
	case 0:
		return func(f vfs.FS) error { return write(f, name, content) }, "creating " + name
	case 1:
		return func(f vfs.FS) error { return overwrite(f, name, content) }, "writing " + name
	case 2:
		return func(f vfs.FS) error { return f.Remove(name) }, "removing " + name
	case 3:
		of := dir.Draw(t, "dir")
		return func(f vfs.FS) error { return f.RemoveAll(of) }, "removing all of " + of
	case 4:
		to := file.Filter(func(to string) bool { return to != name && is(model, model.PathDir(to)) }).Draw(t, "to")
		return func(f vfs.FS) error { return f.Rename(name, to) }, "renaming " + name + " to " + to
	case 5:
		of := dir.Draw(t, "dir")
		if of == "/d/e" || is(model, "/d/e") || !is(model, of) {
			return func(f vfs.FS) error { return f.MkdirAll("/d/e", 0o755) }, "making /d/e"
		}
		return func(f vfs.FS) error { return f.Rename(of, "/d/e") }, "renaming " + of + " to /d/e"
	}
	of := dir.Draw(t, "dir")
	return func(f vfs.FS) error { return f.Remove(of) }, "removing " + of
}

func is(f vfs.FS, name string) bool { _, err := f.Stat(name); return err == nil }

func overwrite(f vfs.FS, name, content string) error {
	file, err := f.OpenReadWrite(name, category)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt([]byte(content), 2); err != nil {
		return err
	}
	return file.Close()
}

func TestAFileCanHaveTwoNames(t *testing.T) {
	over := New(vfs.NewMem())
	populate(t, over.base)
	if err := over.Link("/d/x", "/d/a/x"); err == nil {
		t.Error("a link replaced a file")
	}
	if err := over.Link("/d/x", "/d/second"); err != nil {
		t.Fatal(err)
	}
	if err := over.Remove("/d/x"); err != nil {
		t.Fatal(err)
	}
	if got, err := read(over, "/d/second"); got != "old /d/x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestTheDiskOfADirectoryThatIsOnlyHereIsKnown(t *testing.T) {
	f := New(vfs.Default)
	dir := filepath.Join(t.TempDir(), "new", "dir")
	if err := f.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if usage, err := f.GetDiskUsage(dir); err != nil || usage.TotalBytes == 0 {
		t.Errorf("%+v, %v", usage, err)
	}
}

func TestALockKeepsOthersOutAndLeavesNothing(t *testing.T) {
	base := vfs.NewMem()
	populate(t, base)
	over := New(base)
	lock, err := over.Lock("/d/LOCK")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := over.Lock("/d/LOCK"); err == nil {
		t.Error("it can be locked twice")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := base.Stat("/d/LOCK"); err == nil {
		t.Error("the lock is below")
	}
}

// fatal makes a rapid.T what the helpers want.
type fatal struct {
	testing.TB
	t *rapid.T
}

func (f fatal) Fatal(args ...any)                 { f.t.Fatal(args...) }
func (f fatal) Fatalf(format string, args ...any) { f.t.Fatalf(format, args...) }

func populateRapid(t *rapid.T, f vfs.FS)               { populate(fatal{t: t}, f) }
func treeRapid(t *rapid.T, f vfs.FS) map[string]string { return tree(fatal{t: t}, f, "/d") }

// A whole database can be opened, written, compacted and closed over real files,
// which stay as they were.
func TestADatabaseRunsOverFilesThatStay(t *testing.T) {
	dir := t.TempDir()
	fill := func(f vfs.FS, from, to int) {
		db, err := pebble.Open(dir, &pebble.Options{FS: f, MemTableSize: 64 << 10, Logger: quiet{}})
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if err := db.Set(fmt.Appendf(nil, "%06d", i), make([]byte, 100), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Compact(t.Context(), []byte("0"), []byte("9"), false); err != nil {
			t.Fatal(err)
		}
		if _, closer, err := db.Get([]byte("000000")); err != nil {
			t.Fatal(err)
		} else if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fill(vfs.Default, 0, 5000)
	before := files(t, dir)
	over := New(vfs.Default)
	fill(over, 3000, 9000)
	fill(over, 9000, 9001)
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("the files were %v and are %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func files(t *testing.T, dir string) map[string]string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}
