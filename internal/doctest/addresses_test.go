package doctest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

var (
	// Pages name this host, and two that have an nsqlookupd. Names below example.com are
	// servers that take everything.
	hostPort = regexp.MustCompile(`\b(127\.0\.0\.1|0\.0\.0\.0|localhost|lookup-1|lookup-2):(\d{4,5})\b`)
	outside  = regexp.MustCompile(`https?://[a-z0-9.-]+\.example\.com(:\d+)?`)

	// Directories of a machine, which become directories below that of the page.
	machinePath = regexp.MustCompile(`(^|[\s='":])(/(?:var/lib|var/log|etc|srv|backup)(?:/[\w.*/-]*)?)`)
)

// addresses are those that take the place of what a page names. They are safe for
// concurrent use.
type addresses struct {
	tb  testing.TB
	dir string // of the page

	mu   sync.Mutex
	port map[string]int // by host and port of the page
	sink string         // URL of what stands for all servers outside
}

// of returns the port that stands for one that a page names.
func (a *addresses) of(host, port string) int {
	if host == "localhost" || host == "0.0.0.0" {
		host = "127.0.0.1"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := host + ":" + port
	if a.port[key] == 0 {
		a.port[key] = freePort(a.tb)
	}
	return a.port[key]
}

// portsOf returns, with spaces between them, the ports that stand for those of a host.
func (a *addresses) portsOf(host string, ports ...string) string {
	list := make([]string, len(ports))
	for i, port := range ports {
		list[i] = strconv.Itoa(a.of(host, port))
	}
	return strings.Join(list, " ")
}

// in returns a text in which addresses and directories are those of the test.
func (a *addresses) in(text string) string {
	text = hostPort.ReplaceAllStringFunc(text, func(s string) string {
		m := hostPort.FindStringSubmatch(s)
		host := m[1]
		if host != "localhost" {
			host = "127.0.0.1"
		}
		return fmt.Sprintf("%s:%d", host, a.of(m[1], m[2]))
	})
	text = outside.ReplaceAllLiteralString(text, a.sink)
	return machinePath.ReplaceAllString(text, "${1}"+a.dir+"${2}")
}

// makeDirectories creates the directories of a machine that a text names. What has a dot
// in its last part is a file.
func (a *addresses) makeDirectories(text string) {
	for _, m := range machinePath.FindAllStringSubmatch(text, -1) {
		dir := m[2]
		if strings.ContainsAny(filepath.Base(dir), ".*") {
			dir = filepath.Dir(dir)
		}
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			a.tb.Fatal(err)
		}
	}
}

var ports struct {
	mu   sync.Mutex
	next int
}

// freePort returns a port on which nobody listens. It lies below those that systems
// choose by themselves, so that nobody gets it by chance before it is used.
func freePort(tb testing.TB) int {
	tb.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.next == 0 {
		ports.next = 12000 + os.Getpid()%12000
	}
	for range 1000 {
		ports.next++
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports.next))
		if err != nil {
			continue
		}
		l.Close()
		return ports.next
	}
	tb.Fatal("there is no free port")
	return 0
}

func TestAddresses(t *testing.T) {
	a := &addresses{tb: t, dir: "/page", port: map[string]int{"127.0.0.1:4150": 1, "127.0.0.1:4152": 2, "lookup-1:4161": 3}, sink: "http://127.0.0.1:9"}
	for text, want := range map[string]string{
		"nsqd --tcp-address=0.0.0.0:4150":               "nsqd --tcp-address=127.0.0.1:1",
		"curl https://localhost:4152/ping":              "curl https://localhost:2/ping",
		"nsq_stat --lookupd-http-address=lookup-1:4161": "nsq_stat --lookupd-http-address=127.0.0.1:3",
		"nsq_to_http --post=https://in.example.com/x":   "nsq_to_http --post=http://127.0.0.1:9/x",
		"nsqd --data-path=/var/lib/nsq":                 "nsqd --data-path=/page/var/lib/nsq",
		"docker run --user 4150":                        "docker run --user 4150",
	} {
		if got := a.in(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := a.in("127.0.0.1:4171"); got == "127.0.0.1:4171" || strings.Count(got, ":") != 1 {
		t.Errorf("a new address became %q", got)
	}
}
