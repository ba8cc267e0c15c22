//go:build !linux

package main

import "os"

// syncData waits until what was written to a file is on stable storage.
func syncData(f *os.File) error { return f.Sync() }
