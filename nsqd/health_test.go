package nsqd

import (
	"errors"
	"testing"
)

func TestHealthIsNotMendedByAnotherSource(t *testing.T) {
	var h health
	first, second, again := errors.New("first"), errors.New("second"), errors.New("again")
	for _, step := range []struct {
		source    string
		err, want error
	}{
		{"a", nil, nil},
		{"a", first, first},
		{"b", nil, first},
		{"b", second, first},
		{metadataHealth, second, first},
		{"a", again, again},
		{"a", nil, second},
		{"b", nil, second},
		{metadataHealth, nil, nil},
		{"b", nil, nil},
	} {
		h.set(step.source, step.err)
		if got := h.Err(); got != step.want {
			t.Errorf("after %s reported %v, Err() = %v, want %v", step.source, step.err, got, step.want)
		}
	}
}
