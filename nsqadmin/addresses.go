package nsqadmin

import (
	"fmt"
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
