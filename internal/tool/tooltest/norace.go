//go:build !race

package tooltest

// RaceEnabled says that the tests run with the race detector.
const RaceEnabled = false
