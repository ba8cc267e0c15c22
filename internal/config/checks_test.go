package config

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		check func(*Checks)
		want  string // "" for no mistake
	}{
		{func(*Checks) {}, ""},
		{func(c *Checks) { c.That(true, "a", "must be 1") }, ""},
		{func(c *Checks) { c.That(false, "a", "must be %d", 1) }, "--a must be 1"},
		{func(c *Checks) { c.Together(true, "no", "a", "b") }, ""},
		{func(c *Checks) { c.Together(false, "--a needs --b", "a", "b") }, "--a needs --b"},
		{func(c *Checks) { c.Duration(0, 0, "a") }, ""},
		{func(c *Checks) { c.Duration(-1, 0, "a") }, "--a must not be negative, is -1ns"},
		{func(c *Checks) { c.Duration(1, Positive, "a") }, ""},
		{func(c *Checks) { c.Duration(0, Positive, "a") }, "--a must be positive, is 0s"},
		{func(c *Checks) { c.Duration(time.Second, time.Second, "a") }, ""},
		{func(c *Checks) { c.Duration(999*time.Millisecond, time.Second, "a") }, "--a must not be less than 1s, is 999ms"},
		{func(c *Checks) { c.Duration(LongestDuration, 0, "a") }, ""},
		{func(c *Checks) { c.Duration(LongestDuration+1, 0, "a") }, "--a must not be more than 876000h0m0s, is 876000h0m0.000000001s"},
		{func(c *Checks) { c.Integer(1<<31-1, "a") }, ""},
		{func(c *Checks) { c.Address(":0", "a", CheckListenAddress) }, ""},
		{func(c *Checks) { c.Address("", "a", CheckListenAddress) }, "--a must not be empty"},
		{func(c *Checks) {
			c.That(false, "a", "is wrong")
			c.That(false, "b", "is wrong, too")
		}, "--a is wrong\n--b is wrong, too"},
	} {
		var checks Checks
		c.check(&checks)
		got := ""
		if err := checks.Err(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// What Origins.Explain needs.
func TestChecksNameTheFlags(t *testing.T) {
	var c Checks
	c.That(false, "a", "is wrong")
	c.Together(false, "text", "b", "c")
	var got [][]string
	for _, err := range c {
		m, ok := errors.AsType[*Mistake](err)
		if !ok {
			t.Fatalf("%v is no Mistake", err)
		}
		got = append(got, m.Flags)
	}
	if want := [][]string{{"a"}, {"b", "c"}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheckListenAddress(t *testing.T) {
	for address, want := range map[string]string{
		":0": "", "0.0.0.0:65535": "", "[::1]:4150": "", "host:http": "", "/run/a.sock": "",
		"":         "must not be empty",
		"4150":     `must be host:port or the path of a unix socket, is "4150"`,
		"h:65536":  `must have a port in [0,65535], is "h:65536"`,
		"h:nobody": `must have a port in [0,65535], is "h:nobody"`,
	} {
		if got := text(CheckListenAddress(address)); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}

func TestCheckHostPort(t *testing.T) {
	for address, want := range map[string]string{
		"h:1": "", "[::1]:65535": "",
		"h":           `must be host:port, is "h"`,
		"/run/a.sock": `must be host:port, is "/run/a.sock"`,
		"h:0":         `must have a port in [1,65535], is "h:0"`,
	} {
		if got := text(CheckHostPort(address, 1)); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}

func TestIsHost(t *testing.T) {
	for host, want := range map[string]bool{
		"nsqd-1.example.com": true, "10.0.0.1": true, "::1": true, "": true,
		"host:4150": false, "http://host": false, "[::1]": false, "a b": false, "user@host": false,
	} {
		if got := IsHost(host); got != want {
			t.Errorf("IsHost(%q) = %v, want %v", host, got, want)
		}
	}
}

// text is that of an error, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
