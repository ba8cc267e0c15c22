package nsqd

import (
	"net"
	"testing"
	"time"
)

// Where a broker listens on one address only, clients reach it nowhere else.
func TestOwnAddress(t *testing.T) {
	local := &net.TCPAddr{IP: net.ParseIP("10.1.2.3")}
	for listen, want := range map[string]string{"127.0.0.1:0": "127.0.0.1", "0.0.0.0:0": "10.1.2.3", ":0": "10.1.2.3"} {
		n := testNSQD(t, func(o *Options) { o.TCPAddress = listen })
		if got, ok := n.ownAddress(local); got.String() != want || !ok {
			t.Errorf("listening on %s: %q, %v, want %q", listen, got, ok, want)
		}
	}
	n := testNSQD(t, func(o *Options) { o.TCPAddress = "0.0.0.0:0" })
	if got, ok := n.ownAddress(&net.UnixAddr{Name: "x"}); ok {
		t.Errorf("a unix socket has the address %q", got)
	}
}

// A refused command is news once, and is tried again after a while or when its
// name is used anew.
func TestRefusals(t *testing.T) {
	var r refusals
	now := time.Now()
	c := lookupCommand{register, registration{"t", "c"}}
	if r.has(c, now) || !r.add(c, now) || r.add(c, now) || !r.has(c, now) {
		t.Error("a refusal is not noted once")
	}
	if r.has(lookupCommand{unregister, c.registration}, now) || r.has(lookupCommand{register, registration{topic: "t"}}, now) {
		t.Error("other commands are refused, too")
	}
	later := now.Add(refusalTime)
	if r.has(c, later) || !r.add(c, later) {
		t.Error("it is refused for ever")
	}
	r.forget(c)
	if r.has(c, later) {
		t.Error("it is not forgotten")
	}
	if !r.add(lookupCommand{verb: ping}, later.Add(refusalTime)) || len(r.when) != 1 {
		t.Errorf("old refusals are kept: %v", r.when)
	}
}
