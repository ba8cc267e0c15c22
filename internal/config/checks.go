package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/sockets"
)

// Checks collects what is wrong with the options of a program, each a Mistake
// in the words of the command line. Flags are named without dashes. The zero
// value has found nothing yet.
type Checks []error

// Err joins all mistakes; it is nil where there is none.
func (c Checks) Err() error { return errors.Join(c...) }

// That one option is as it must be. The text follows the flag.
func (c *Checks) That(ok bool, flag, format string, args ...any) {
	if !ok {
		c.Together(false, "--"+flag+" "+fmt.Sprintf(format, args...), flag)
	}
}

// Together notes whether several options go together.
func (c *Checks) Together(ok bool, text string, flags ...string) {
	if !ok {
		*c = append(*c, &Mistake{Flags: flags, Text: text})
	}
}

// Positive is the least Duration that has a word for it.
const Positive = time.Nanosecond

// LongestDuration leaves room for what is added to it: a time that far away can
// still be told.
const LongestDuration = 100 * 365 * 24 * time.Hour

// Duration checks that d is not less than least, for which Positive and 0 have
// words, and not more than LongestDuration.
func (c *Checks) Duration(d, least time.Duration, flag string) {
	switch least {
	case 0:
		c.That(d >= 0, flag, "must not be negative, is %s", d)
	case Positive:
		c.That(d > 0, flag, "must be positive, is %s", d)
	default:
		c.That(d >= least, flag, "must not be less than %s, is %s", least, d)
	}
	c.That(d <= LongestDuration, flag, "must not be more than %s, is %s", LongestDuration, d)
}

// Integer checks that n fits into an int, which on some systems is less than
// the option.
func (c *Checks) Integer(n int64, flag string) {
	c.That(int64(int(n)) == n, flag, "must not be more than %d, is %d", math.MaxInt, n)
}

// Address checks a value by a function whose error follows the flag, as those
// of CheckListenAddress and CheckHostPort do.
func (c *Checks) Address(value, flag string, check func(string) error) {
	if err := check(value); err != nil {
		c.That(false, flag, "%v", err)
	}
}

// CheckListenAddress takes host:port or the path of a unix socket.
func CheckListenAddress(address string) error {
	_, _, err := net.SplitHostPort(address)
	switch {
	case address == "":
		return errors.New("must not be empty")
	case sockets.IsPath(address):
		return nil
	case err != nil:
		return fmt.Errorf("must be host:port or the path of a unix socket, is %q", address)
	}
	return CheckHostPort(address, 0)
}

// CheckHostPort takes a port from minPort on that is a number or, as listening
// and dialing do, the name of a service.
func CheckHostPort(address string, minPort int) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("must be host:port, is %q", address)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n < minPort {
		return fmt.Errorf("must have a port in [%d,65535], is %q", minPort, address)
	}
	return nil
}

// IsHost says whether a port can be put behind the host.
func IsHost(host string) bool {
	return net.ParseIP(host) != nil || !strings.ContainsAny(host, ":/[]@ ")
}

// Hostname is the default of options that name this machine.
func Hostname() string {
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return "localhost"
}
