package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// What nsqd can be set to is what its page shows: a new option is missed here.
func TestSettingsAreThoseOfNSQD(t *testing.T) {
	var want, got []string
	options := reflect.TypeFor[nsqd.Options]()
	for i := range options.NumField() {
		tag := options.Field(i).Tag
		if name, ok := tag.Lookup("flag"); ok {
			key := tag.Get("cfg")
			if key == "" {
				key = strings.ReplaceAll(name, "-", "_")
			}
			want = append(want, key)
		}
	}
	for _, group := range nsqdOptions {
		for _, s := range group.Options {
			got = append(got, s.Key)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("settings %q\noptions of nsqd %q", got, want)
	}
}

func TestSettingTexts(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"tcp_address", "0.0.0.0:4150", "0.0.0.0:4150"},
		{"snappy", true, "true"},
		{"id", json.Number("617"), "617"},
		{"msg_timeout", json.Number("60000000000"), "1m0s"},
		{"msg_timeout", "odd", "odd"},
		{"max_bytes_per_file", json.Number("104857600"), "100 MiB (104857600)"},
		{"max_msg_size", json.Number("1000"), "1000"},
		{"max_msg_size", json.Number("1e99"), "1e99"},
		{"min_free_disk", json.Number("0"), "0"},
		{"log_level", json.Number("2"), "info"},
		{"log_level", json.Number("9"), "9"},
		{"tls_required", json.Number("1"), "tcp-https"},
		{"tls_min_version", json.Number("771"), "tls1.2"},
		{"nsqlookupd_tcp_addresses", []any{"a:1", "b:2"}, "a:1, b:2"},
		{"nsqlookupd_tcp_addresses", []any{}, ""},
		{"e2e_processing_latency_percentiles", []any{json.Number("0.99"), json.Number("1")}, "0.99, 1"},
	} {
		answers := map[string]Answer{c.key: {value: c.value}}
		if got := settingOf(t, answers, c.key); got != c.want {
			t.Errorf("%s = %#v shows as %q, want %q", c.key, c.value, got, c.want)
		}
	}
}

func settingOf(t *testing.T, answers map[string]Answer, key string) string {
	t.Helper()
	groups, _ := Show(answers)
	for _, g := range groups {
		for _, s := range g.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	t.Errorf("%s is not shown", key)
	return ""
}

func testClient(t *testing.T) *cluster.Client {
	client := cluster.NewClient(cluster.Config{
		Dial:           new(net.Dialer).DialContext,
		RequestTimeout: 5 * time.Second,
		MaxAnswer:      1 << 20,
		ConnsPerDaemon: atOnce,
	})
	t.Cleanup(client.Close)
	return client
}

func TestSettingsOfAnNSQD(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MsgTimeout = 42 * time.Second
	n := nsqtest.Start(t, opts)
	var cache Cache
	answers := cache.Ask(t.Context(), testClient(t), n.RealHTTPAddr().String(), 1, time.Now())
	groups, refused := Show(answers)
	if len(refused) > 0 || len(groups) != len(nsqdOptions) {
		t.Errorf("refused: %v; %d groups, want %d", refused, len(groups), len(nsqdOptions))
	}
	for key, want := range map[string]string{
		"msg_timeout":       "42s",
		"broadcast_address": "127.0.0.1",
		"data_path":         opts.DataPath,
		"statsd_prefix":     "nsq.127_0_0_1_" + strings.TrimPrefix(n.RealHTTPAddr().String(), "127.0.0.1:") + ".",
		"log_level":         "info",
	} {
		if got := settingOf(t, answers, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// An nsqd is not asked again for what cannot have changed: each question is a
// line in its log.
func TestSettingsAreKept(t *testing.T) {
	var asked atomic.Int32
	var level atomic.Value
	level.Store("2")
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/config/log_level":
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			io.WriteString(w, level.Load().(string))
		case "/config/min_free_disk":
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"message":"INVALID_OPTION"}`)
		case "/config/tls_key":
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"message":"FORBIDDEN"}`)
		default:
			io.WriteString(w, "x")
		}
	}))
	defer daemon.Close()
	address, client := daemon.Listener.Addr().String(), testClient(t)
	var all, again int32
	for _, group := range nsqdOptions {
		for _, s := range group.Options {
			all++
			if s.changes || s.Key == "min_free_disk" || s.Key == "tls_key" {
				again++
			}
		}
	}
	var cache Cache
	now := time.Now()
	for _, c := range []struct {
		name  string
		after time.Duration
		start int64
		asked int32
	}{
		{"the first time", 0, 1, all},
		{"at once after it", fresh, 1, 0},
		{"later", fresh + 1, 1, again},
		{"after a restart", fresh + 1, 2, all},
	} {
		asked.Store(0)
		answers := cache.Ask(t.Context(), client, address, c.start, now.Add(c.after))
		if got := asked.Load(); got != c.asked || len(answers) != int(all) {
			t.Errorf("%s: %d questions, %d answers, want %d and %d", c.name, got, len(answers), c.asked, all)
		}
		_, refused := Show(answers)
		want := `[{this version of nsqd does not have them [min_free_disk]} {nsqd does not let this host ask for them: it answered with status 403 "FORBIDDEN" [tls_key]}]`
		if got := fmt.Sprint(refused); got != want {
			t.Errorf("%s: refused %s, want %s", c.name, got, want)
		}
	}
	level.Store("1")
	if got := settingOf(t, cache.Ask(t.Context(), client, address, 2, now.Add(3*fresh)), "log_level"); got != "debug" {
		t.Errorf("a log level that was changed shows as %s", got)
	}
	cache.Ask(t.Context(), client, "127.0.0.1:1", 1, now.Add(2*forgets))
	if len(cache.nodes) != 1 {
		t.Errorf("%d nodes are kept, want the one that was looked at last", len(cache.nodes))
	}
}

func TestRefusalReasons(t *testing.T) {
	for want, err := range map[string]error{
		"this version of nsqd does not tell its settings": &cluster.StatusError{Status: 404, Message: "NOT_FOUND"},
		"connection refused":                              errors.New("connection refused"),
		`answered with status 500 "INTERNAL_ERROR"`:       &cluster.StatusError{Status: 500, Message: "INTERNAL_ERROR"},
	} {
		if got := refusalReason(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
