package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// checkDirs returns an error if files cannot be created, or cannot be moved from the
// work directory to the output directory: that should not turn out with the first of
// them. A disk that is full now may have room again.
func checkDirs(d disk, o *options) error {
	for _, dir := range slices.Compact([]string{o.workDir, o.outputDir}) {
		if err := d.MkdirAll(dir); err != nil {
			return ifPersistent(err)
		}
	}
	f, err := os.CreateTemp(o.workDir, ".nsq_to_file.*.tmp")
	if err != nil {
		return ifPersistent(err)
	}
	f.Close()
	defer os.Remove(f.Name())
	if !o.moves() {
		return nil
	}
	target := filepath.Join(o.outputDir, filepath.Base(f.Name()))
	err = d.Link(f.Name(), target)
	if err == nil {
		err = d.Remove(target)
	}
	if err != nil && (isPersistent(err) || errors.Is(err, os.ErrExist)) {
		return fmt.Errorf("cannot move files from --work-dir to --output-dir, which must be different directories on one file system: %w", err)
	}
	return nil
}

// ifPersistent returns err, unless it may go away by itself.
func ifPersistent(err error) error {
	if isPersistent(err) {
		return err
	}
	return nil
}

// hold takes a file of the work directory for as long as it is open, so that it is
// moved by nobody else. It reports whether somebody else was faster.
func (w *output) hold() (taken bool, err error) {
	w.held = false
	if !w.o.moves() {
		return false, nil
	}
	if err := w.f.TryLock(); err != nil {
		return errors.Is(err, errInUse), ignore(err, errInUse)
	}
	w.held = true
	return !w.f.Is(w.path), nil
}

// ignore returns err, unless it is one that does not matter.
func ignore(err, except error) error {
	if errors.Is(err, except) {
		return nil
	}
	return err
}

// isMoved reports whether a file of that name is complete. If that is so because we
// were killed when it had just been linked there, it is removed from the work
// directory.
func (w *output) isMoved(target string) (bool, error) {
	exists, err := w.disk.Exists(target)
	if exists && w.disk.Same(w.path, target) {
		err = w.unlink()
	}
	return exists, err
}

// move moves a file that was closed out of the work directory. It never overwrites
// another: the number grows until there is none.
func (w *output) move() error {
	if !w.unmoved {
		return nil
	}
	for {
		target := filepath.Join(w.o.outputDir, withRev(w.name, w.rev))
		err := w.moveTo(w.path, target)
		if errors.Is(err, fs.ErrExist) {
			w.rev++
			continue
		}
		if w.isGone(err) { // taken for one that a crash has left
			w.log.warnf("%s somebody else has moved or removed %s", w.label, w.path)
			w.unmoved = false
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot move a file out of the work directory: %w", err)
		}
		w.unmoved = false
		return w.disk.SyncDir(filepath.Dir(w.path))
	}
}

// isGone reports whether err says that a file was closed and is not there any more.
func (w *output) isGone(err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	exists, err := w.disk.Exists(w.path)
	return !exists && err == nil
}

// moveTo moves a file to a name that does not exist, or that it has already. The old
// name may come back after a power cut.
func (w *output) moveTo(path, target string) error {
	if err := w.disk.MkdirAll(filepath.Dir(target)); err != nil {
		return err
	}
	err := w.disk.Link(path, target)
	if err != nil && !(errors.Is(err, fs.ErrExist) && w.disk.Same(path, target)) {
		return err
	}
	if err := w.disk.SyncDir(filepath.Dir(target)); err != nil {
		return err
	}
	if err := ignore(w.disk.Remove(path), fs.ErrNotExist); err != nil {
		return err
	}
	w.log.infof("%s moved %s to %s", w.label, path, target)
	return nil
}

// unlink removes the name of the file in the work directory.
func (w *output) unlink() error {
	if err := w.disk.Remove(w.path); err != nil {
		return err
	}
	return w.disk.SyncDir(filepath.Dir(w.path))
}
