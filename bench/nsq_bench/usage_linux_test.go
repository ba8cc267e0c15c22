package main

import (
	"os"
	"testing"
	"time"
)

// precise says that all metrics are known on this system.
const precise = true

// noProcess is an id beyond those that Linux gives.
const noProcess = 1 << 24

func TestCPUTime(t *testing.T) {
	before, own := cpuTime(os.Getpid()), ownCPUTime()
	for start := time.Now(); time.Since(start) < 10*time.Millisecond; {
	}
	used, ownUsed := cpuTime(os.Getpid())-before, ownCPUTime()-own
	if used <= 0 || ownUsed <= 0 || used > ownUsed+time.Second {
		t.Errorf("used %v as seen from outside, %v from inside", used, ownUsed)
	}
	if got := cpuTime(noProcess); got != unknown {
		t.Errorf("a process that does not exist used %v", got)
	}
}
