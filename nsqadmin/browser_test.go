package nsqadmin

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/browsertest"
)

// TestBrowser shows the pages to a user. The tests share one browser; each has
// tabs of its own.
func TestBrowser(t *testing.T) {
	b := browsertest.Start(t)
	for name, test := range map[string]func(t *testing.T, b *browsertest.Browser){
		"checks":             testChecks,
		"script morphs":      testScriptMorph,
		"script keeps":       testScriptKeeps,
		"script queries":     testScriptQueries,
		"script pauses":      testScriptPauses,
		"script away":        testScriptAway,
		"script with extras": testScriptExtras,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, b)
		})
	}
}
