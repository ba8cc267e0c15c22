package tool

import (
	"errors"
	"flag"
	"fmt"
	"net"
)

// Sources are the flags that say where a tool gets messages from: either nsqds or
// nsqlookupds.
type Sources struct {
	nsqds, lookupds *List
}

// SourceFlags adds the flags of Sources.
func SourceFlags(fs *flag.FlagSet) *Sources {
	return &Sources{
		nsqds:    ListFlag(fs, "nsqd-tcp-address", "`host:port` of an nsqd"),
		lookupds: ListFlag(fs, "lookupd-http-address", "`host:port` or URL of an nsqlookupd that knows the nsqds"),
	}
}

// Check returns an error unless exactly one kind of source was given, and every
// nsqd has a port.
func (s *Sources) Check() error {
	switch {
	case len(*s.nsqds) == 0 && len(*s.lookupds) == 0:
		return errors.New("--nsqd-tcp-address or --lookupd-http-address required")
	case len(*s.nsqds) > 0 && len(*s.lookupds) > 0:
		return errors.New("use --nsqd-tcp-address or --lookupd-http-address not both")
	}
	return CheckAddresses("--nsqd-tcp-address", *s.nsqds)
}

// CheckAddresses returns an error unless all values of a flag are addresses with a
// port: those without would be tried for ever.
func CheckAddresses(flag string, addresses List) error {
	for _, addr := range addresses {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("%s: %w", flag, err)
		}
	}
	return nil
}

// NSQDs returns the addresses of nsqds.
func (s *Sources) NSQDs() []string { return *s.nsqds }

// Lookupds returns the addresses or URLs of nsqlookupds.
func (s *Sources) Lookupds() []string { return *s.lookupds }

// Connect connects c to the sources. That an nsqd cannot be reached is an error;
// an nsqlookupd that cannot is asked again by c. It may wait for an answer of
// either, until c is stopped.
func (s *Sources) Connect(c Consumer) error {
	if len(*s.lookupds) > 0 {
		if err := c.ConnectToNSQLookupds(*s.lookupds); err != nil {
			return fmt.Errorf("--lookupd-http-address %s: %w", s.lookupds, err)
		}
		return nil
	}
	return c.ConnectToNSQDs(*s.nsqds)
}
