package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// checkWorkDir returns an error if files cannot be moved from the work directory to
// the output directory: that should not turn out when the first of them is full.
func checkWorkDir(d disk, o *options) error {
	if !o.moves() {
		return nil
	}
	for _, dir := range []string{o.workDir, o.outputDir} {
		if err := d.MkdirAll(dir); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(o.workDir, ".nsq_to_file.*.tmp")
	if err != nil {
		return err
	}
	f.Close()
	defer os.Remove(f.Name())
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
