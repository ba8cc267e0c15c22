package main

import (
	"os"
	"syscall"
	"testing"
)

// faultyDisk is a disk that can be full, and on which other things can fail.
type faultyDisk struct {
	osDisk
	room int64                 // bytes that can still be written; below 0 for no limit
	fail func(op string) error // nil for an operation that succeeds; may be nil itself
}

func newFaultyDisk() *faultyDisk { return &faultyDisk{room: -1} }

func (d *faultyDisk) check(op string) error {
	if d.fail == nil {
		return nil
	}
	return d.fail(op)
}

// failing returns a fail that has some operations fail.
func failing(err error, ops ...string) func(string) error {
	return func(op string) error {
		for _, o := range ops {
			if o == op {
				return err
			}
		}
		return nil
	}
}

func (d *faultyDisk) MkdirAll(dir string) error {
	if err := d.check("mkdir"); err != nil {
		return err
	}
	return d.osDisk.MkdirAll(dir)
}

func (d *faultyDisk) OpenFile(name string, flag int) (file, error) {
	if err := d.check("open"); err != nil {
		return nil, err
	}
	f, err := d.osDisk.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{f.(osFile), d}, nil
}

func (d *faultyDisk) Link(from, to string) error {
	if err := d.check("link"); err != nil {
		return err
	}
	return d.osDisk.Link(from, to)
}

func (d *faultyDisk) Remove(name string) error {
	if err := d.check("remove"); err != nil {
		return err
	}
	return d.osDisk.Remove(name)
}

func (d *faultyDisk) SyncDir(dir string) error {
	if err := d.check("syncdir"); err != nil {
		return err
	}
	return d.osDisk.SyncDir(dir)
}

type faultyFile struct {
	osFile
	disk *faultyDisk
}

// Write writes as much as there is room for.
func (f *faultyFile) Write(p []byte) (int, error) {
	if err := f.disk.check("write"); err != nil {
		n, _ := f.osFile.Write(p[:len(p)/2])
		return n, err
	}
	fits := p
	if f.disk.room >= 0 {
		fits = p[:min(int64(len(p)), f.disk.room)]
		f.disk.room -= int64(len(fits))
	}
	n, err := f.osFile.Write(fits)
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return n, err
}

func (f *faultyFile) Sync() error {
	if err := f.disk.check("sync"); err != nil {
		return err
	}
	return f.osFile.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.disk.check("truncate"); err != nil {
		return err
	}
	return f.osFile.Truncate(size)
}

func (f *faultyFile) Close() error {
	if err := f.disk.check("close"); err != nil {
		f.osFile.Close()
		return err
	}
	return f.osFile.Close()
}

func TestEndOfLastLine(t *testing.T) {
	d := osDisk{}
	long := string(make([]byte, 200<<10))
	for content, want := range map[string]string{
		"":                       "",
		"half":                   "",
		"one\n":                  "one\n",
		"one\ntwo\n":             "one\ntwo\n",
		"one\ntwo\nha":           "one\ntwo\n",
		"one\n" + long:           "one\n",
		"one\n" + long + "\nhal": "one\n" + long + "\n",
		long:                     "",
	} {
		name := t.TempDir() + "/f"
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := d.OpenFile(name, 0)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := cutTail(f)
		f.Close()
		got, readErr := os.ReadFile(name)
		if err != nil || readErr != nil || string(got) != want || cut != int64(len(content)-len(want)) {
			t.Errorf("of %d bytes %d are left and %d cut off, want %d left; %v, %v", len(content), len(got), cut, len(want), err, readErr)
		}
	}
}
