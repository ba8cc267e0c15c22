package nsqd_test

import (
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// The durability of a topic may be in a form, as other clients than NSQ's send it; the URL goes
// first, and what is no form is not looked at. A form that is too long is refused.
func TestDurabilityInAForm(t *testing.T) {
	a := newAPI(t, nsqtest.Start(t, nsqtest.Options(t)))
	const form = "application/x-www-form-urlencoded"
	for topic, c := range map[string]struct {
		query, kind, body string
		status            int
		durability        string
	}{
		"form":     {"", form, "durability=disk", 200, "disk"},
		"charset":  {"", form + "; charset=utf-8", "durability=disk", 200, "disk"},
		"both":     {"&durability=fsync", form, "durability=disk", 200, "fsync"},
		"nothing":  {"", form, "", 200, "memory"},
		"others":   {"", form, "topic=x&channel=y", 200, "memory"},
		"no_form":  {"", "text/plain", "durability=disk", 200, "memory"},
		"bad_form": {"", form, "%zz", 200, "memory"},
		"full":     {"", form, "durability=disk&x=" + strings.Repeat("x", 4096-len("durability=disk&x=")), 200, "disk"},
		"long":     {"", form, "durability=disk&x=" + strings.Repeat("x", 4097-len("durability=disk&x=")), 413, ""},
		"longer":   {"", form, "x=" + strings.Repeat("x", 10_000) + "&durability=disk", 413, ""},
		"not_read": {"&durability=fsync", form, "x=" + strings.Repeat("x", 10_000), 200, "fsync"},
		"text":     {"", "text/plain", strings.Repeat("x", 10_000), 200, "memory"},
		"wrong":    {"", form, "durability=safe", 400, ""},
	} {
		resp, err := a.client.Post(a.base+"/topic/create?topic="+topic+c.query, c.kind, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		var got string
		for _, s := range a.stats("topic=" + topic).Topics {
			got = s.Durability
		}
		if resp.StatusCode != c.status || got != c.durability {
			t.Errorf("%s: answered %d, the durability is %q, want %d and %q", topic, resp.StatusCode, got, c.status, c.durability)
		}
	}
}
