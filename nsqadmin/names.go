package nsqadmin

import (
	"fmt"
	"net"
)

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
