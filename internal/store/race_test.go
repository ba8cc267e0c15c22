//go:build race

package store

// raceDetector makes the database a hundred times slower.
const raceDetector = true
