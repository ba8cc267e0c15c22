//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

func (f osFile) Lock() error   { return nil }
func (f osFile) Unlock() error { return nil }
