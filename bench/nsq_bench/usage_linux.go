package main

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// precision says what is known of the CPU time of a server.
const precision = "the scheduler's clock of the whole process, all threads, in nanoseconds, read while it runs"

// cpuTime returns the CPU time that a process has used until now, of all its
// threads, those that have ended included: the clock of clock_getcpuclockid(3).
func cpuTime(pid int) time.Duration {
	return readClock(int32(^pid)<<3 | 2)
}

// ownCPUTime returns the CPU time that this process has used.
func ownCPUTime() time.Duration { return readClock(unix.CLOCK_PROCESS_CPUTIME_ID) }

func readClock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return unknown
	}
	return time.Duration(t.Nano())
}

// loadAverage tells how busy the machine was in the last minute: one value, or none
// if it is not known.
func loadAverage() []float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	one, _, _ := bytes.Cut(b, []byte(" "))
	v, err := strconv.ParseFloat(string(one), 64)
	if err != nil {
		return nil
	}
	return []float64{v}
}

// processor tells what the CPUs are, with " of " before it, if that is known.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(b) {
		if name, value, _ := bytes.Cut(line, []byte(":")); string(bytes.TrimSpace(name)) == "model name" {
			return " of " + string(bytes.TrimSpace(value))
		}
	}
	return ""
}
