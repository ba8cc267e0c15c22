package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// sizedFS is a file system with so many bytes free.
type sizedFS struct {
	vfs.FS
	free atomic.Uint64
}

func (f *sizedFS) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	_, err := f.Stat(name)
	return vfs.DiskUsage{AvailBytes: f.free.Load()}, err
}

// rebuiltInMemory makes an index in memory, which place is to bring to a disk.
func rebuiltInMemory(t *testing.T, disk vfs.FS, place func(vfs.FS) error) *index {
	t.Helper()
	x, err := rebuiltIndex(newPatientFS(disk, new(reserve)), "store/index", place, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	x.mu.Lock()
	t.Cleanup(func() {
		x.mu.Unlock()
		x.close()
	})
	return x
}

// What there is no room for is not tried: it would fill the disk each time.
func TestARebuiltIndexStaysInMemoryUntilThereIsRoomForAllOfIt(t *testing.T) {
	disk := &sizedFS{FS: vfs.NewMem()}
	if err := disk.MkdirAll("store", 0o755); err != nil {
		t.Fatal(err)
	}
	tried := 0
	x := rebuiltInMemory(t, disk, func(memory vfs.FS) error {
		tried++
		_, err := vfs.Clone(memory, disk, indexDir, "store/index")
		return err
	})
	x.waitFor(syscall.ENOSPC)
	disk.free.Store(roomToOpen + 10)
	if x.resume(); tried != 0 || x.memory == nil {
		t.Errorf("tried %d times without room", tried)
	}
	disk.free.Store(2 * roomToOpen)
	if x.resume(); tried != 1 || x.memory != nil || x.err() != nil {
		t.Errorf("tried %d times with room, %v", tried, x.err())
	}
}

// Nobody finds an index that is not open without a reason.
func TestAnIndexThatCannotBeOpenedAgainSaysWhy(t *testing.T) {
	x := rebuiltInMemory(t, vfs.NewMem(), func(vfs.FS) error { return syscall.EIO })
	if err := x.reopen(); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if _, _, err := x.reader(); !errors.Is(err, syscall.EIO) {
		t.Errorf("who reads it gets %v", err)
	}
}

// countingFS counts the files that are open to be written.
type countingFS struct {
	vfs.FS
	open int
}

func (f *countingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	f.open++
	return &countedFile{file, f}, nil
}

type countedFile struct {
	vfs.File
	of *countingFS
}

func (f *countedFile) Close() error {
	f.of.open--
	return f.File.Close()
}

// An index that there is no room for leaves nothing behind that takes room, as it is tried again.
func TestAnIndexThatCannotBePlacedLeavesNothing(t *testing.T) {
	memory := vfs.NewMem()
	if err := memory.MkdirAll(indexDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := writeFile(memory, memory.PathJoin(indexDir, fmt.Sprint("file", i)), make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	placed := false
	for writes := int64(0); !placed; writes++ {
		disk := vfs.NewMem()
		o := testOptions(t, disk)
		full, left := fullAfter(disk, writes)
		counting := &countingFS{FS: full}
		s := &Store{Options: o, fs: counting, logger: o.Logger}
		err := s.placeIndex(memory)
		placed = err == nil
		if err != nil && !errors.Is(err, syscall.ENOSPC) || counting.open != 0 {
			t.Fatalf("%d writes: %v, %d files are open", writes, err, counting.open)
		}
		left.Store(1 << 40)
		if err := s.placeIndex(memory); err != nil {
			t.Fatalf("%d writes, then room: %v", writes, err)
		}
		if names, err := disk.List(s.path(indexDir)); len(names) != 3 || err != nil {
			t.Errorf("%d writes, then room: there are %q, %v", writes, names, err)
		}
	}
}
