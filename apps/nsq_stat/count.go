package main

import "strconv"

// count is a flag that has no value unless it is given.
type count struct {
	n     int
	given bool
}

// Set implements flag.Value.
func (c *count) Set(value string) (err error) {
	c.given = true
	c.n, err = strconv.Atoi(value)
	return err
}

// String implements flag.Value.
func (c *count) String() string {
	if c == nil || !c.given {
		return ""
	}
	return strconv.Itoa(c.n)
}

// reached reports whether so many are enough.
func (c *count) reached(n int) bool { return c.given && n >= c.n }
