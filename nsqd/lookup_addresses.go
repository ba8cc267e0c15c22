package nsqd

import (
	"slices"
	"sync/atomic"
)

// lookupAddresses are those of the nsqlookupds, as /config shows and changes
// them at run time. Nothing connects to them yet. It is safe for concurrent use.
type lookupAddresses struct {
	list atomic.Pointer[[]string] // never changed in place
}

// all returns the addresses; the caller must not change them.
func (l *lookupAddresses) all() []string {
	if list := l.list.Load(); list != nil {
		return *list
	}
	return nil
}

// set replaces the addresses, unless one of them is no host:port.
func (l *lookupAddresses) set(addresses []string) error {
	for _, a := range addresses {
		if err := checkRemoteAddress(a); err != nil {
			return err
		}
	}
	l.replace(addresses)
	return nil
}

func (l *lookupAddresses) replace(addresses []string) {
	list := slices.Clone(addresses)
	l.list.Store(&list)
}
