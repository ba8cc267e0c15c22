//go:build race

package seglog

const raceDetector = true
