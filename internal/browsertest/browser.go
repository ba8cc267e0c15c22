// Package browsertest shows pages to a test in Chromium, and what a user would
// notice about them: what is written, whether it can be read and reached by
// keyboard, what the console says, and where requests go.
package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// A Browser is a Chromium without a window. It reaches this machine alone.
type Browser struct {
	ctx     context.Context // of its first tab
	outside outside
}

// Start runs a browser until the end of the test. The tests of a package share
// one, each with tabs of its own.
//
// The environment says what happens where there is none: the test fails with
// NSQ_BROWSER=must, as in make test; else it is skipped. With NSQ_BROWSER=skip
// it is skipped in any case. CHROMIUM names a browser.
func Start(t *testing.T) *Browser {
	t.Helper()
	mode := os.Getenv("NSQ_BROWSER")
	if mode == "skip" || testing.Short() {
		t.Skip("with NSQ_BROWSER=skip or -short no browser is started; make test starts one")
	}
	path, err := find()
	if err != nil {
		const how = "contrib/setup.sh installs one on Debian, or name one: CHROMIUM=/path/to/browser"
		if mode == "must" {
			t.Fatalf("nsqadmin's pages are tested in a browser: %v; %s", err, how)
		}
		t.Skipf("nsqadmin's pages are not tested, for want of a browser: %v; %s", err, how)
	}
	b := &Browser{}
	proxy := httptest.NewServer(&b.outside)
	t.Cleanup(proxy.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		// A page that asks for anything elsewhere asks this, which answers nothing; this
		// machine is asked directly.
		chromedp.ProxyServer(proxy.URL),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE [::1]"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,AutofillServerCommunication,OptimizationHints,MediaRouter"),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("lang", "en-GB"),
		chromedp.Env("TZ=Asia/Tokyo"), // a time in it is nobody else's
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root cannot have
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s does not start: %v", path, err)
	}
	b.ctx = ctx
	return b
}

// find returns the path of a browser.
func find() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return exec.LookPath(path)
	}
	for _, name := range names() {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("neither Chromium nor Chrome is installed")
}

func names() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{
			"/Applications/Chromium.app/Contents/MacOS/Chromium",
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
		}
	case "windows":
		return []string{
			"chrome",
			filepath.Join(os.Getenv("ProgramFiles"), `Google\Chrome\Application\chrome.exe`),
		}
	}
	return []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
}

// outside is asked what is meant for other machines.
type outside struct {
	mu    sync.Mutex
	asked []string
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, r.Method+" "+r.RequestURI)
	w.WriteHeader(http.StatusBadGateway)
}

// itself is what a browser asks its maker, whatever it shows; no page asks that.
var itself = regexp.MustCompile(`^(CONNECT |\w+ https?://)(accounts|clients\d|update|content-autofill|optimizationguide-pa|safebrowsing|android|redirector|edgedl|mtalk|www)\.(google|googleapis|gvt1)\.com`)

// Outside returns the requests that were meant for other machines, but for those
// that the browser makes for itself.
func (b *Browser) Outside() []string {
	b.outside.mu.Lock()
	defer b.outside.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.outside.asked), itself.MatchString)
}
