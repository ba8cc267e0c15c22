//go:build !linux

package sdnotify

func socket() string { return "" }

func send(string, string) error { return nil }

// Reloading returns the states that say that a reload has begun, which Ready ends.
func Reloading() []State { return nil }
