package sockets

import (
	"net"
	"strings"
)

// Listen opens a listener on host:port or on a unix socket.
func Listen(address string) (net.Listener, error) {
	if IsPath(address) {
		return ListenUnix(address)
	}
	return ListenTCP(address)
}

// IsPath tells the path of a unix socket from host:port: it says so by how it
// begins, or it is a word that cannot be an address without its port.
func IsPath(address string) bool {
	if strings.ContainsRune(address, 0) {
		return false
	}
	for _, start := range []string{"/", "./", "../", "@"} {
		if strings.HasPrefix(address, start) {
			return true
		}
	}
	digits := strings.Trim(address, "0123456789") == ""
	return !digits && !strings.ContainsAny(address, ":[]") && net.ParseIP(address) == nil && address != "localhost"
}
