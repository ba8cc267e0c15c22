package nsqadmin

import (
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestErrorsAreShownAsTheyAreAskedFor(t *testing.T) {
	opts := testOptions(t, nsqtest.StartLookupd(t, nil))
	opts.BasePath = "/admin"
	a := start(t, opts)
	const browser, program = "Accept: text/html,application/xhtml+xml,*/*;q=0.8", "Accept: */*"
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
		page               bool
		want               string
	}{
		{"an unknown page", "GET", "/admin/nothing", []string{browser}, 404, true, "There is no such page."},
		{"the same for a program", "GET", "/admin/nothing", []string{program}, 404, false, `{"message":"NOT_FOUND"}`},
		{"outside of the base path", "GET", "/nothing", []string{browser}, 404, false, `{"message":"NOT_FOUND"}`},
		{"beside the base path", "GET", "/administrator", []string{browser}, 404, false, `{"message":"NOT_FOUND"}`},
		{"in the API", "GET", "/admin/api/nothing", []string{browser}, 404, false, `{"message":"NOT_FOUND"}`},
		{"an unknown file", "GET", "/admin/static/nothing.css", []string{browser}, 404, false, "NOT_FOUND"},
		{"another site", "POST", "/admin/nothing", []string{browser, "Sec-Fetch-Site: cross-site"}, 403, true, "--trusted-origin"},
		{"another site by script", "POST", "/admin/api/topics", []string{program, "Sec-Fetch-Site: cross-site"}, 403, false, "CROSS_ORIGIN"},
	} {
		resp, body := a.do(c.method, c.path, "", c.headers...)
		if resp.StatusCode != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %d and %q", c.name, resp.StatusCode, body, c.status, c.want)
		}
		if page := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"); page != c.page || page != strings.Contains(body, `<main id="main"`) {
			t.Errorf("%s: is a page: %v, want %v", c.name, page, c.page)
		}
	}
}
