package sockets

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// socketPath returns a path that is short enough for a socket.
func socketPath(t *testing.T) string {
	dir, err := os.MkdirTemp("", "sockets")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// crash leaves the file of a socket on which nobody listens.
func crash(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

func TestListenTCP(t *testing.T) {
	for address, start := range map[string]string{"127.0.0.1:0": "127.0.0.1:", "localhost:0": "", ":0": "[::]:", "0.0.0.0:0": "0.0.0.0:"} {
		l, err := ListenTCP(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Addr().String(); !strings.HasPrefix(got, start) {
			t.Errorf("%s listens on %s", address, got)
		}
		l.Close()
	}
}

// On 0.0.0.0 peers come by either family, and those of IPv4 have dotted addresses.
func TestListenOnAllAddresses(t *testing.T) {
	l, err := ListenTCP("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		probe, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("not tried: there is no %s on this machine: %v", host, err)
			continue
		}
		probe.Close()
		peer, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Error(err)
			continue
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := conn.RemoteAddr().String(), peer.LocalAddr().String(); got != want {
			t.Errorf("a peer at %s has the address %s", want, got)
		}
		peer.Close()
		conn.Close()
	}
}

func TestListenUnix(t *testing.T) {
	path := socketPath(t)
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there after it was closed: %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	missing := filepath.Join(t.TempDir(), "no", "such")
	for _, c := range []struct {
		listen        func(string) (net.Listener, error)
		address, want string
	}{
		{ListenTCP, taken.Addr().String(), "listen tcp " + taken.Addr().String() + ": bind: "},
		{ListenTCP, "127.0.0.1:99999", "listen tcp: address 99999: invalid port"},
		{ListenTCP, "127.0.0.1", "listen tcp: address 127.0.0.1: missing port in address"},
		{ListenUnix, missing, "listen unix " + missing + ": bind: "},
	} {
		l, err := c.listen(c.address)
		if err == nil {
			l.Close()
		}
		if want := "listen (" + c.address + ") failed - " + c.want; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s...", err, want)
		}
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its errors cannot be told apart in a portable way, so nothing is removed there")
	}
	path := socketPath(t)
	crash(t, path)
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// What is in use, or no socket, stays as it is.
func TestListenRemovesNothingElse(t *testing.T) {
	for name, put := range map[string]func(t *testing.T, path string){
		"a socket that answers": func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		},
		"a file": func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a directory": func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a link to a stale socket": func(t *testing.T, path string) {
			crash(t, path+".real")
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			put(t, path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if l, err := ListenUnix(path); err == nil {
				l.Close()
				t.Fatal("listens")
			} else if runtime.GOOS != "windows" && !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("got %v, want %v", err, syscall.EADDRINUSE)
			}
			if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
}

func TestCloseListener(t *testing.T) {
	l, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := CloseListener(l); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want %v", err, net.ErrClosed)
	}
}
