package main

import (
	"strconv"
	"strings"
)

// number is the exact value of a decimal number: 0.digits times 10 to the power
// of exponent. The digits neither begin nor end with a 0; zero has none. Two
// numbers other than zeros are equal if the structs are.
type number struct {
	negative bool
	digits   string
	exponent int64
}

// parseNumber reads a decimal number: that of JSON, which may also have a plus
// sign, leading zeros and no digits on one side of its point. It fails for
// exponents of no use to anybody, too.
func parseNumber(s string) (number, bool) {
	var n number
	if s != "" && (s[0] == '+' || s[0] == '-') {
		n.negative, s = s[0] == '-', s[1:]
	}
	mantissa := s
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if n.exponent, err = strconv.ParseInt(s[i+1:], 10, 32); err != nil {
			return number{}, false
		}
		mantissa = s[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return number{}, false
	}
	significant := strings.TrimLeft(digits, "0")
	n.exponent += int64(len(whole) - (len(digits) - len(significant)))
	n.digits = strings.TrimRight(significant, "0")
	if n.digits == "" {
		n.exponent = 0
	}
	return n, true
}

// equal reports whether two numbers have the same value.
func (n number) equal(other number) bool {
	return n == other || n.digits == "" && other.digits == ""
}

// String writes the number with all of its digits, as short as encoding/json
// writes floats: without a point if it is integral, and with an exponent only if
// it is below 1e-6 or at least 1e21.
func (n number) String() string {
	var b strings.Builder
	if n.negative {
		b.WriteByte('-')
	}
	size := int64(len(n.digits))
	switch {
	case size == 0:
		b.WriteByte('0')
	case n.exponent < -5 || n.exponent > 21:
		b.WriteString(n.digits[:1])
		if size > 1 {
			b.WriteString("." + n.digits[1:])
		}
		b.WriteByte('e')
		if n.exponent > 0 {
			b.WriteByte('+')
		}
		b.WriteString(strconv.FormatInt(n.exponent-1, 10))
	case n.exponent <= 0:
		b.WriteString("0." + strings.Repeat("0", int(-n.exponent)) + n.digits)
	case n.exponent >= size:
		b.WriteString(n.digits + strings.Repeat("0", int(n.exponent-size)))
	default:
		b.WriteString(n.digits[:n.exponent] + "." + n.digits[n.exponent:])
	}
	return b.String()
}

// shortened returns a number of JSON as it is written out: an integer as it is,
// whatever its size, and anything else in its short form.
func shortened(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	n, ok := parseNumber(text)
	if !ok {
		return text
	}
	return n.String()
}
