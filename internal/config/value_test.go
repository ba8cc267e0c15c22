package config

import (
	"reflect"
	"testing"
	"time"
)

func TestValue(t *testing.T) {
	opts := defaults()
	for key, want := range map[string]any{
		"bool":     true,
		"an_int":   1,
		"renamed":  int64(2),
		"duration": time.Minute,
		"strings":  []string{"x", "y"},
		"word":     word("off"),
	} {
		if got, ok := Value(opts, key); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", key, got, ok, want)
		}
	}
	for _, key := range []string{"", "an-int", "an_int64", "one_string", "Bool", "untagged", "Untagged", "renamed "} {
		if got, ok := Value(opts, key); ok {
			t.Errorf("%q is %v", key, got)
		}
	}
}
