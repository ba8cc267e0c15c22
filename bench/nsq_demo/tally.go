package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// tally compares the lines that arrive with those that were sent. A broker does
// not promise an order, and what went through the disk arrives in another one;
// the number at its beginning puts each line back in its place, so that the
// checksums are those of the text as it was sent, and a missing line has a name.
type tally struct {
	sent    []string
	arrived []string // in the places of sent; "" is missing

	count      int // of different lines
	duplicates int // lines that had arrived before: allowed, but worth telling
	strange    int // lines that were not sent
}

func newTally(sent []string) *tally {
	return &tally{sent: sent, arrived: make([]string, len(sent))}
}

func (t *tally) add(line string) {
	number, _, _ := strings.Cut(line, " ")
	i, err := strconv.Atoi(number)
	switch i--; {
	case err != nil || i < 0 || i >= len(t.sent):
		t.strange++
	case t.arrived[i] == "":
		t.arrived[i] = line
		t.count++
	case t.arrived[i] == line:
		t.duplicates++
	default:
		t.strange++
	}
}

// missing returns the numbers of missing lines, at most max of them.
func (t *tally) missing(max int) []string {
	var numbers []string
	for i, line := range t.arrived {
		if line == "" && len(numbers) < max {
			numbers = append(numbers, fmt.Sprintf("%06d", i+1))
		}
	}
	return numbers
}

// verdict returns the last line of the demonstration, and whether all is well.
func (t *tally) verdict(took time.Duration) (string, bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d lines arrived", t.count, len(t.sent))
	if missing := len(t.sent) - t.count; missing > 0 {
		const named = 5
		fmt.Fprintf(&b, ", %d missing (%s", missing, strings.Join(t.missing(named), ", "))
		if missing > named {
			b.WriteString(", ...")
		}
		b.WriteString(")")
	}
	if t.strange > 0 {
		fmt.Fprintf(&b, ", %d more that were not sent", t.strange)
	}
	match := checksum(t.arrived) == checksum(t.sent)
	if match {
		b.WriteString(", checksums match")
	} else {
		b.WriteString(", checksums differ")
	}
	seconds := took.Seconds()
	fmt.Fprintf(&b, ", %.1f s, %.0f lines/s", seconds, float64(t.count)/seconds)
	return b.String(), match && t.strange == 0
}

// checksum returns the SHA-256 sum of lines, leaving out those that are missing.
func checksum(lines []string) string {
	h := sha256.New()
	for _, line := range lines {
		if line != "" {
			h.Write([]byte(line + "\n"))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
