package nsqadmin

import (
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/browsertest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// TestBrowser shows the pages to a user. The tests share one browser; each has
// tabs of its own.
func TestBrowser(t *testing.T) {
	b := browsertest.Start(t)
	t.Cleanup(func() {
		for _, request := range b.Outside() {
			if !strings.Contains(request, "elsewhere.example") { // testChecks wants to see it
				t.Errorf("a request to another machine: %s", request)
			}
		}
	})
	for name, test := range map[string]func(t *testing.T, b *browsertest.Browser){
		"every page":         testEveryPage,
		"live":               testLive,
		"actions":            testActions,
		"admins":             testAdmins,
		"a failing node":     testFailingNode,
		"keyboard":           testKeyboard,
		"without scripts":    testWithoutScripts,
		"behind a proxy":     testBehindProxy,
		"checks":             testChecks,
		"script morphs":      testScriptMorph,
		"script keeps":       testScriptKeeps,
		"script queries":     testScriptQueries,
		"script pauses":      testScriptPauses,
		"script away":        testScriptAway,
		"script with extras": testScriptExtras,
	} {
		t.Run(name, func(t *testing.T) {
			nsqtest.Parallel(t)
			test(t, b)
		})
	}
}
