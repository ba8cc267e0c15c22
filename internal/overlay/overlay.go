// Package overlay is a file system over another one that never changes: what is
// written lies in memory, what is removed is hidden. With it a store can be opened,
// mended and emptied as its daemon would, and its files stay as they are.
package overlay

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is such a file system. It is safe for concurrent use as long as nobody changes
// what is below it.
type FS struct {
	base vfs.FS

	// A name stands for what moved has, or else mem, or else base. A file is in one of
	// them, a directory may be in mem and base.
	mu    sync.Mutex        // all that follows, for every change of names
	mem   *vfs.MemFS        // what was written, under its key
	gone  map[string]bool   // keys of what is not to be seen of base any more, with what is in it
	moved map[string]string // keys of files of base that have another name here, with the one there
}

// New returns a file system that shows base, and to which nothing was written yet.
func New(base vfs.FS) *FS {
	return &FS{base: base, mem: vfs.NewMem(), gone: make(map[string]bool), moved: make(map[string]string)}
}

// key is a name in the form that a MemFS wants on every system.
func key(name string) string { return path.Clean("/" + filepath.ToSlash(name)) }

// hidden reports whether something of base is not to be seen.
func (f *FS) hidden(k string) bool {
	for ; ; k = path.Dir(k) {
		if f.gone[k] {
			return true
		}
		if k == "/" {
			return false
		}
	}
}

// below returns the name that something has in base, false if it is not from there.
func (f *FS) below(name string) (string, bool) {
	k := key(name)
	if from, ok := f.moved[k]; ok {
		return from, true
	}
	return name, !f.hidden(k)
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

func (f *FS) stat(name string) (vfs.FileInfo, error) {
	if info, err := f.mem.Stat(key(name)); err == nil {
		return info, nil
	}
	if from, ok := f.below(name); ok {
		return f.base.Stat(from)
	}
	return nil, notExist("stat", name)
}

// prepare makes the directory in memory in which something is to be written.
func (f *FS) prepare(op, name string) error {
	dir := f.base.PathDir(name)
	if info, err := f.stat(dir); err != nil || !info.IsDir() {
		return notExist(op, name)
	}
	return f.mem.MkdirAll(key(dir), 0o755)
}

// Create makes a new file in memory.
func (f *FS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.create(name, category)
}

func (f *FS) create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.prepare("create", name); err != nil {
		return nil, err
	}
	f.hide(name)
	return f.mem.Create(key(name), category)
}

// hide keeps what is in base from being seen under a name.
func (f *FS) hide(name string) {
	k := key(name)
	delete(f.moved, k)
	f.gone[k] = true
}

// Open opens a file for reading.
func (f *FS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := f.mem.Stat(key(name)); err == nil && !info.IsDir() {
		return f.mem.Open(key(name), opts...)
	}
	if from, ok := f.below(name); ok {
		return f.base.Open(from, opts...)
	}
	return nil, notExist("open", name)
}

// OpenReadWrite opens a file for writing, of which memory then has a copy.
func (f *FS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.prepare("open", name); err != nil {
		return nil, err
	}
	if _, err := f.mem.Stat(key(name)); err != nil {
		if err := f.copyUp(name, category); err != nil {
			return nil, err
		}
	}
	return f.mem.OpenReadWrite(key(name), category, opts...)
}

// copyUp copies a file of base into memory, if there is one.
func (f *FS) copyUp(name string, category vfs.DiskWriteCategory) error {
	if _, err := f.stat(name); err != nil {
		f.hide(name) // so that there is no doubt where the new one is
		return nil
	}
	from, _ := f.below(name)
	src, err := f.base.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := f.create(name, category)
	if err != nil {
		return err
	}
	if _, err := io.Copy(struct{ io.Writer }{dst}, src); err != nil {
		return err
	}
	return dst.Close()
}

// OpenDir opens a directory for Sync, which does nothing.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if info, err := f.stat(name); err != nil || !info.IsDir() {
		return nil, notExist("open", name)
	}
	if err := f.mem.MkdirAll(key(name), 0o755); err != nil {
		return nil, err
	}
	return f.mem.OpenDir(key(name))
}

// Remove hides a file or an empty directory.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := f.stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		if names, err := f.list(name); err != nil || len(names) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrExist}
		}
	}
	return f.removeAll(name)
}

// RemoveAll hides a file or directory.
func (f *FS) RemoveAll(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.removeAll(name)
}

func (f *FS) removeAll(name string) error {
	k := key(name)
	for other := range f.moved {
		if strings.HasPrefix(other, k+"/") {
			delete(f.moved, other)
		}
	}
	f.hide(name)
	if _, err := f.mem.Stat(k); err != nil {
		return nil //nolint:nilerr // there is nothing in memory
	}
	return f.mem.RemoveAll(k)
}

// Rename gives a file another name, or a directory with all that is in it.
func (f *FS) Rename(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rename(oldname, newname)
}

func (f *FS) rename(oldname, newname string) error {
	info, err := f.stat(oldname)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return f.renameDir(oldname, newname)
	}
	if err := f.link(oldname, newname); err != nil {
		return err
	}
	return f.removeAll(oldname)
}

func (f *FS) renameDir(oldname, newname string) error {
	if err := f.prepare("rename", newname); err != nil {
		return err
	}
	names, err := f.list(oldname)
	if err != nil {
		return err
	}
	if err := f.mkdirAll(newname, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := f.rename(f.base.PathJoin(oldname, name), f.base.PathJoin(newname, name)); err != nil {
			return err
		}
	}
	return f.removeAll(oldname)
}

// Link gives a file a second name. If it is of base and written to later, then only
// under one of them.
func (f *FS) Link(oldname, newname string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.stat(newname); err == nil {
		return &fs.PathError{Op: "link", Path: newname, Err: fs.ErrExist}
	}
	if _, err := f.stat(oldname); err != nil {
		return err
	}
	return f.link(oldname, newname)
}

// link replaces newname.
func (f *FS) link(oldname, newname string) error {
	if err := f.prepare("link", newname); err != nil {
		return err
	}
	from, isBase := f.below(oldname)
	if err := f.removeAll(newname); err != nil {
		return err
	}
	if isBase {
		f.moved[key(newname)] = from
		return nil
	}
	return f.mem.Link(key(oldname), key(newname))
}

// ReuseForWrite makes a new file in place of one that is not needed any more.
func (f *FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.stat(oldname); err != nil {
		return nil, err
	}
	if err := f.removeAll(oldname); err != nil {
		return nil, err
	}
	return f.create(newname, category)
}

// MkdirAll makes a directory in memory.
func (f *FS) MkdirAll(dir string, perm os.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mkdirAll(dir, perm)
}

func (f *FS) mkdirAll(dir string, perm os.FileMode) error {
	if info, err := f.stat(dir); err == nil && !info.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	}
	return f.mem.MkdirAll(key(dir), perm)
}

// Lock locks a file in memory: it keeps out only who uses this file system.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.prepare("lock", name); err != nil {
		return nil, err
	}
	f.hide(name)
	return f.mem.Lock(key(name))
}

// List returns the names in a directory.
func (f *FS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list(dir)
}

func (f *FS) list(dir string) ([]string, error) {
	info, err := f.stat(dir)
	if err != nil || !info.IsDir() {
		return nil, notExist("list", dir)
	}
	k := key(dir)
	var names []string
	if _, err := f.mem.Stat(k); err == nil {
		if names, err = f.mem.List(k); err != nil {
			return nil, err
		}
	}
	for other := range f.moved {
		if path.Dir(other) == k {
			names = append(names, path.Base(other))
		}
	}
	found, err := f.listBelow(dir)
	if err != nil {
		return nil, err
	}
	names = append(names, found...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// listBelow returns the names in a directory of base that are to be seen.
func (f *FS) listBelow(dir string) (names []string, err error) {
	k := key(dir)
	if info, err := f.base.Stat(dir); err != nil || !info.IsDir() || f.hidden(k) {
		return nil, nil //nolint:nilerr // it is in memory alone
	}
	names, err = f.base.List(dir)
	return slices.DeleteFunc(names, func(name string) bool { return f.gone[path.Join(k, name)] }), err
}

// Stat tells what a name stands for.
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stat(name)
}

// PathBase, PathJoin and PathDir are those of what is below.
func (f *FS) PathBase(name string) string    { return f.base.PathBase(name) }
func (f *FS) PathJoin(elem ...string) string { return f.base.PathJoin(elem...) }
func (f *FS) PathDir(name string) string     { return f.base.PathDir(name) }

// GetDiskUsage tells of the disk below, for a directory that is only here by the one it is in.
func (f *FS) GetDiskUsage(name string) (vfs.DiskUsage, error) {
	for {
		usage, err := f.base.GetDiskUsage(name)
		dir := f.base.PathDir(name)
		if !errors.Is(err, fs.ErrNotExist) || dir == name {
			return usage, err
		}
		name = dir
	}
}

// Unwrap returns nothing, so that nobody gets to what must not change.
func (f *FS) Unwrap() vfs.FS { return nil }
