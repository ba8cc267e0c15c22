package certs

import (
	"context"
	"os"
	"time"
)

// watchInterval is how often the files are looked at. Asking costs three
// system calls; notifications of the file system would have to follow every
// symbolic link on the way, as some deployments swap the directory.
const watchInterval = 2 * time.Second

// Watch reloads the files when they have changed on disk, until ctx ends. Files
// that cannot be loaded are logged, once for each change, and tried again until
// they can.
func (s *Store) Watch(ctx context.Context) {
	if s.config.CertFile == "" && s.config.RootCAFile == "" {
		return
	}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.reloadIfChanged()
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) reloadIfChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, before := !s.config.stat().same(s.seen), s.failed
	if !changed && before == nil {
		return
	}
	err := s.load()
	switch {
	case err == nil:
		s.config.Log.Info("TLS: the files have changed and are in force for new connections")
	case changed || before == nil || err.Error() != before.Error():
		s.config.Log.Error("TLS: the files have changed, but cannot be used; the old ones stay in force", "error", err)
	}
}

// fileStates say which files were there, nil for one that was not.
type fileStates [3]os.FileInfo

func (c *Config) stat() (states fileStates) {
	for i, name := range []string{c.CertFile, c.KeyFile, c.RootCAFile} {
		if name == "" {
			continue
		}
		if info, err := os.Stat(name); err == nil {
			states[i] = info
		}
	}
	return states
}

func (a fileStates) same(b fileStates) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}
