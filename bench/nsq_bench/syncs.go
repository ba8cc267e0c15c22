package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// What a bare writer writes at a time, and how much of it there is before it begins
// anew.
const (
	bareWrite = 4 << 10
	bareFile  = 16 << 20
)

// besideSyncs has a bare writer measured before and after a workload, in the same
// directory: how often it can wait for stable storage per second.
func besideSyncs(w workload) workload {
	run := w.run
	w.run = func(ctx context.Context, r *round) error {
		var appended, zeroed syncs
		measure := func() error { return errors.Join(appended.measure(r, false), zeroed.measure(r, true)) }
		if err := measure(); err != nil {
			return err
		}
		if err := run(ctx, r); err != nil {
			return err
		}
		if err := measure(); err != nil {
			return err
		}
		r.extra = append(r.extra,
			figure{appendsPerSecond, appended.rate()},
			figure{zeroedPerSecond, zeroed.rate()},
			figure{perAppend, r.rate() / appended.rate()})
		return nil
	}
	return w
}

// syncs counts writes that were waited for.
type syncs struct {
	n       int
	elapsed time.Duration
}

func (s *syncs) rate() float64 { return float64(s.n) / s.elapsed.Seconds() }

// measure writes to a new file in the server's data path for a quarter of a round, to
// its end or over zeros that are there.
func (s *syncs) measure(r *round, zeros bool) (err error) {
	f, err := os.CreateTemp(r.dataPath, "bench-*.tmp")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if zeros {
		if _, err := f.Write(make([]byte, bareFile)); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	content := make([]byte, bareWrite)
	for i := range content {
		content[i] = byte(i)
	}
	begun := time.Now()
	for offset := int64(0); time.Since(begun) < r.time/4; offset = (offset + bareWrite) % bareFile {
		if offset == 0 && !zeros {
			if err := f.Truncate(0); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(content, offset); err != nil {
			return err
		}
		if err := syncData(f); err != nil {
			return err
		}
		s.n++
	}
	s.elapsed += time.Since(begun)
	return nil
}

// filesBelow returns how many bytes the files below a directory have. What goes away
// meanwhile does not count.
func filesBelow(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return ignoreMissing(err)
	})
	return size, err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
