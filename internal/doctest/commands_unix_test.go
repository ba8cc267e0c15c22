//go:build unix

package doctest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) {
	tooltest.Main(m, "apps/...", "bench/...")
}

const (
	aLookupd = "nsqlookupd --tcp-address=lookup-1:4160 --http-address=lookup-1:4161"
	another  = "nsqlookupd --tcp-address=lookup-2:4160 --http-address=lookup-2:4161"
	aBroker  = "nsqd --data-path=. --lookupd-tcp-address=lookup-1:4160 --lookupd-tcp-address=lookup-2:4160"
)

// stages are the commands that run what a page takes to be there. One that ends with
// an ampersand goes on.
var stages = map[string][]string{
	"docs/how-it-works.md": {
		aLookupd + " &", another + " &",
		"nsqd --data-path=/var/lib/nsq &",
	},
	"docs/operations.md": {
		aLookupd + " &",
		"nsqd --data-path=/var/lib/nsq --lookupd-tcp-address=lookup-1:4160 &",
	},
	"docs/protocol-extensions.md": {aLookupd + " &", aBroker + " &"},
	"docs/clients.md":             {aLookupd + " &", another + " &", aBroker + " &"},
	"docs/security.md":            {aLookupd + " &"},
	"docs/tools.md": {
		aLookupd + " &", another + " &", aBroker + " &",
		"mkdir 5 6",
		"nsqd --data-path=5 --tcp-address=127.0.0.1:5150 --http-address=127.0.0.1:0 &",
		"nsqd --data-path=6 --tcp-address=127.0.0.1:6150 --http-address=127.0.0.1:0 &",
		"for topic in orders clicks; do curl -X POST http://127.0.0.1:4151/topic/create?topic=$topic; done",
		"curl -X POST 'http://127.0.0.1:4151/channel/create?topic=orders&channel=billing'",
	},
}

// Every command of every page ends as it should, and prints what the page shows.
func TestCommands(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("a run of all commands is enough: where an int has 64 bits")
	}
	for _, p := range pages(t) {
		t.Run(p.name, func(t *testing.T) {
			nsqtest.Parallel(t)
			s := newSandbox(t, p)
			for _, text := range stages[p.name] {
				if command, on := strings.CutSuffix(text, " &"); on {
					s.background(block{language: "sh", words: []string{"background"}, text: command})
				} else {
					s.foreground(block{language: "sh", text: text})
				}
			}
			if !t.Failed() {
				s.run()
			}
		})
	}
}
