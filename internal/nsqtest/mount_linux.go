package nsqtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// SmallDisk returns an empty directory on a file system of its own of so many bytes. It
// is there until the test ends; where it cannot be, the test is skipped.
func SmallDisk(t *testing.T, size int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	Mount(t, dir, "internal/diskq tests full disks by a limit on file sizes, too", "-t", "tmpfs", "-o", fmt.Sprint("size=", size), "tmpfs")
	return dir
}

// ShortDisk mounts a file system of which a file, others, leaves 1.5 MiB free. That is too little for the
// reserve of a store that is made there, which it gives up some time, and for what its index takes in
// advance some time: so FillDisk leaves no room for anything, and nothing makes some.
func ShortDisk(t *testing.T) (dir string) {
	t.Helper()
	const size, free = 64 << 20, 3 << 19
	dir = SmallDisk(t, size)
	if err := os.WriteFile(filepath.Join(dir, "others"), make([]byte, size-free), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Mount has mount(8) mount what args say at dir until the test ends. Where that is not
// allowed the test is skipped; otherwise says how the same is tested there.
func Mount(t *testing.T, dir, otherwise string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("only root may mount a file system, as this test does; %s", otherwise)
	}
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Skipf("a file system cannot be mounted here, as in a container without CAP_SYS_ADMIN: mount %q: %v: %s; %s", args, err, out, otherwise)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
}

// FillDisk writes a file that leaves no byte free.
func FillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 1<<20); len(b) > 0; {
		if n, err := f.Write(b); err != nil && n == 0 {
			b = b[:len(b)/2]
		}
	}
}
