//go:build !linux

package main

// precise says that all metrics are known on this system.
const precise = false
