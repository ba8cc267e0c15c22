package httpapi

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Every query means what it means to package url.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "topic=t", "topic=a&topic=b", "topic", "topic=", "&&a=b=c&topic=t&", "=x&topic=%41+b", "topic=a;b=c", "%zz",
		"topic=" + strings.Repeat("x", maxPlainQuery), strings.Repeat("&", maxPlainQuery) + "topic=t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, wantErr := url.ParseQuery(text)
		got, err := ParseQuery(&http.Request{URL: &url.URL{RawQuery: text}})
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%q: %v, url.ParseQuery: %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		names := []string{"topic", "", "a"}
		for name := range want {
			names = append(names, name)
		}
		for _, name := range names {
			if value, ok := got.Lookup(name); value != want.Get(name) || ok != want.Has(name) {
				t.Errorf("%q has %s=%q, %v, want %q", text, name, value, ok, want.Get(name))
			}
		}
	})
}
