package cluster

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestSetting(t *testing.T) {
	const isJSON = "application/json; charset=utf-8"
	for name, c := range map[string]struct {
		contentType, body string
		want              any
		err               string
	}{
		"text":                 {"text/plain; charset=utf-8", "127.0.0.1:4150", "127.0.0.1:4150", ""},
		"text that looks like": {"text/plain; charset=utf-8", "15", "15", ""},
		"empty text":           {"", "", "", ""},
		"a number":             {isJSON, "9007199254740993", json.Number("9007199254740993"), ""},
		"a boolean":            {isJSON, "true", true, ""},
		"a list":               {isJSON, `["a",0.5]`, []any{"a", json.Number("0.5")}, ""},
		"no JSON":              {isJSON, "{", nil, "answer is not as expected"},
		"too much":             {"text/plain", strings.Repeat("x", maxSetting+1), nil, "answer has more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			client, address := start(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/config/some_key" {
					t.Errorf("asked for %s", r.URL)
				}
				w.Header().Set("Content-Type", c.contentType)
				io.WriteString(w, c.body)
			})
			got, err := client.Setting(t.Context(), address, "some_key")
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.HasPrefix(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %#v, want %#v", got, c.want)
			}
		})
	}
	client, address := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"message":"INVALID_OPTION"}`)
	})
	_, err := client.Setting(t.Context(), address, "no_key")
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Message != "INVALID_OPTION" {
		t.Errorf("an option that is none: %v", err)
	}
}
