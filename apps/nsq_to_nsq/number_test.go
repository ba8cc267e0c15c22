package main

import (
	"encoding/json"
	"strconv"
	"testing"
)

func TestNumbersAreShortenedWithoutLoss(t *testing.T) {
	for text, want := range map[string]string{
		"0":                               "0",
		"-0":                              "-0",
		"10":                              "10",
		"12345678901234567890":            "12345678901234567890", // more digits than a float64 has
		"-9007199254740993":               "-9007199254740993",
		"1000000000000000000000000000000": "1000000000000000000000000000000", // an integer stays as it is

		"1e3":                      "1000",
		"1E3":                      "1000",
		"1e+3":                     "1000",
		"2.0":                      "2",
		"-2.50":                    "-2.5",
		"0.0":                      "0",
		"-0.0":                     "-0",
		"0e99":                     "0",
		"0.1":                      "0.1",
		"0.10":                     "0.1",
		"1200e-2":                  "12",
		"1234e-2":                  "12.34",
		"1.5e2":                    "150",
		"12.34e1":                  "123.4",
		"1.5e-3":                   "0.0015",
		"1e-6":                     "0.000001",
		"1.0e-7":                   "1e-7",
		"12e-8":                    "1.2e-7",
		"1e20":                     "100000000000000000000",
		"1.0e21":                   "1e+21",
		"123e20":                   "1.23e+22",
		"1e400":                    "1e+400", // more than a float64 holds
		"1.0e-400":                 "1e-400",
		"12345678901234567890.0":   "12345678901234567890",
		"1.2345678901234567890123": "1.2345678901234567890123",
		"1.0e99999999999":          "1.0e99999999999", // nobody means that: left alone
	} {
		if got := shortened(text); got != want {
			t.Errorf("%s is written as %s, want %s", text, got, want)
		}
	}
}

func TestNumbersAreComparedByValue(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{"10", "10.0", true},
		{"10", "1e1", true},
		{"10", "+10", true},
		{"10", "010", true},
		{"10", "10.", true},
		{".5", "0.50", true},
		{"0", "-0.0", true},
		{"10", "-10", false},
		{"10", "100", false},
		{"10", "10.0000000000000000001", false},
		{"12345678901234567890", "12345678901234567891", false},
		{"1e400", "10e399", true},
	} {
		a, okA := parseNumber(c.a)
		b, okB := parseNumber(c.b)
		if !okA || !okB || a.equal(b) != c.equal || b.equal(a) != c.equal {
			t.Errorf("%s and %s: %+v and %+v, want equal: %v", c.a, c.b, a, b, c.equal)
		}
	}
}

func TestNotANumber(t *testing.T) {
	for _, s := range []string{"", "-", "+-1", "--1", ".", "e1", "1e", "1e+", "1.2.3", "1_000", "0x10", "inf", "NaN", " 1", "1 ", "ten", "1e1.0", "1e99999999999"} {
		if n, ok := parseNumber(s); ok {
			t.Errorf("%q was read as %v", s, n)
		}
	}
}

// A number that a float64 can hold is written as encoding/json writes that.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "1e3", "1e21", "1.5e-7", "123456.789e-3", "12345678901234567890", "+01.e-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseNumber(s)
		if !ok {
			return
		}
		text := n.String()
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q is written as %s, which is not JSON", s, text)
		}
		if again, ok := parseNumber(text); !ok || again != n {
			t.Fatalf("%q is written as %s, which is another number", s, text)
		}
		float, err := strconv.ParseFloat(s, 64)
		if err != nil || len(n.digits) > 15 {
			return // more than a float64 can hold
		}
		if want, err := json.Marshal(float); err != nil || len(n.digits) > 0 && float != 0 && abs(float) > 1e-300 && string(want) != text {
			t.Fatalf("%q is written as %s, and by encoding/json as %s, %v", s, text, want, err)
		}
	})
}

func abs(f float64) float64 { return max(f, -f) }
