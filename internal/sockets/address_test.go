package sockets

import "testing"

// A colon in a path does not make it host:port.
func TestIsPath(t *testing.T) {
	for address, want := range map[string]bool{
		"/run/nsqd.sock": true, "/run/host:4150": true, "./a:1": true, "../a": true, "@nsqd": true, "nsqd.sock": true, "dir/nsqd.sock": true,
		"host:4150": false, ":0": false, "4150": false, "10.0.0.1": false, "localhost": false, "[::1]": false, "http://host": false, "": false, "/a\x00b": false,
	} {
		if got := IsPath(address); got != want {
			t.Errorf("IsPath(%q) = %v, want %v", address, got, want)
		}
	}
}

func TestListenTellsPathsFromAddresses(t *testing.T) {
	for address, network := range map[string]string{"127.0.0.1:0": "tcp", socketPath(t): "unix"} {
		l, err := Listen(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().Network(); got != network {
			t.Errorf("%s: listens on %s, want %s", address, got, network)
		}
		l.Close()
	}
}
