//go:build !linux

package main

import (
	"errors"
	"time"
)

// precision says what is known of the CPU time of a server.
const precision = "known at its end only: that of its whole life, with its start and what precedes the measured part"

func cpuTime(int) time.Duration { return unknown }

func ownCPUTime() time.Duration { return unknown }

func peakMemory(int) (int64, error)     { return 0, errors.ErrUnsupported }
func residentMemory(int) (int64, error) { return 0, errors.ErrUnsupported }

func loadAverage() []float64 { return nil }

func processor() string { return "" }
