package nsqd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

const (
	powerCuts = 8
	diskImage = 96 << 20 // bytes of the file system that loses its power
)

// TestPowerCut cuts the power of a broker with fsync, again and again, while messages
// are published in every way and consumed: the process stops between two instructions,
// and the next one gets an image of the disk as it is then, without what the system
// has not written. The same must hold as after a kill.
func TestPowerCut(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	disk := newPowerDisk(t)
	k := newKilling(t, syncTime)
	child := func() *childBroker {
		return startChild(t, childOptions{DataPath: filepath.Join(disk.dir, "data"), MemQueueSize: 100, Durability: nsqd.Fsync})
	}
	for range powerCuts {
		b := child()
		k.round(b, func() { disk.cut(b) })
	}
	last := child()
	k.checkTopology(last)
	k.consumeRest(last)
	k.judge()
	last.kill()
}

// A powerDisk is a file system in a file, mounted through a loop device.
type powerDisk struct {
	t     *testing.T
	files string // directory of the images
	image int
	dir   string // where it is mounted
}

// newPowerDisk mounts a fresh file system with a directory data.
func newPowerDisk(t *testing.T) *powerDisk {
	t.Helper()
	d := &powerDisk{t: t, files: t.TempDir(), dir: t.TempDir()}
	if err := os.WriteFile(d.file(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.file(), diskImage); err != nil {
		t.Fatal(err)
	}
	const otherwise = "internal/store tests power cuts on a file system in memory, too"
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skipf("%v; %s", err, otherwise)
	}
	d.run("mkfs.ext4", "-q", "-F", d.file())
	nsqtest.Mount(t, d.dir, otherwise, "-o", "loop", d.file())
	if err := os.Mkdir(filepath.Join(d.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *powerDisk) file() string { return filepath.Join(d.files, fmt.Sprint(d.image)) }

// cut stops the broker, takes an image of the disk, and mounts it in its place. What
// the broker told anybody, it told before that.
func (d *powerDisk) cut(b *childBroker) {
	d.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		d.t.Fatal(err)
	}
	before := d.file()
	d.image++
	d.run("cp", "--sparse=always", before, d.file())
	b.kill()
	if err := syscall.Unmount(d.dir, 0); err != nil {
		d.t.Fatalf("unmounting: %v", err)
	}
	d.run("mount", "-o", "loop", d.file(), d.dir)
	if err := os.Remove(before); err != nil {
		d.t.Error(err)
	}
}

func (d *powerDisk) run(command ...string) {
	d.t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v: %s", command, err, out)
	}
}
