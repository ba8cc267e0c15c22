//go:build race

package nsqtest

// RaceEnabled says that the tests run with the race detector.
const RaceEnabled = true
