package nsq

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// lookupAddress is where an nsqlookupd is asked for the producers of a topic, or
// for all nsqds.
type lookupAddress struct {
	key    string // the same for all ways to write the address
	name   string // for the log: without a password and a query
	host   string // host name or IP address, "" for this machine
	port   string
	lookup string // the URL to ask
	watch  string // the URL that answers when something changes; "" if there is none
}

// parseLookupAddress reads host:port or a URL. The path is /lookup unless there
// is one; topic is added to the query. Only where the path ends in /lookup can
// changes be watched. Without a topic, which stands for all nsqds, /nodes takes
// the place of /lookup, nothing is added and nothing can be watched.
func parseLookupAddress(addr, topic string) (*lookupAddress, error) {
	u, err := parseLookupURL(addr)
	if err != nil {
		return nil, err
	}
	if topic == "" {
		return newLookupAddress(replacePath(u, "/lookup", "/nodes"), ""), nil
	}
	a := newLookupAddress(u, "topic="+url.QueryEscape(topic))
	if watch := replacePath(u, "/lookup", "/watch"); watch != u {
		a.watch = withQuery(watch, "topic="+url.QueryEscape(topic))
	}
	return a, nil
}

func newLookupAddress(u *url.URL, query string) *lookupAddress {
	known := *u
	known.Host = strings.ToLower(u.Host)
	return &lookupAddress{
		key:    known.String(),
		name:   u.Scheme + "://" + u.Host + u.EscapedPath(),
		host:   u.Hostname(),
		port:   u.Port(),
		lookup: withQuery(u, query),
	}
}

// replacePath returns u with another end of its path, or u itself if the path
// does not end in old. Both are plain letters.
func replacePath(u *url.URL, old, end string) *url.URL {
	if !strings.HasSuffix(u.EscapedPath(), old) {
		return u
	}
	v := *u
	v.Path = strings.TrimSuffix(u.Path, old) + end
	if u.RawPath != "" {
		v.RawPath = strings.TrimSuffix(u.RawPath, old) + end
	}
	return &v
}

func parseLookupURL(addr string) (*url.URL, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + escapeZone(addr)
	}
	u, err := url.Parse(addr)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, detailed(ErrInvalidAddress, "scheme %q is neither http nor https", u.Scheme)
	case u.Port() == "":
		return nil, ErrMissingPort
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return nil, detailed(ErrInvalidAddress, "invalid port %q", u.Port())
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = "/lookup", ""
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// escapeZone writes the zone of [fe80::1%eth0]:4161 as it stands in a URL.
func escapeZone(addr string) string {
	end := strings.IndexByte(addr, ']')
	if end < 0 || addr[0] != '[' {
		return addr
	}
	return strings.Replace(addr[:end], "%", "%25", 1) + addr[end:]
}

// withQuery returns u with more at the end of its query, which is kept as it was
// written.
func withQuery(u *url.URL, more string) string {
	v := *u
	if v.RawQuery != "" && more != "" {
		v.RawQuery += "&"
	}
	v.RawQuery += more
	return v.String()
}

// isName reports whether the host may stand for several addresses.
func (a *lookupAddress) isName() bool {
	_, err := netip.ParseAddr(a.host)
	return err != nil && a.host != ""
}

// at returns the address to dial for the host at ip.
func (a *lookupAddress) at(ip netip.Addr) string { return net.JoinHostPort(ip.String(), a.port) }

// is reports whether the address that is about to be dialled is this one, and not
// one that it redirected to.
func (a *lookupAddress) is(dialled string) bool {
	return strings.EqualFold(dialled, net.JoinHostPort(a.host, a.port))
}
