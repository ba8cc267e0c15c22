package store

import (
	"errors"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A frugalFS is a file system on which the logs of a store close what they keep open
// for its next use before something fails as too many files are open.
type frugalFS struct {
	vfs.FS
	close func()
}

// Unwrap lets pebble find the file system below.
func (f *frugalFS) Unwrap() vfs.FS { return f.FS }

func (f *frugalFS) try(op func() error) error {
	err := op()
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		f.close()
		err = op()
	}
	return err
}

func (f *frugalFS) Create(name string, category vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.try(func() error { file, err = f.FS.Create(name, category); return err })
	return file, err
}

func (f *frugalFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.try(func() error { file, err = f.FS.ReuseForWrite(from, to, category); return err })
	return file, err
}

func (f *frugalFS) Open(name string, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.try(func() error { file, err = f.FS.Open(name, opts...); return err })
	return file, err
}

func (f *frugalFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.try(func() error { file, err = f.FS.OpenReadWrite(name, category, opts...); return err })
	return file, err
}

func (f *frugalFS) OpenDir(name string) (file vfs.File, err error) {
	err = f.try(func() error { file, err = f.FS.OpenDir(name); return err })
	return file, err
}

func (f *frugalFS) List(dir string) (names []string, err error) {
	err = f.try(func() error { names, err = f.FS.List(dir); return err })
	return names, err
}

// closeFiles has all logs close what is not in use this moment. It waits for nobody, as
// it is called by those who are about to open a file.
func (s *Store) closeFiles() {
	for _, t := range s.Topics() {
		t.closeFiles()
	}
}

// closeFiles has the logs of t close what is not in use this moment, which is opened
// again when it is needed.
func (t *Topic) closeFiles() {
	for _, l := range t.logs() {
		l.Idle()
	}
}

// filesOfTopic is about how many files a topic has open while it is in use.
const filesOfTopic = 2

// closeOldest has topics close their files, those first that were not used for the
// longest time, where more are open than there should be.
func (s *Store) closeOldest(used map[*Topic]use) {
	limit := s.OpenFiles / filesOfTopic
	if s.OpenFiles == 0 || len(used) <= limit {
		return
	}
	open := make([]*Topic, 0, len(used))
	for t, u := range used {
		if !u.closed {
			open = append(open, t)
		}
	}
	slices.SortFunc(open, func(a, b *Topic) int { return used[a].at.Compare(used[b].at) })
	for _, t := range open[:max(0, len(open)-limit)] {
		t.closeFiles()
		used[t] = use{used[t].at, true}
	}
}
