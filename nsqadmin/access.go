package nsqadmin

import (
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// access says who may do what.
type access struct {
	header     string   // in which a proxy says who the user is
	admins     []string // who may change things; none where everybody may
	protection *http.CrossOriginProtection
	config     *net.IPNet // from where /config may be used, nil for everywhere
}

func newAccess(o *Options) access {
	a := access{header: o.ACLHTTPHeader, admins: o.AdminUsers, protection: http.NewCrossOriginProtection()}
	for _, origin := range o.TrustedOrigins {
		a.protection.AddTrustedOrigin(origin) // Validate has tried it
	}
	if o.AllowConfigFromCIDR != "" {
		_, a.config, _ = net.ParseCIDR(o.AllowConfigFromCIDR) // likewise
	}
	return a
}

var (
	errForbidden   = httpapi.Error{Status: http.StatusForbidden, Code: "FORBIDDEN"}
	errCrossOrigin = httpapi.Error{Status: http.StatusForbidden, Code: "CROSS_ORIGIN_REQUEST"}
)

// checkOrigin refuses what the page of another site has a browser change here.
// Programs that are no browsers are not concerned.
func (a *access) checkOrigin(r *http.Request) error {
	if a.protection.Check(r) != nil {
		return errCrossOrigin
	}
	return nil
}

// admin returns the user that the proxy names, "" for none, and whether they may
// change things.
func (s *httpServer) admin(r *http.Request) (user string, ok bool) {
	a := &s.access
	if a.header != "" {
		// Of several one could be the user's own.
		if values := r.Header.Values(a.header); len(values) == 1 {
			user = values[0]
		}
	}
	return user, len(a.admins) == 0 || slices.Contains(a.admins, user)
}

// fromCIDR is h for those who may use /config. What counts is who is connected: a
// proxy, where there is one.
func (s *httpServer) fromCIDR(h httpapi.Handler) httpapi.Handler {
	return func(r *http.Request) (any, error) {
		if allowed := s.access.config; allowed != nil {
			peer, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil {
				return nil, badRequest("INVALID_REMOTE_ADDR")
			}
			if !allowed.Contains(peer.Addr().Unmap().WithZone("").AsSlice()) {
				return nil, errForbidden
			}
		}
		return h(r)
	}
}

// adminOnly is h for those who may change things. Others are refused before
// anything is read of what they send.
func (s *httpServer) adminOnly(h httpapi.Handler) httpapi.Handler {
	return func(r *http.Request) (any, error) {
		if _, ok := s.admin(r); !ok {
			return nil, errForbidden
		}
		return h(r)
	}
}
