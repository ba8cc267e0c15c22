//go:build !linux

package main

import "time"

// precision says what is known of the CPU time of a server.
const precision = "known at its end only: that of its whole life, with its start and what precedes the measured part"

func cpuTime(int) time.Duration { return unknown }

func ownCPUTime() time.Duration { return unknown }

func loadAverage() []float64 { return nil }

func processor() string { return "" }
