package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// recover moves what a crash left in the work directory to where complete files are,
// but for what open continues. What is in use by somebody else, or cannot be moved,
// stays.
func (w *output) recover(now time.Time) {
	if !w.o.moves() || !canLock {
		return
	}
	ours, continued := w.names.pattern(), namePattern(w.names.at(now))
	err := w.disk.Walk(w.o.workDir, w.o.outputDir, func(path string) {
		name, err := filepath.Rel(w.o.workDir, path)
		slashed := filepath.ToSlash(name)
		if err != nil || !ours.MatchString(slashed) || !w.o.exclusive() && continued.MatchString(slashed) {
			return
		}
		switch err := w.recoverFile(path, filepath.Join(w.o.outputDir, name)); {
		case errors.Is(err, errInUse), errors.Is(err, fs.ErrNotExist): // somebody else sees to it
		case err != nil:
			w.log.warnf("%s left %s where it is: %v", w.label, path, err)
		}
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.log.warnf("%s cannot look for files that were left behind: %v", w.label, err)
	}
}

func (w *output) recoverFile(path, target string) error {
	f, err := w.disk.OpenFile(path, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.TryLock(); err != nil {
		return err
	}
	if !f.Is(path) {
		return errInUse // by who has moved it
	}
	if err := w.cutUnfinished(f, path); err != nil {
		return err
	}
	if size, err := f.Size(); err != nil {
		return err
	} else if size == 0 && w.gz != nil { // no gzip file
		return w.disk.Remove(path)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return w.moveTo(path, target)
}

// cutUnfinished cuts off what a crash has left at the end of a file.
func (w *output) cutUnfinished(f file, path string) error {
	cut := cutTail
	if w.gz != nil {
		cut = cutMember
	}
	n, err := cut(f)
	if n > 0 {
		w.log.warnf("%s removed %d bytes of an incomplete record from the end of %s", w.label, n, path)
	}
	return err
}
