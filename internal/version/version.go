// Package version says which release this is.
package version

import (
	"fmt"
	"runtime"
)

// Binary is the version of every program of the suite. Clients match it by
// pattern and switch features on by number, so it stays at least 1.4.0.
const Binary = "1.4.0"

// String is what a daemon prints for --version and as its first log line.
func String(app string) string {
	return fmt.Sprintf("%s v%s (built w/%s)", app, Binary, runtime.Version())
}
