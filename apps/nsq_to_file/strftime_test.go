package main

import (
	"testing"
	"time"
)

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 2, 3, 16, 5, 6, 0, time.FixedZone("CET", 3600))
	for format, want := range map[string]string{
		"%Y-%m-%d_%H":          "2026-02-03_16",
		"%A %a %B %b %d":       "Tuesday Tue February Feb 03",
		"%H %I %M %m %p":       "16 04 05 02 PM",
		"%S %Y %y %Z %z %%":    "06 2026 26 CET +0100 %",
		"%j %e":                "%j %e", // no codes of ours
		"%%Y":                  "%Y",
		"100%":                 "100%",
		"":                     "",
		"at 2006-01-02 Monday": "at 2006-01-02 Monday",
	} {
		if got := strftime(format, at); got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
}
