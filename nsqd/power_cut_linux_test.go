package nsqd_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

const (
	powerCuts = 8
	diskImage = 96 << 20 // bytes of the file system that loses its power
)

// TestPowerCut cuts the power of a broker with fsync, again and again, while messages
// are published in every way and consumed: from one moment on nothing is written to its
// disk any more, and what the system has not written by then the next process does not
// see. The same must hold as after a kill.
func TestPowerCut(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	disk := newPowerDisk(t)
	k := newKilling(t, 0)
	for range powerCuts {
		b := disk.broker()
		k.round(b, func() {
			k.cut.Store(true)
			disk.cut(b)
		})
		k.cut.Store(false)
	}
	last := disk.broker()
	defer k.judge()
	k.checkTopology(last)
	k.consumeRest(last)
	last.kill()
}

// What is finished is on the disk as soon as something else of the topic is that came later
// and is answered, here that another channel was emptied: it does not come again.
func TestFinishedStaysSoAfterAPowerCut(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	disk := newPowerDisk(t)
	b := disk.broker()
	c := b.dial()
	c.consume("t", "c", 100)
	fetch(t, http.DefaultClient, b, "POST", "/channel/create?topic=t&channel=other")
	b.dial().mpub("t", bodies("m", 50)...)
	for i := range 50 {
		if m := c.message(); i < 40 {
			c.fin(m)
		}
	}
	c.sync()
	fetch(t, http.DefaultClient, b, "POST", "/channel/empty?topic=t&channel=other")
	disk.cut(b)
	next := disk.broker()
	depths := make(map[string]int64)
	for _, topic := range readStats(t, next).Topics {
		for _, ch := range topic.Channels {
			depths[ch.Name] = ch.Depth
		}
	}
	if depths["c"] != 10 || depths["other"] != 0 {
		t.Errorf("depths are %v, want 10 of the channel in which 40 of 50 were finished, 0 of the other", depths)
	}
	next.kill()
}

// A powerDisk is a file system in a file, mounted through a loop device.
type powerDisk struct {
	t    *testing.T
	file string
	dir  string // where it is mounted
}

// newPowerDisk mounts a fresh file system with a directory data.
func newPowerDisk(t *testing.T) *powerDisk {
	t.Helper()
	d := &powerDisk{t: t, file: filepath.Join(t.TempDir(), "disk"), dir: t.TempDir()}
	if err := os.WriteFile(d.file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.file, diskImage); err != nil {
		t.Fatal(err)
	}
	const otherwise = "internal/store tests power cuts on a file system in memory, too"
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skipf("%v; %s", err, otherwise)
	}
	d.run("mkfs.ext4", "-q", "-F", d.file)
	nsqtest.Mount(t, d.dir, otherwise, "-o", "loop", d.file)
	if err := os.Mkdir(filepath.Join(d.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// broker starts one on the disk.
func (d *powerDisk) broker() *childBroker {
	return startChild(d.t, childOptions{DataPath: filepath.Join(d.dir, "data"), MemQueueSize: 100, Durability: nsqd.Fsync})
}

// cut has the file system stop at once, kills the broker, and mounts what is on the disk
// in its place. A copy of the disk would not do: while it is made the system goes on writing,
// the longer the busier the machine is, and no disk ever was as the copy is then.
func (d *powerDisk) cut(b *childBroker) {
	d.t.Helper()
	if err := shutDown(d.dir); err != nil {
		d.t.Fatalf("stopping the file system: %v", err)
	}
	b.kill()
	if err := syscall.Unmount(d.dir, 0); err != nil {
		d.t.Fatalf("unmounting: %v", err)
	}
	d.run("mount", "-o", "loop", d.file, d.dir)
}

// shutDown has the file system at dir write nothing any more, neither data nor its log
// (EXT4_IOC_SHUTDOWN): what is not on the disk stays so, and who waits for it gets an error.
func shutDown(dir string) error {
	const (
		request    = 0x8004587d
		noLogFlush = 2
	)
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := uint32(noLogFlush)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}

func (d *powerDisk) run(command ...string) {
	d.t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v: %s", command, err, out)
	}
}
