package nsqadmin

import (
	"fmt"
	"net"
	"slices"
	"sync/atomic"
)

// addresses is a list of daemons, host:port each, that changes while nsqadmin
// runs.
type addresses struct{ list atomic.Pointer[[]string] }

// all returns the list, which must not be changed.
func (a *addresses) all() []string {
	if list := a.list.Load(); list != nil {
		return *list
	}
	return nil
}

// set takes another list, without what is in it twice.
func (a *addresses) set(list []string) error {
	var own []string
	for _, address := range list {
		if err := checkDaemon(address); err != nil {
			return fmt.Errorf("an address %w", err)
		}
		if !slices.Contains(own, address) {
			own = append(own, address)
		}
	}
	a.list.Store(&own)
	return nil
}

// checkNames warns of daemons whose names do not resolve. That is no reason not to
// start: names come and go with their daemons, and are resolved anew whenever one
// is asked.
func (n *NSQAdmin) checkNames() error {
	check := func(flag, address string) {
		host, _, err := net.SplitHostPort(address)
		if err != nil || net.ParseIP(host) != nil {
			return
		}
		if _, err := net.DefaultResolver.LookupHost(n.ctx, host); err != nil && n.ctx.Err() == nil {
			n.log.Warn(fmt.Sprintf("failed to resolve --%s (%s), which is tried again and again - %v", flag, address, err))
		}
	}
	for _, address := range n.opts.LookupdHTTPAddresses {
		check("lookupd-http-address", address)
	}
	for _, address := range n.opts.NSQDHTTPAddresses {
		check("nsqd-http-address", address)
	}
	return nil
}
